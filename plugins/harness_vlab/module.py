"""VLAB on any tower with a class token: adapters, two streams, and a multimodal encoder (paper, section 3).

Retrieval uses the adapted video tower and the backbone's text tower alone (A8, A9); what is written is
written by the multimodal encoder, before image and video features (A15).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from harness import HarnessError
from harness.models import (
    Backbone,
    BuildContext,
    Encoding,
    Features,
    GenerativeModule,
    Tokenizer,
    TowerView,
    VideoBatch,
)
from harness_vlab.adapter import VideoAdapter
from harness_vlab.bert_files import VOCABULARY, folder_of, load_bert
from harness_vlab.decoding import VlabDecoding
from harness_vlab.encoder import EPS, MultimodalEncoder, PredictionHead, Sizes, allowed_keys
from harness_vlab.options import VlabOptions, VlabStageOptions
from harness_vlab.vocabulary import with_marks
from harness_vlab.wordpiece import file_of, wordpiece

#: The factor on similarities is never larger (A10).
MAX_SCALE = 100.0

#: Random weights of type vectors (A15).
_TYPE_STD = 0.02


class Vlab(GenerativeModule):
    """Parameters: ``adapters``, ``video_proj``, ``video_type``, ``frame_embedding``, ``multimodal``,
    ``mlm_head``, and with two streams ``image`` (a tower), ``image_proj``, ``image_type``."""

    padding = "repeat"  # short clips have no mask (A15)

    def __init__(
        self, tower: TowerView, image: Backbone | None, options: VlabOptions, frames: int, words: Tokenizer
    ) -> None:
        super().__init__()
        self.options, self.writes, self.tokenizers = options, words, (words,)
        self.only_video = False
        places = (
            ("pre_attn", "pre_mlp") if options.adapter_position == "both" else (options.adapter_position,)
        )
        self.adapters = nn.ModuleDict(
            {
                place: nn.ModuleDict(
                    {
                        str(layer): VideoAdapter(
                            tower.width,
                            options.adapter_width,
                            options.adapter_kernel,
                            options.adapter_activation,
                            options.adapter_prenorm,
                        )
                        for layer in range(options.adapter_start, len(tower.blocks))
                    }
                )
                for place in places
            }
        )
        width = options.hidden_size
        self.frame_embedding = nn.Parameter(
            torch.randn(options.max_frames or frames, width) * options.frame_init_std
        )
        self.video_proj, self.video_type = _stream(tower.width, width)
        self.per_frame = {"video": 1 + math.prod(tower.grid)}
        self.image = image
        if image is not None:
            self.per_frame["image"] = 1 + math.prod(image.visual.grid)
            self.image_proj, self.image_type = _stream(image.visual.width, width)
        split = image is not None and not options.share_cross_attention
        assert words.vocabulary is not None
        sizes = Sizes(
            vocabulary=words.vocabulary.size,
            hidden=width,
            layers=options.layers,
            heads=options.heads,
            intermediate=options.intermediate_size,
            positions=options.positions,
            dropout=options.dropout,
            init_std=options.init_std,
            streams=("crossattention_image", "crossattention_video") if split else ("crossattention",),
        )
        self.multimodal = MultimodalEncoder(sizes, options.blend, options.parallel_reduce)
        self.mlm_head = PredictionHead(sizes)

    def enter_stage(self, options: VlabStageOptions, before: VlabStageOptions | None, fresh: bool) -> None:
        """Before blending the multimodal encoder sees the video alone; where the streams have
        cross-attentions of their own, that of the images then starts as a copy of the video's."""
        self.only_video = options.streams == "video"
        begins = fresh and before is not None and before.streams == "video" and not self.only_video
        if begins and self.image is not None and not self.options.share_cross_attention:
            for layer in self.multimodal.layers:
                layer.crossattention_image.load_state_dict(layer.crossattention_video.state_dict())

    def video_tokens(self, backbone: Backbone, video: VideoBatch) -> Tensor:
        """All tokens of the adapted tower before its last norm ``[B T, 1 + L, W]``."""
        frames, tower = video.frames.shape[1], backbone.visual
        x = tower.embed(backbone.normalise(video.frames).flatten(0, 1))
        for layer, block in enumerate(tower.blocks):
            x = block.attend(self._adapted("pre_attn", layer, x, frames, tower))
            x = block.feed_forward(self._adapted("pre_mlp", layer, x, frames, tower))
        return x

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        return self._pooled(backbone.visual, self.video_tokens(backbone, video), len(video))

    def encode_with_memory(self, backbone: Backbone, video: VideoBatch) -> Features:
        """``memory``: image tokens of all frames, if there is an image stream, and then video tokens."""
        x = self.video_tokens(backbone, video)
        features = self._pooled(backbone.visual, x, len(video))
        memory = self._memory(
            backbone.visual.read_out(x, "hidden"), self.video_proj, self.video_type, len(video)
        )
        if self.image is not None and not self.only_video:
            tower = self.image.visual
            y = tower.embed(self.image.normalise(video.frames).flatten(0, 1))
            for block in tower.blocks:
                y = block.feed_forward(block.attend(y))
            image = self._memory(tower.read_out(y, "hidden"), self.image_proj, self.image_type, len(video))
            memory = torch.cat([image, memory], dim=1)
        return Features(features.tokens, features.mask, features.pooled, memory)

    def streams(self, memory: Tensor) -> dict[str, Tensor]:
        """The parts of a memory ``[B, K, W]`` by name, in the order in which they are attended to."""
        if self.image is None or self.only_video:
            return {"video": memory}
        frames = memory.shape[1] // sum(self.per_frame.values())
        image, video = memory.split(
            [frames * self.per_frame["image"], frames * self.per_frame["video"]], dim=1
        )
        both = {"image": image, "video": video}
        order = self.options.stack_order.split("_")
        return {name: both[name] for name in order}

    def hidden(
        self, memory: Tensor, text: Encoding, *, causal: bool, prompt: Encoding | None = None
    ) -> Tensor:
        """Hidden states of the text ``[B, L, W]``."""
        allowed = allowed_keys(text.mask, prompt and prompt.mask, causal)
        given = self.multimodal.memory_keys(self.streams(memory))
        x = self.multimodal(text.tokens, given, allowed, prompt and prompt.tokens)
        return x[:, : text.tokens.shape[1]]

    def predict(
        self,
        memory: Tensor,
        text: Encoding,
        chosen: Tensor,
        *,
        causal: bool,
        prompt: Encoding | None = None,
    ) -> Tensor:
        return self.logits(self.hidden(memory, text, causal=causal, prompt=prompt)[chosen])

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., W]`` to logits ``[..., V]``."""
        return self.mlm_head(hidden, self.multimodal.embeddings.word_embeddings.weight)

    def start(
        self, memory: Tensor, prompt: Encoding | None = None, width: int = 1, cache: str = "all"
    ) -> VlabDecoding:
        return VlabDecoding(self, memory, prompt, width, cache)

    def logit_scale(self, backbone: Backbone) -> Tensor:
        return backbone.logit_scale.clamp(max=math.log(MAX_SCALE)).exp()

    def _adapted(self, place: str, layer: int, x: Tensor, frames: int, tower: TowerView) -> Tensor:
        if place not in self.adapters or str(layer) not in self.adapters[place]:
            return x
        return self.adapters[place][str(layer)](x, frames, tower.grid)

    def _pooled(self, tower: TowerView, x: Tensor, clips: int) -> Features:
        pooled = tower.read_out(x).unflatten(0, (clips, -1)).mean(dim=1)
        mask = torch.ones(clips, 1, dtype=torch.bool, device=x.device)
        return Features(pooled[:, None], mask, pooled)

    def _memory(self, hidden: Tensor, projection: nn.Module, kind: Tensor, clips: int) -> Tensor:
        """Tokens ``[B T, N, D]`` of one stream to its memory ``[B, T N, M]``."""
        x = projection(hidden).unflatten(0, (clips, -1))
        frames = x.shape[1]
        if frames > len(self.frame_embedding):
            raise HarnessError(
                f"a clip has {frames} frames, and the model has {len(self.frame_embedding)} frame positions",
                f"--set model.temporal.max_frames={frames} where it is trained, or fewer data.frames",
            )
        return (x + self.frame_embedding[:frames, None] + kind).flatten(1, 2)


def _stream(width: int, hidden: int) -> tuple[nn.Module, nn.Parameter]:
    """A projection into the multimodal encoder, and what tells its tokens from the other stream's."""
    projection = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden, eps=EPS))
    return projection, nn.Parameter(torch.randn(hidden) * _TYPE_STD)


def build(options: VlabOptions, context: BuildContext) -> Vlab:
    backbone = context.backbone
    backbone.visual.require("class_token", "temporal module 'vlab'")
    if options.hidden_size % options.heads:
        raise HarnessError(
            f"model.temporal.hidden_size {options.hidden_size} cannot be shared among {options.heads} heads",
            "choose a number of heads that divides it",
        )
    if any(side % 2 == 0 for side in options.adapter_kernel):
        raise HarnessError(
            f"model.temporal.adapter_kernel {list(options.adapter_kernel)} has an even side",
            "choose odd sides, such as [3, 1, 1]",
        )
    image = None
    if options.blend != "none":
        # Both towers start from the same weights and go their own ways (A5).
        other = options.image_backbone
        image = context.build_backbone(other) if other else copy.deepcopy(backbone)
        image.visual.require("class_token", "the image tower of 'vlab'")
        if image.preprocess.size != backbone.preprocess.size:
            raise HarnessError(
                f"the towers of vlab take frames of {backbone.preprocess.size} and {image.preprocess.size} pixels",
                "choose an image_backbone of the same size",
            )
        image.forget_text()
    folder = folder_of(options.bert) if options.bert else None
    if folder:
        words = wordpiece(folder / VOCABULARY, options.positions)
    elif options.vocabulary:
        words = wordpiece(file_of(options.vocabulary), options.positions)
    else:
        words = with_marks(backbone.tokenizer, options.positions)
    made = Vlab(backbone.visual, image, options, context.frames, words)
    if folder and context.load:
        load_bert(folder, made.multimodal, made.mlm_head)
    return made

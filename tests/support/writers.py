"""Small models that write: VLAB with random weights, and one whose next word follows from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.data import Caption, Clip
from harness.models import (
    Backbone,
    BuildContext,
    Decoding,
    Encoding,
    Features,
    GenerativeModule,
    TextBatch,
    Tokenizer,
    VideoBatch,
    Vocabulary,
)
from harness.models.assembly import build_backbone
from harness.plugins import registry
from harness_vlab.module import Vlab, build
from harness_vlab.options import VlabOptions

#: Of the small VLAB; no dropout, so that a result is a function of what goes in.
SIZES = {
    "adapter_width": 8,
    "hidden_size": 24,
    "heads": 3,
    "layers": 2,
    "intermediate_size": 32,
    "positions": 32,
    "dropout": 0.0,
}
FRAMES = 3


def small_vlab(stirred: bool = False, **options) -> tuple[Backbone, Vlab]:
    """VLAB on ``tiny``, in fp64 and eval mode, from a fixed seed. ``stirred``: no weight of it is special,
    such as the zeros of a fresh adapter, and clips, places and questions all matter to its words."""
    torch.manual_seed(5)
    backbone = build_backbone({"name": "tiny", "layers": 2, "text_layers": 1}, registry(), load=False)
    context = BuildContext(backbone, FRAMES, 16, lambda value: build_backbone(value, registry(), load=False))
    module = build(VlabOptions(**{**SIZES, **options}), context)
    if stirred:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += torch.randn_like(parameter) * (0.5 if parameter.ndim > 1 else 0.1)
    return backbone.double().eval(), module.double().eval()


def clips(count: int, frames: int = FRAMES, seed: int = 0, size: int = 32) -> VideoBatch:
    """Noise, float ``[count, frames, 3, size, size]``."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, frames, 3, size, size, generator=draw, dtype=torch.float64)
    ids = tuple(f"clip{number}" for number in range(count))
    return VideoBatch(ids, pixels, torch.ones(count, frames, dtype=torch.bool), torch.zeros(count, frames))


def texts(module: GenerativeModule, *lengths: int, width: int = 0, seed: int = 0) -> Encoding:
    """Random words, a row for each of ``lengths``, padded to ``width`` (0: to the longest)."""
    words = module.writes.vocabulary
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.full((len(lengths), width or max(lengths)), words.pad)
    for row, length in enumerate(lengths):
        own = torch.randint(10, 40000, (length - 2,), generator=draw)
        tokens[row, :length] = torch.cat([torch.tensor([words.start]), own, torch.tensor([words.end])])
    return Encoding(tokens, torch.arange(tokens.shape[1]) < torch.tensor(lengths)[:, None])


class TableDecoding(Decoding):
    """The next word's log probabilities are ``table [clips, places, V, V]`` at the clip, the place and the
    last word; ``asked`` counts how often they were wanted."""

    def __init__(self, table: Tensor, width: int, start: int = 0) -> None:
        self.table, self.asked = table, 0
        self.clip = torch.arange(len(table)).repeat_interleave(width)
        self.ids = torch.full((len(table) * width, 1), start)

    def logits(self) -> Tensor:
        self.asked += 1
        return self.table[self.clip, self.ids.shape[1] - 1, self.ids[:, -1]]

    def append(self, tokens: Tensor, rows: Tensor | None = None) -> None:
        if rows is not None:
            assert torch.equal(self.clip[rows], self.clip), "a row goes on about another clip"
        ids = self.ids if rows is None else self.ids[rows]
        self.ids = torch.cat([ids, tokens[:, None]], dim=1)


class PixelWriter(GenerativeModule):
    """Writes words that follow from a clip's pixels and what is asked, and nothing else.

    Its memory is the mean of each frame, ``[B, T, 1]``; ``spoilt`` names the clips whose memory is NaN.
    """

    padding = "repeat"

    def __init__(self, writes: Tokenizer, spoilt: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.writes, self.tokenizers, self.spoilt = writes, (writes,), spoilt
        self.batches: list[tuple[str, ...]] = []

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        return self.encode_with_memory(backbone, video).without_memory()

    def encode_with_memory(self, backbone: Backbone, video: VideoBatch) -> Features:
        self.batches.append(video.ids)
        memory = video.frames.double().mean(dim=(2, 3, 4))[..., None]
        for row, name in enumerate(video.ids):
            if name in self.spoilt:
                memory[row] = torch.nan
        return Features(memory, video.mask, memory[:, 0], memory)

    def predict(self, memory, text, chosen, *, causal, prompt=None):
        raise NotImplementedError("never trained")

    def start(self, memory, prompt=None, width=1, cache="all") -> TableDecoding:
        words = self.writes.vocabulary
        seeds = memory[:, 0, 0].mul(1000).long()
        if prompt is not None:  # every row has its own question, so its own table
            seeds = seeds.repeat_interleave(width) + (prompt.tokens * prompt.mask).sum(dim=1)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        tables = torch.stack([torch.randn(16, words.size, words.size, generator=draw) for draw in draws])
        return TableDecoding(tables, width if prompt is None else 1, words.start)


class NoiseBatches:
    """Batches as the engine asks for them, of pixels that follow from the number in a clip's name.

    ``damaged`` holds the clips that cannot be read, with the reason.
    """

    def __init__(self, tokenizer: Tokenizer, damaged: Mapping[str, str] | None = None) -> None:
        self.frames, self.tokenizer, self.damaged = self, tokenizer, dict(damaged or {})

    def prepare(self, chosen: Sequence[Clip], shown) -> dict[str, str]:
        return {clip.id: self.damaged[clip.id] for clip in chosen if clip.id in self.damaged}

    def videos(self, chosen: Sequence[Clip]) -> VideoBatch:
        numbers = [int("".join(filter(str.isdigit, clip.id))) for clip in chosen]
        pixels = torch.cat([clips(1, seed=number).frames + number for number in numbers])
        ids, shape = tuple(clip.id for clip in chosen), pixels.shape[:2]
        return VideoBatch(ids, pixels, torch.ones(shape, dtype=torch.bool), torch.zeros(shape))

    def texts(self, captions: Sequence[Caption]) -> TextBatch:
        raw = tuple(caption.text for caption in captions)
        ids, of = tuple(c.id for c in captions), tuple(c.clip_id for c in captions)
        return TextBatch(ids, of, raw, {self.tokenizer.name: self.tokenizer.encode(raw, 8)})


def spelling(size: int = 12, context: int = 16) -> Tokenizer:
    """Word ``w7`` is id 7; 1 starts a text, 2 ends it, 3 pads."""

    def encode(given, length: int) -> Encoding:
        tokens = torch.full((len(given), length), 3)
        for row, text in enumerate(given):
            own = [4 + sum(map(ord, word)) % (size - 4) for word in text.split()][: length - 2]
            tokens[row, : len(own) + 2] = torch.tensor([1, *own, 2])
        return Encoding(tokens, tokens != 3)

    def decode(ids) -> str:
        return " ".join(f"w{number}" for number in ids if number > 3)

    return Tokenizer("spelling", context, encode, Vocabulary(size, 1, 2, decode, pad=3))

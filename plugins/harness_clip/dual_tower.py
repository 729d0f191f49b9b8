"""A dual tower of open_clip as the harness sees it."""

from __future__ import annotations

import re

from torch import Tensor, nn

from harness import HarnessError
from harness.models import Backbone, Features, Preprocess, TextView, Tokenizer, TowerView
from harness_clip import half, text
from harness_clip.towers import view_of

_LAYER = re.compile(r"\.(?:resblocks|blocks)\.(\d+)\.")
#: Parts of the names of what follows the last layer: open_clip's towers, then timm's.
_BEHIND = (
    "ln_post",
    "visual.proj",
    "ln_final",
    "text_projection",
    "logit_scale",
    "logit_bias",
    "trunk.norm.",
    "trunk.fc_norm",
    "trunk.attn_pool",
    "trunk.head",
    "visual.head",
)


class DualTower(Backbone):
    """Wraps an ``open_clip.CLIP`` or ``CustomTextCLIP``, which stays reachable as ``clip``.

    ``name``, ``pretraining``, ``dim``, ``preprocess`` and ``tokenizer`` are those of
    :class:`harness.models.Backbone`. A SigLIP's ``logit_bias`` is frozen: no loss of the harness
    reads it, and a parameter without a gradient would stop distributed training.
    """

    def __init__(
        self,
        clip: nn.Module,
        *,
        name: str,
        pretraining: str,
        dim: int,
        preprocess: Preprocess,
        tokenizer: Tokenizer,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.name = name
        self.pretraining = pretraining
        self.dim = dim
        self.preprocess = preprocess
        self.tokenizer = tokenizer
        self._view: TowerView | None = None
        text.check(self._text_tower, name)
        if clip.logit_bias is not None:
            clip.logit_bias.requires_grad_(False)

    @property
    def logit_scale(self) -> nn.Parameter:
        """The wrapped model's own; registering it twice would store it twice."""
        return self.clip.logit_scale

    @property
    def visual(self) -> TowerView:
        """The visual tower taken apart; :class:`HarnessError` where its family forbids it."""
        if self._view is None:
            self._view = view_of(self.clip.visual, self.name)
        return self._view

    @property
    def text(self) -> TextView:
        """The text tower's layers, shared with this module."""
        return text.view_of(self._text_tower, self.name)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Normalised frames ``[N, 3, H, W]`` to projected features ``[N, D]``, not unit length."""
        return self.clip.encode_image(frames.to(half.dtype_of(self.clip, frames.dtype)))

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Features:
        """Tokens ``[B, L]``, any ``L`` up to the context, to features of every token and a pooled one.

        ``pooled`` is what ``open_clip.encode_text(normalize=False)`` returns. ``mask`` is passed
        on, not applied: these towers read padding causally or were trained with it.
        """
        length, context = tokens.shape[1], self.tokenizer.context
        if length > context or (length < context and text.fixed_length(self._text_tower)):
            raise HarnessError(
                f"the text tower of {self.name} has {context} positions and got {length} tokens",
                f"set the text length to {context}",
            )
        features, pooled = text.encode(self._text_tower, tokens)
        return Features(features, mask, pooled)

    def weights(self) -> dict[str, Tensor]:
        """The open_clip module's own state dict, as :mod:`harness_clip.weights` reads it."""
        return dict(self.clip.state_dict())

    def depth(self, name: str) -> int | None:
        """By the number in the name of a layer; the two families call their layers alike."""
        layer = _LAYER.search(name)
        if layer:
            return 1 + int(layer[1])
        return None if any(part in name for part in _BEHIND) else 0

    def forget_text(self) -> None:
        """Leaves ``clip.visual``."""
        for name, _ in list(self.clip.named_children()):
            if name != "visual":
                delattr(self.clip, name)
        scale = self.clip.logit_scale.detach()
        for name in [name for name, _ in self.clip.named_parameters(recurse=False)]:
            delattr(self.clip, name)
        self.clip.register_buffer("logit_scale", scale, persistent=False)

    def hold_in_half(self) -> None:
        """As OpenAI's ``convert_weights``; only towers of CLIP's own kind can be run like that."""
        half.hold(self.clip, self.name)

    @property
    def _text_tower(self) -> nn.Module:
        return getattr(self.clip, "text", self.clip)

"""TemporalModule: how a backbone is run over a clip, and how a clip and a text are compared."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from harness.models.backbone import Backbone, Tokenizer
from harness.models.batch import Features, TextBatch, VideoBatch
from harness.models.tower import Attention
from harness.specs import Options


@dataclass(frozen=True)
class BuildContext:
    """What a temporal module may know while it is built.

    ``frames`` and ``text_length`` are the recipe's; ``build_backbone`` makes a further tower from
    a recipe value such as ``{"name": "ViT-B-32"}`` for a module that needs more than one. With ``load``
    False weights stay random: a finished model is about to fill them.
    """

    backbone: Backbone
    frames: int
    text_length: int
    build_backbone: Callable[[Mapping[str, Any]], Backbone]
    load: bool = True


@dataclass(frozen=True)
class ClipAttention:
    """Blocks that are run over a clip at once: ``leading`` tokens, then the patches of each frame
    in turn, ``[B, leading + T L, W]``, and ``attend``, which decides who sees whom."""

    leading: int
    attend: Attention


class TemporalModule(nn.Module):
    """Owns the way from frames to features, and the score.

    ``pairwise``: the score needs both sides at once (a cross-encoder), so it is computed in tiles
    and never as one product of cached vectors. ``padding``: what short clips look like —
    ``masked`` (the mask is obeyed: padding never changes a result), ``repeat`` (frames are drawn
    again, no mask) or ``fixed_length`` (shorter clips are refused).
    """

    pairwise: bool = False
    padding: Literal["masked", "repeat", "fixed_length"] = "masked"
    #: Further tokenizers whose encodings this module reads from a text batch.
    tokenizers: tuple[Tokenizer, ...] = ()

    @abstractmethod
    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        """A batch of clips to features that depend on nothing but each clip itself."""

    def encode_text(self, backbone: Backbone, text: TextBatch) -> Features:
        """A batch of texts to features; by default the backbone's text tower."""
        encoding = text.encoding(backbone.tokenizer.name)
        return backbone.encode_text(encoding.tokens, encoding.mask)

    def score(self, text: Features, video: Features) -> Tensor:
        """Similarities ``[texts, videos]``; by default the cosine of the pooled vectors."""
        t = functional.normalize(text.vector, dim=-1)
        v = functional.normalize(video.vector, dim=-1)
        return t @ v.T

    def attention(self, frames: int) -> ClipAttention | None:
        """How the tower's blocks see a clip of ``frames`` frames; None: they see a frame at a time,
        with the tower's own attention. ``harness bench model`` measures what is declared here."""
        return None

    def enter_stage(self, options: Options, before: Options | None, fresh: bool) -> None:
        """A stage of training begins, or goes on where it was left (``fresh`` False).

        ``options`` are those of :class:`harness.TemporalModuleSpec` for that stage, ``before`` those of
        the stage before it. Called with the default options once training is over.
        """

    def hold_in_half(self) -> None:
        """Keep in half precision what stands in for a part of the tower; heads stay as they are.

        Called with :meth:`Backbone.hold_in_half`.
        """

    def logit_scale(self, backbone: Backbone) -> Tensor:
        """The factor between similarities and training logits; 1 for a head that makes logits."""
        return backbone.logit_scale.exp()

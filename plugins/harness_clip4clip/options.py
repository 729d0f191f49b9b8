"""What a recipe may set on CLIP4Clip's heads and optimizer. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from harness import Options

_Layers = Annotated[int, Meta(ge=1)]
_Beta = Annotated[float, Meta(ge=0, lt=1)]


class LinearPatchOptions(Options):
    """``linear_patch``: whether a patch is projected from its own frame or from three."""

    linear_patch: Literal["2d", "3d"] = "2d"


class SeqTransformerOptions(LinearPatchOptions):
    """``layers`` of the temporal transformer (the reference's ``cross_num_hidden_layers``).

    ``position_std`` starts the positions of frames anew, from N(0, std); 0 takes CLIP's text
    positions, as the reference does.
    """

    layers: _Layers = 4
    position_std: Annotated[float, Meta(ge=0)] = 0.0


class TightTransformerOptions(LinearPatchOptions):
    """``layers`` and ``heads`` (0: the text tower's) of the cross-encoder, ``dropout`` of its input, and
    ``position_std`` as in :class:`SeqTransformerOptions`."""

    layers: _Layers = 4
    heads: Annotated[int, Meta(ge=0)] = 0
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    position_std: Annotated[float, Meta(ge=0)] = 0.0


class ScheduleOptions(Options):
    """``warmup`` is the share of the steps before the rate is whole."""

    warmup: Annotated[float, Meta(ge=0, lt=1)] = 0.1


class BertAdamOptions(Options):
    """``max_grad_norm`` clips each tensor's gradient by itself (0: not)."""

    betas: tuple[_Beta, _Beta] = (0.9, 0.98)
    eps: Annotated[float, Meta(ge=0)] = 1e-6
    max_grad_norm: Annotated[float, Meta(ge=0)] = 1.0

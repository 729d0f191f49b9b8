"""Options of CLIP-ViP's components. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from harness import Options

_Rows = Annotated[int, Meta(ge=0)]
_Beta = Annotated[float, Meta(ge=0, lt=1)]


class VideoProxiesOptions(Options):
    """``proxies`` counts the class token too (the reference's add_cls_num + 1)."""

    proxies: Annotated[int, Meta(ge=1)] = 4
    temporal_embedding: bool = True  # whether there is a temporal table at all
    temporal_size: _Rows = 0  # rows of the temporal table; 0: the recipe's frames
    temporal_init_std: float = 0.0  # the reference starts at zero
    # The logarithm of the factor on similarities, set when the model is made; 0: the backbone's own.
    logit_scale_init: float = 0.0
    # Start from a checkpoint of another number of proxies, or of rows of the temporal table: proxies
    # that it lacks stay as initialised, further ones are left out, and the table is resampled.
    resize_on_import: bool = False


class FullAttentionOptions(Options):
    """As those of :class:`VideoProxiesOptions`."""

    temporal_embedding: bool = True
    temporal_size: _Rows = 0
    temporal_init_std: float = 0.0


class OmnisourceOptions(Options):
    """``same_clip``: whether another sample of one's own clip counts as a negative."""

    same_clip: Literal["ignore", "negative"] = "ignore"


class HFAdamWOptions(Options):
    """As in the published configurations."""

    betas: tuple[_Beta, _Beta] = (0.9, 0.98)
    eps: Annotated[float, Meta(ge=0)] = 1e-6


class ScheduleOptions(Options):
    """``warmup`` is the share of the steps over which the rate rises in a line."""

    warmup: Annotated[float, Meta(ge=0, le=1)] = 0.01


class MultiStepOptions(ScheduleOptions, frozen=True, kw_only=True):
    """``halve_at`` are shares of the steps; from each of them on the rate is half of what it was, and
    from the last one on a quarter, as in the reference."""

    halve_at: tuple[Annotated[float, Meta(ge=0, le=1)], ...] = ()

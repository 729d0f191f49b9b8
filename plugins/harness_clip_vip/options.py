"""Options of CLIP-ViP's components. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from harness import Options


class VideoProxiesOptions(Options):
    """``proxies`` counts the class token too (the reference's add_cls_num + 1)."""

    proxies: int = 4
    temporal_size: int = 0  # rows of the temporal table; 0: the recipe's frames
    temporal_init_std: float = 0.0  # the reference starts at zero


class OmnisourceOptions(Options):
    """``same_clip``: whether another sample of one's own clip counts as a negative."""

    same_clip: Literal["ignore", "negative"] = "ignore"

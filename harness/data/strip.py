"""A few frames of a clip side by side, for people: a single frame does not show what moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harness.data.dataset import Clip
from harness.data.sampling import Sampling
from harness.data.video import DamagedClip, VideoInfo, read_frames
from harness.data.window import no_frame

if TYPE_CHECKING:
    from PIL.Image import Image


def strip_of(clip: Clip, frames: int, width: int, height: int) -> Sequence[Image]:
    """Up to ``frames`` pictures, evenly spaced from the clip's first to its last frame, each made as large as
    a box of ``width`` x ``height`` pixels allows.

    Read afresh: those that a model saw may be very small. None where the clip is not there or damaged.
    """
    if clip.path is None or not clip.path.exists():
        return []

    def choose(info: VideoInfo) -> np.ndarray:
        places = Sampling(frames=frames, short="fewer").choose(info, clip.start_s, clip.end_s)
        if not len(places):
            raise DamagedClip(clip.path, no_frame(info, clip))
        return places

    try:
        return read_frames(clip.path, choose, convert=partial(_fitted, width=width, height=height)).frames
    except DamagedClip:
        return []


def _fitted(picture: np.ndarray, width: int, height: int) -> Image:
    """A frame ``[H, W, 3]``, made as large as its box allows."""
    from PIL import Image, ImageOps

    return ImageOps.contain(Image.fromarray(picture), (width, height))

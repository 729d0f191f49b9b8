"""Resizing as torch does it on tensors: floats, and with or without an antialiasing filter. numpy only.

Pillow always filters when it makes a picture smaller, and rounds after each of its two passes. Code
that resizes float tensors does neither of these by default, if its torchvision is older than 0.17: it
looks at two or four source pixels around each target pixel, however many lie between. That is what
CLIP-ViP trained on (``src/datasets/dataloader.py``, ``init_transform_dict_simple``: bicubic, straight
to the square, nothing clamped).

A resize along one side is a matrix of weights, and a picture's is one such matrix for each side.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Half the width of each kernel, in pixels of the coarser grid.
_REACH = {"bilinear": 1, "bicubic": 2}

#: The free parameter of the cubic kernel: torch has one for each way (Pillow's is the filtered one).
_CUBIC, _CUBIC_ANTIALIAS = -0.75, -0.5


def resized(
    picture: np.ndarray, width: int, height: int, interpolation: str = "bicubic", antialias: bool = False
) -> np.ndarray:
    """``[H, W, 3]`` on any scale to float32 ``[height, width, 3]`` on the same.

    ``torch.nn.functional.interpolate`` with ``align_corners=False``, to about 1e-4 on a scale of 255.
    Bicubic values may lie beyond those of the picture: nothing is clamped or rounded here.
    """
    rows, columns, channels = picture.shape
    down = weights(rows, height, interpolation, antialias)
    across = weights(columns, width, interpolation, antialias)
    shorter = down @ picture.astype(np.float32).reshape(rows, columns * channels)
    return across @ shorter.reshape(height, columns, channels)


def as_levels(picture: np.ndarray) -> np.ndarray:
    """Floats on a scale of 255 as the nearest of the 256 levels that a cache keeps, uint8.

    A model sees values that are off by half a level at most; what shot over black or white is cut.
    """
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


@lru_cache(maxsize=64)
def weights(source: int, target: int, interpolation: str, antialias: bool) -> np.ndarray:
    """The resize of one side, float32 ``[target, source]``; every row sums to one. Read-only.

    Pixel ``i`` of the target stands at ``(i + 0.5) * source / target`` of the source. Without
    ``antialias`` the kernel is as wide as source pixels ask, and those beyond the border are the
    border's; with it the kernel is as wide as the reduction asks, and is cut at the border.
    """
    assert source > 0 and target > 0 and interpolation in _REACH
    step = source / target
    centres = (np.arange(target) + 0.5) * step
    made = (_filtered if antialias else _plain)(centres, source, step, interpolation).astype(np.float32)
    made.flags.writeable = False  # it is shared
    return made


def _plain(centres: np.ndarray, source: int, _step: float, interpolation: str) -> np.ndarray:
    reach = _REACH[interpolation]
    places = centres - 0.5
    made = np.zeros((len(centres), source))
    for tap in range(1 - reach, reach + 1):
        at = np.floor(places).astype(np.int64) + tap
        share = _kernel(places - at, interpolation, _CUBIC)
        np.add.at(made, (np.arange(len(centres)), np.clip(at, 0, source - 1)), share)
    return made


def _filtered(centres: np.ndarray, source: int, step: float, interpolation: str) -> np.ndarray:
    wider = max(step, 1.0)
    reach = _REACH[interpolation] * wider
    pixels = np.arange(source)
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    past = np.minimum((centres + reach + 0.5).astype(np.int64), source)
    inside = (pixels >= first[:, None]) & (pixels < past[:, None])
    made = _kernel((pixels + 0.5 - centres[:, None]) / wider, interpolation, _CUBIC_ANTIALIAS) * inside
    return made / made.sum(axis=1, keepdims=True)


def _kernel(distance: np.ndarray, interpolation: str, a: float) -> np.ndarray:
    """The triangle, or the cubic of Keys (1981) with parameter ``a``."""
    x = np.abs(distance)
    if interpolation == "bilinear":
        return np.maximum(1 - x, 0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))

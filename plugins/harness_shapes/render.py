"""Draws a combination as frames: anti-aliased shapes over a noisy background, in numpy alone."""

from __future__ import annotations

import numpy as np

from harness_shapes.scenes import COLOURS, FRAMES, SIZE, Combination, Track, sample_track

# Half-extents at radius 1: half the side of the square, the inradius of the triangle, half the span
# and half the width of the cross's arms. The shapes reach about as far and fill their boxes to
# different degrees, which a few coarse patches can tell apart.
_SQUARE = 1.0
_TRIANGLE = 0.62
_CROSS, _ARM = 1.1, 0.22


def render(
    what: Combination,
    rng: np.random.Generator,
    height: int = SIZE,
    width: int = SIZE,
    frames: int = FRAMES,
) -> np.ndarray:
    """Draw one clip: uint8 ``[T, H, W, 3]``, RGB.

    With generators in the same state, a combination and its twin give each other's frames in
    reverse, pixel for pixel: nothing drawn from ``rng`` depends on the direction of time.
    """
    track = sample_track(what.motion, rng, height, width, frames)
    canvas = _background(rng, frames, height, width)
    colour = np.array(COLOURS[what.colour]) / 255 * rng.uniform(0.85, 1.0)
    cover = _coverage(what.shape, track, height, width)[..., None]
    canvas += cover * (colour - canvas)
    canvas += rng.normal(0.0, 0.02, canvas.shape)
    clip = np.rint(np.clip(canvas, 0.0, 1.0) * 255).astype(np.uint8)
    return np.ascontiguousarray(clip[::-1]) if what.backwards else clip


def _background(rng: np.random.Generator, frames: int, height: int, width: int) -> np.ndarray:
    """Soft blotches of dull colour around one grey, still for the whole clip: ``[T, H, W, 3]``."""
    grid = rng.uniform(0.05, 0.2) + rng.normal(0.0, 0.05, (6, 6, 3))
    still = _stretch(_stretch(grid, 0, height), 1, width)
    return np.repeat(still[None], frames, axis=0)


def _stretch(grid: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Interpolate linearly along one axis to ``length`` samples."""
    at = np.linspace(0, grid.shape[axis] - 1, length)
    low = np.minimum(at.astype(int), grid.shape[axis] - 2)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(grid.ndim)])
    return grid.take(low, axis) * (1 - share) + grid.take(low + 1, axis) * share


def _coverage(shape: str, track: Track, height: int, width: int) -> np.ndarray:
    """How much of each pixel the shape covers, 0 to 1: ``[T, H, W]``.

    Distance to the outline, clipped to one pixel around it, stands for the covered area.
    """
    x = np.arange(width)[None, None, :] + 0.5 - track.x[:, None, None]
    y = np.arange(height)[None, :, None] + 0.5 - track.y[:, None, None]
    radius = track.radius[:, None, None]
    if shape == "circle":
        outside = np.hypot(x, y) - radius
    elif shape == "square":
        outside = np.maximum(abs(x), abs(y)) - _SQUARE * radius
    elif shape == "triangle":
        slope = np.sqrt(3) / 2 * abs(x) - y / 2
        outside = np.maximum(slope, y) - _TRIANGLE * radius
    else:
        span, arm = _CROSS * radius, _ARM * radius
        upright = np.maximum(abs(x) - arm, abs(y) - span)
        outside = np.minimum(upright, np.maximum(abs(x) - span, abs(y) - arm))
    return np.clip(0.5 - outside, 0.0, 1.0)

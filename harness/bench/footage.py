"""Synthetic footage to measure decoding with: coded as web video is, kept for the next measurement.

A flat test card would compress to nothing and decode in no time. Here a camera pans over textures
with the spectrum of natural pictures (amplitude falls with frequency), a patch moves against it,
grain lies on top, and the scene changes every few seconds, at x264's own settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.bench.place import writable

RATE = 25
#: Raised when the pictures change, so that old footage is not measured as new.
VERSION = 1

#: A scene lasts between so many seconds, as in edited web video; x264 starts each with a key frame.
#: What reading a few frames costs hangs on it: with scenes of 6 s the longest clip gains a third less.
SCENE_S = (2, 4)
#: Standard deviation of the grain, in grey levels.
_GRAIN = 1.5


@dataclass(frozen=True)
class Shape:
    """A clip's length and size, after those of the retrieval benchmarks."""

    name: str
    seconds: int
    width: int
    height: int

    @property
    def frames(self) -> int:
        return max(1, self.seconds * RATE)

    def __str__(self) -> str:
        return f"{self.name}: {self.seconds} s {self.width}x{self.height}"


SHAPES = (Shape("A", 15, 320, 240), Shape("B", 30, 640, 360), Shape("C", 120, 640, 360))


def footage_path(folder: Path, shape: Shape) -> Path:
    return folder / f"{shape.seconds}s-{shape.width}x{shape.height}-v{VERSION}.mp4"


def footage(folder: Path, shape: Shape, progress: Callable[[int], None] = lambda _: None) -> Path:
    """The clip of ``shape`` under ``folder``, written if it is not there yet.

    ``progress`` is told the number of frames written.
    """
    path = footage_path(folder, shape)
    if not os.path.exists(path):  # False where the folder cannot be looked into, too
        draft = writable(folder) / f".{path.name}.{os.getpid()}"
        try:
            _encode(draft, shape, progress)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path


def _encode(path: Path, shape: Shape, progress: Callable[[int], None]) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
        for number, picture in enumerate(_pictures(shape)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            progress(number + 1)
        out.mux(stream.encode(None))


def _pictures(shape: Shape) -> Iterator[np.ndarray]:
    """All pictures of a clip, uint8 ``[H, W, 3]``, the same on every machine."""
    random = np.random.default_rng(shape.seconds)
    height, width = size = shape.height, shape.width
    grain = random.normal(0, _GRAIN, (8, height, width, 1)).astype(np.float32)
    at = left_over = 0
    for number in range(shape.frames):
        at, left_over = at + 1, left_over - 1
        if left_over <= 0:
            at, left_over = 0, round(random.uniform(*SCENE_S) * RATE)
            wide, patch = _texture(random, 2 * height, 2 * width), _texture(random, height // 3, width // 3)
            pan, walk = random.uniform(-1.2, 1.2, 2), random.uniform(-2.5, 2.5, 2)
        top, left = (int(side / 2 + speed * at) % side for side, speed in zip(size, pan, strict=True))
        picture = wide[top : top + height, left : left + width].copy()
        y, x = (int(side / 3 + speed * at) % (2 * side // 3) for side, speed in zip(size, walk, strict=True))
        picture[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
        yield np.clip(picture + grain[number % len(grain)], 0, 255).astype(np.uint8)


def _texture(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise whose amplitude falls as one over frequency, float32 ``[height, width, 3]`` in 0..255."""
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    fall = 1 / np.maximum(np.hypot(y, x), 1 / max(height, width)) ** 1.2
    layers = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * random.random(fall.shape))
        layer = np.fft.irfft2(fall * phases, (height, width))
        layers.append(128 + 45 * layer / layer.std())
    grey = sum(layers) / 3
    return np.clip(np.stack([0.7 * grey + 0.3 * layer for layer in layers], axis=-1), 0, 255).astype(
        np.float32
    )

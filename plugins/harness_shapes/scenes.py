"""What a clip shows: a coloured shape, one of eight motions, and how both are jittered.

The motions are four pairs of exact time reversals. Only the first of a pair is ever drawn; the
second is the same drawing played backwards. Whatever the jitter, the frames of a clip taken as a
set therefore cannot tell which of the two motions it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

#: Hues a sixth of the colour circle apart, so that halved chroma resolution keeps them distinct.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 30, 30),
    "yellow": (235, 225, 30),
    "green": (30, 200, 40),
    "cyan": (30, 215, 225),
    "blue": (40, 50, 235),
    "magenta": (225, 40, 220),
}

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")

#: (drawn motion, the same played backwards)
PAIRS: tuple[tuple[str, str], ...] = (
    ("left to right", "right to left"),
    ("top to bottom", "bottom to top"),
    ("clockwise", "counterclockwise"),
    ("growing", "shrinking"),
)

TWIN: dict[str, str] = {a: b for a, b in PAIRS} | {b: a for a, b in PAIRS}
DRAWN_AS: dict[str, str] = {a: a for a, _ in PAIRS} | {b: a for a, b in PAIRS}
MOTIONS: tuple[str, ...] = tuple(motion for pair in PAIRS for motion in pair)

#: Eight frames picked evenly from fifteen are every second one, with no rounding. Where places are
#: cut to whole frames, the picks sit a little early in time; a clip and its twin are then picked at
#: places that do not mirror each other, which their mean position betrays to a model without any
#: sense of order. Two, three or all fifteen frames are as safe; other numbers are nearly so.
FRAMES = 15
FPS = 8
SIZE = 32


@dataclass(frozen=True)
class Combination:
    """What the caption says of a clip."""

    colour: str
    shape: str
    motion: str

    @property
    def twin(self) -> Combination:
        """The same shape in the reversed motion."""
        return replace(self, motion=TWIN[self.motion])

    @property
    def backwards(self) -> bool:
        """Whether this is the reversed drawing of its pair."""
        return DRAWN_AS[self.motion] != self.motion


#: All 192, in the order of clip numbers.
COMBINATIONS: tuple[Combination, ...] = tuple(
    Combination(*parts) for parts in product(COLOURS, SHAPES, MOTIONS)
)


@dataclass(frozen=True)
class Track:
    """Centre and radius of the shape in each frame, ``[T]``, in pixels, in drawing order."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray


def sample_track(motion: str, rng: np.random.Generator, height: int, width: int, frames: int) -> Track:
    """Draw the jittered path of a motion; a motion and its twin draw the same one.

    Lengths are fractions of the shorter side, so that any frame size shows the same scene.
    """
    side = min(height, width)
    time = np.linspace(-1.0, 1.0, frames)
    x = np.full(frames, width / 2) + side * rng.uniform(-0.03, 0.03)
    y = np.full(frames, height / 2) + side * rng.uniform(-0.03, 0.03)
    radius = np.full(frames, side * rng.uniform(0.17, 0.19))
    drawn = DRAWN_AS[motion]
    if drawn == "left to right":
        x += time * (width / 2 - side * rng.uniform(0.19, 0.23))
        y += side * rng.uniform(-0.03, 0.03)
    elif drawn == "top to bottom":
        y += time * (height / 2 - side * rng.uniform(0.19, 0.23))
        x += side * rng.uniform(-0.03, 0.03)
    elif drawn == "clockwise":
        # The image's y axis points down, so a growing angle turns clockwise.
        angle = rng.uniform(0, 2 * np.pi) + np.pi * rng.uniform(0.75, 0.95) * time
        orbit = side * rng.uniform(0.25, 0.28)
        x += orbit * np.cos(angle)
        y += orbit * np.sin(angle)
    else:
        x += side * rng.uniform(-0.03, 0.03)
        y += side * rng.uniform(-0.03, 0.03)
        small, large = side * rng.uniform(0.08, 0.10), side * rng.uniform(0.32, 0.36)
        radius = small + (large - small) * (time + 1) / 2
    return Track(x, y, radius)

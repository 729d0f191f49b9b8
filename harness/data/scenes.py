"""Invented clips for tries without real videos: drawn scenes, and true sentences about them.

In each act of a scene a coloured shape moves over a textured background. Everything follows from a
seed, so that two people who make the same scenes have the same pixels and the same words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from harness.data.writing import FORMATS, encode

WIDTH, HEIGHT = 96, 72

_COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 30), "orange": (250, 140, 20), "yellow": (245, 230, 40), "green": (40, 200, 60),
    "blue": (45, 80, 240), "purple": (150, 50, 200), "pink": (250, 130, 190), "white": (250, 250, 250),
}  # fmt: skip
_TINTS: dict[str, tuple[int, int, int]] = {
    "grey": (80, 80, 80), "brown": (95, 62, 35), "dark blue": (25, 40, 90), "dark green": (20, 75, 45),
}  # fmt: skip

# Signed distance to the outline, negative inside; x and y in units of the shape's radius.
_SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: np.hypot(x, y) - 1.0,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.75) - 0.25,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.85,
    "diamond": lambda x, y: (abs(x) + abs(y)) * np.sqrt(0.5) - 0.75,
    "triangle": lambda x, y: np.maximum(np.sqrt(0.75) * abs(x) - y / 2, y) - 0.55,
    "bar": lambda x, y: np.maximum(abs(x) - 1.1, abs(y) - 0.4),
}


@dataclass(frozen=True)
class _Motion:
    """How it is said, and where the shape is at times ``t [T]`` from 0 to 1.

    ``at`` gives x and y, from -1 to 1 between the picture's edges, and the size of the shape.
    """

    phrases: tuple[str, str, str]
    at: Callable[[np.ndarray], tuple]


_MOTIONS: dict[str, _Motion] = {
    "right": _Motion(
        ("moves from left to right", "glides over to the right", "travels towards the right side"),
        lambda t: (1.3 * t - 0.65, 0, 1),
    ),
    "left": _Motion(
        ("moves from right to left", "glides over to the left", "travels towards the left side"),
        lambda t: (0.65 - 1.3 * t, 0, 1),
    ),
    "up": _Motion(
        ("rises from the bottom to the top", "floats upwards", "climbs up the picture"),
        lambda t: (0, 0.6 - 1.2 * t, 1),
    ),
    "down": _Motion(
        ("sinks from the top to the bottom", "drifts downwards", "comes down the picture"),
        lambda t: (0, 1.2 * t - 0.6, 1),
    ),
    "grow": _Motion(
        ("grows", "gets bigger and bigger", "swells in the middle"), lambda t: (0, 0, 0.4 + 1.3 * t)
    ),
    "shrink": _Motion(
        ("shrinks", "gets smaller and smaller", "dwindles in the middle"), lambda t: (0, 0, 1.7 - 1.3 * t)
    ),
    "circle": _Motion(
        ("goes around once in a circle", "runs around clockwise", "makes a full turn around the middle"),
        # The y axis of a picture points down, so that a growing angle turns clockwise.
        lambda t: (0.5 * np.cos(2 * np.pi * t), 0.5 * np.sin(2 * np.pi * t), 1),
    ),
    "swing": _Motion(
        ("swings from side to side", "sways to the right and to the left", "rocks to and fro"),
        lambda t: (0.55 * np.sin(4 * np.pi * t), 0, 1),
    ),
    "bounce": _Motion(
        ("bounces twice", "hops up and down", "jumps off the ground two times"),
        lambda t: (0, 0.55 - 1.1 * abs(np.sin(2 * np.pi * t)), 1),
    ),
    "rest": _Motion(
        ("does not move", "stays where it is", "stands still in the middle"), lambda t: (0, 0, 1)
    ),
}

#: What a background is like, and what can be seen on it.
_TEXTURES = {"striped": "stripes", "checked": "squares", "dotted": "dots", "cloudy": "clouds"}

# As many as share no factor with the number of phrases: taken in turn, both run through all pairs.
_FORMS = (
    "{a} {colour} {shape} {motion}",
    "on a {tint} {texture} background {a} {colour} {shape} {motion}",
    "there is {a} {colour} {shape} that {motion}",
    "{a} {colour} {shape} {motion} in front of a {texture} wall",
    "something {colour} in the form of a {shape} {motion}",
)


@dataclass(frozen=True)
class Act:
    """What is to be seen at one time: a shape of a colour in a motion."""

    colour: str
    shape: str
    motion: str


@dataclass(frozen=True)
class Scene:
    """Acts that follow each other, equally long, over one background."""

    acts: tuple[Act, ...]
    texture: str
    tint: str

    def sentences(self, act: int = 0) -> list[str]:
        """Fifteen different sentences about one act, in lower case and without a full stop."""
        what = self.acts[act]
        motions = _MOTIONS[what.motion].phrases
        article = "an" if what.colour[0] in "aeiou" else "a"
        return [
            _FORMS[number % len(_FORMS)].format(
                a=article,
                colour=what.colour,
                shape=what.shape,
                motion=motions[number % len(motions)],
                texture=self.texture,
                tint=self.tint,
            )
            for number in range(len(_FORMS) * len(motions))
        ]

    def questions(self, act: int = 0) -> list[tuple[str, str, str]]:
        """(question, answer of one word, ``colour`` or ``object``): three about one act."""
        what = self.acts[act]
        return [
            (f"what is the colour of the {what.shape}", what.colour, "colour"),
            (f"what is the {what.colour} thing", what.shape, "object"),
            (f"what is on the wall behind the {what.shape}", _TEXTURES[self.texture], "object"),
        ]


def invent(seed: str, acts: Sequence[int]) -> list[Scene]:
    """One scene for each entry of ``acts``, with as many acts; no act comes twice in the list."""
    rng = random.Random(seed)
    possible = [Act(*parts) for parts in product(_COLOURS, _SHAPES, _MOTIONS)]
    assert sum(acts) <= len(possible), "there are not so many different acts"
    rng.shuffle(possible)
    return [
        Scene(
            tuple(possible.pop() for _ in range(count)), rng.choice(list(_TEXTURES)), rng.choice(list(_TINTS))
        )
        for count in acts
    ]


def draw(scene: Scene, frames: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The frames of a scene: uint8 ``[frames, height, width, 3]``, RGB."""
    ground = _background(scene, width, height)
    parts = np.array_split(np.arange(frames), len(scene.acts))
    clip = np.concatenate([_play(act, len(part), ground) for act, part in zip(scene.acts, parts)])
    return np.rint(clip).clip(0, 255).astype(np.uint8)


def film(scene: Scene, path: Path, seconds: float, fps: int = 12, suffix: str = "") -> None:
    """Draw a scene and write it to ``path``, making its folder.

    The file's content is what its own suffix says, or ``suffix``, for names that say nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(draw(scene, round(seconds * fps)), fps, FORMATS[suffix or path.suffix]))


def _play(act: Act, frames: int, ground: np.ndarray) -> np.ndarray:
    """One act over its background ``[H, W, 3]``: float ``[frames, H, W, 3]``."""
    height, width = ground.shape[:2]
    x, y, size = (np.broadcast_to(v, frames) for v in _MOTIONS[act.motion].at(np.linspace(0, 1, frames)))
    radius = (size * 0.2 * min(height, width))[:, None, None]
    across = (np.arange(width) + 0.5)[None, None, :] - (width / 2 * (1 + x))[:, None, None]
    down = (np.arange(height) + 0.5)[None, :, None] - (height / 2 * (1 + y))[:, None, None]
    outside = _SHAPES[act.shape](across / radius, down / radius) * radius
    # Distance to the outline, cut to one pixel around it, stands for the covered share of a pixel.
    cover = np.clip(0.5 - outside, 0, 1)[..., None]
    return ground + cover * (np.array(_COLOURS[act.colour]) - ground)


def _background(scene: Scene, width: int, height: int) -> np.ndarray:
    """Darker and lighter places of one tint: float ``[H, W, 3]``."""
    y, x = np.mgrid[0:height, 0:width]
    if scene.texture == "striped":
        light = (x + y) // 6 % 2
    elif scene.texture == "checked":
        light = (x // 9 + y // 9) % 2
    elif scene.texture == "dotted":
        light = np.hypot(x % 12 - 5.5, y % 12 - 5.5) < 3
    else:
        light = 0.5 + 0.25 * (np.sin(x / 7 + np.sin(y / 9)) + np.sin(y / 8 + 2 * np.sin(x / 17)))
    return np.array(_TINTS[scene.tint]) * (0.8 + 0.5 * light[..., None])

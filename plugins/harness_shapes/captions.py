"""How a combination is put into words: one fixed sentence in test, several in training."""

from __future__ import annotations

import numpy as np

from harness_shapes.scenes import Combination

# The first phrase of each motion is the one that test captions use.
_PHRASES: dict[str, tuple[str, ...]] = {
    "left to right": ("moves from left to right", "goes left to right", "travels to the right"),
    "right to left": ("moves from right to left", "goes right to left", "travels to the left"),
    "top to bottom": ("moves from top to bottom", "goes top to bottom", "travels down"),
    "bottom to top": ("moves from bottom to top", "goes bottom to top", "travels up"),
    "clockwise": ("moves clockwise", "goes around clockwise", "circles clockwise"),
    "counterclockwise": (
        "moves counterclockwise",
        "goes around counterclockwise",
        "circles counterclockwise",
    ),
    "growing": ("grows", "gets bigger", "becomes larger"),
    "shrinking": ("shrinks", "gets smaller", "becomes smaller"),
}

_FRAMES: tuple[str, ...] = (
    "a {colour} {shape} {phrase}",
    "the {colour} {shape} {phrase}",
    "a {shape} that is {colour} {phrase}",
    "in this video a {colour} {shape} {phrase}",
)


def canonical(what: Combination) -> str:
    """The test caption, such as "a red circle moves from left to right"."""
    return _say(_FRAMES[0], _PHRASES[what.motion][0], what)


def of_one_frame(what: Combination) -> str:
    """What an image captioner could say of any frame, such as "a picture of a red circle"."""
    return f"a picture of a {what.colour} {what.shape}"


def phrasings(what: Combination) -> list[str]:
    """Every sentence that training may use for it; the test caption comes first."""
    return [_say(frame, phrase, what) for frame in _FRAMES for phrase in _PHRASES[what.motion]]


def pick(what: Combination, rng: np.random.Generator) -> str:
    """Draw a training caption; the test's own sentence comes up in about a third of draws."""
    if rng.random() < 0.25:
        return canonical(what)
    sentences = phrasings(what)
    return sentences[rng.integers(len(sentences))]


def _say(frame: str, phrase: str, what: Combination) -> str:
    return frame.format(colour=what.colour, shape=what.shape, phrase=phrase)

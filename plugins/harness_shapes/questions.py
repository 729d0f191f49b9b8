"""What is asked about a combination: its colour, its shape and its motion, in three fixed sentences.

Only the order of frames answers the third; its sentence is the same for every clip, so that nothing in it
tells the motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness_shapes.scenes import Combination


class About(NamedTuple):
    """A question, its answer, and which of ``colour``, ``shape`` and ``motion`` it is about; ``foil`` is the
    motion of the reversed clip."""

    kind: str
    text: str
    answer: str
    foil: str = ""


def ask(what: Combination) -> Iterator[About]:
    """One question of each kind."""
    yield About("colour", f"what colour is the {what.shape}?", what.colour)
    yield About("shape", f"what shape is the {what.colour} thing?", what.shape)
    yield About("motion", "which way does it move?", what.motion, what.twin.motion)

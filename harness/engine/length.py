"""How long each stage trains: its epochs, or its share of a budget of frames or of time."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.errors import HarnessError
from harness.plan.budget import shown
from harness.plan.schema import Recipe, Stage

#: The schedule's steps of a stage that is as long as a time.
FINE = 10_000


class Length(Protocol):
    """The end of a stage, and where in it a step lies; ``seconds`` are those of the whole training."""

    def left(self, step: int) -> int:
        """No more steps than these are to come."""

    def ended(self, step: int, seconds: float) -> bool:
        """Whether the stage is over once ``step`` steps are done."""

    def place(self, step: int, seconds: float) -> tuple[int, int]:
        """What the schedule gets: the step (from 0) and their number."""

    def meter(self, step: int, seconds: float) -> tuple[int, int]:
        """What is done, of what, for the user."""


@dataclass(frozen=True)
class Steps:
    """So many steps."""

    total: int

    def left(self, step: int) -> int:
        return self.total - step

    def ended(self, step: int, seconds: float) -> bool:
        return step >= self.total

    def place(self, step: int, seconds: float) -> tuple[int, int]:
        return step, self.total

    meter = place


@dataclass(frozen=True)
class Seconds:
    """From one second of training to another, and one step at least."""

    begins: float
    ends: float

    def left(self, step: int) -> int:
        return sys.maxsize

    def ended(self, step: int, seconds: float) -> bool:
        return step > 0 and seconds >= self.ends

    def place(self, step: int, seconds: float) -> tuple[int, int]:
        part = (seconds - self.begins) / (self.ends - self.begins)
        return min(max(int(part * FINE), 0), FINE - 1), FINE

    def meter(self, step: int, seconds: float) -> tuple[int, int]:
        # Whole seconds, the last one at the very end: a meter at its end is drawn again with every step.
        whole = math.ceil(self.ends - self.begins)
        return whole if self.ended(step, seconds) else min(
            max(int(seconds - self.begins), 0), whole - 1
        ), whole


def lengths(
    recipe: Recipe, samples: Mapping[str, int], counted_on: Mapping[str, int], world: int
) -> dict[str, Length]:
    """The length of each stage, whose epochs are of so many ``samples``, with ``world`` workers.

    Its epochs are worth the steps that ``counted_on`` samples would make: those of the whole training set,
    where ``samples`` are a share of it. Under a budget every stage keeps the share of all frames that its
    epochs would have seen. A budget of frames is used up to less than a batch for each stage; the frames of
    a sample are ``data.frames``, those of short clips that are padded too.
    """
    frames = recipe.data.frames
    batches = {name: effective_batch(stage, samples[name], world) for name, stage in recipe.stages.items()}
    own = {
        name: counted_on[name] // effective_batch(stage, counted_on[name], world) * stage.epochs
        for name, stage in recipe.stages.items()
    }  # in steps
    budget = recipe.budget
    if budget is None:
        return {name: Steps(steps) for name, steps in own.items()}
    whole = sum(own[name] * batches[name] for name in own)
    found: dict[str, Length] = {}
    before = 0
    for name, batch in batches.items():
        seen = own[name] * batch
        if budget.frames:
            steps = budget.frames * seen // (whole * frames * batch)
            if not steps:
                raise HarnessError(
                    f"the budget of {shown(budget)} is less than one step of stage '{name}', "
                    f"{frames} frames x {batch} samples",
                    "give a larger --budget, or a smaller train.batch_size",
                )
            found[name] = Steps(steps)
        else:
            begins, ends = (budget.seconds * part / whole for part in (before, before + seen))
            found[name] = Seconds(begins, ends)
        before += seen
    return found


def effective_batch(stage: Stage, samples: int, world: int) -> int:
    """The global batch that is really used: no larger than the training set."""
    batch = min(stage.batch_size, samples)
    if batch < world:
        raise HarnessError(f"a batch of {batch} cannot be shared by {world} workers", "use fewer --workers")
    return batch

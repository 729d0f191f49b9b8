"""Schedules: a plain function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.plugins import load_factory
from harness.testing.kit import Fault, Subject
from harness.testing.plain import options_of

PREPARED = "the factory makes a schedule"

BASE = 1e-4
#: Lengths of a stage: one step, few, and more than most warm-ups.
TOTALS = (1, 2, 7, 100)

Rate = Callable[[int, int, float], float]


def prepare(subject: Subject) -> Rate:
    made = load_factory(subject.spec.factory, subject.plugin)(options_of(subject))
    if not callable(made):
        raise Fault(
            f"the factory returned a {type(made).__name__}", "return a function of step, total and base rate"
        )
    return made


def usable(rate: Rate) -> None:
    """Every step's factor is a finite number that is not negative, and some step of a stage moves."""
    for total in TOTALS:
        factors = [rate(step, total, BASE) for step in range(total)]
        for step, factor in enumerate(factors):
            if not isinstance(factor, int | float) or not math.isfinite(factor) or factor < 0:
                raise Fault(
                    f"step {step} of {total} has the factor {factor!r}",
                    "steps count from 0 and end before the total",
                )
        if total == TOTALS[-1] and not any(factors):
            raise Fault(
                f"all {total} steps have the factor 0", "the factor is on the base rate: 1 is all of it"
            )


def stateless(rate: Rate) -> None:
    """A run that is resumed asks for its steps out of order, and gets the same factors."""
    total = TOTALS[-1]
    forward = [rate(step, total, BASE) for step in range(total)]
    backward = [rate(step, total, BASE) for step in reversed(range(total))]
    if forward != backward[::-1]:
        raise Fault(
            "a step's factor depends on what was asked before", "compute it from step and total alone"
        )


FORM = (("every step has a factor", usable),)
CHECKS = (("a resumed run has the same factors", stateless),)

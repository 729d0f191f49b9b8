"""Rates over time as the reference has them (``src/optimization/sched.py``).

Steps are counted from 1. A rate of zero, which the last step of a cosine or a line would have, is
replaced by 1e-8, whatever the base rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from harness_clip_vip.options import MultiStepOptions, ScheduleOptions

#: The factor on a base rate for an update (from 0) of so many.
Factor = Callable[[int, int, float], float]
#: The factor at ``step`` (from 1) of ``total``, of which ``warm`` are the warm-up.
Shape = Callable[[int, int, int], float]

LOWEST = 1e-8


def cosine(options: ScheduleOptions) -> Factor:
    return _warmed_up(
        options, lambda step, total, warm: 0.5 * (1 + math.cos(math.pi * _done(step, total, warm)))
    )


def linear(options: ScheduleOptions) -> Factor:
    return _warmed_up(options, lambda step, total, warm: 1 - _done(step, total, warm))


def invsqrt(options: ScheduleOptions) -> Factor:
    return _warmed_up(options, lambda step, total, warm: math.sqrt(max(1, warm) / max(1, step)))


def constant(options: ScheduleOptions) -> Factor:
    return lambda step, total, base: 1.0


def multi_step(options: MultiStepOptions) -> Factor:
    def shape(step: int, total: int, warm: int) -> float:
        if step == warm:  # the last step of the warm-up here, the first one after it elsewhere
            return 1.0
        passed = sum(step >= share * total for share in options.halve_at)
        # The last one counts twice in the reference.
        return 0.5 ** (passed + (0 < passed == len(options.halve_at)))

    return _warmed_up(options, shape)


def _warmed_up(options: ScheduleOptions, shape: Shape) -> Factor:
    def factor(step: int, total: int, base: float) -> float:
        step += 1
        warm = int(options.warmup * total)
        found = step / warm if step < warm else shape(step, total, warm)
        return found if base * found > 0 else LOWEST / base if base else 0.0

    return factor


def _done(step: int, total: int, warm: int) -> float:
    """The share of the steps behind the warm-up that is done."""
    return (step - warm) / (total - warm) if total > warm else 1.0

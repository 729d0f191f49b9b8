"""The usual learning rates over time: a linear warm-up, then a shape."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness_standard.plugin import ScheduleOptions

Factor = Callable[[int, int, float], float]


def cosine(options: ScheduleOptions) -> Factor:
    return _warmed_up(options.warmup, lambda progress: 0.5 * (1 + math.cos(math.pi * progress)))


def linear(options: ScheduleOptions) -> Factor:
    return _warmed_up(options.warmup, lambda progress: 1 - progress)


def constant(options: ScheduleOptions) -> Factor:
    return _warmed_up(options.warmup, lambda progress: 1.0)


def _warmed_up(warmup: float, shape: Callable[[float], float]) -> Factor:
    def factor(step: int, total: int, base: float) -> float:
        """For update ``step`` (from 0) of ``total``; neither the first nor the last one is lost."""
        warm = int(warmup * total)
        return (step + 1) / warm if step < warm else shape((step - warm) / (total - warm))

    return factor

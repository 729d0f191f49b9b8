"""Intervals of median and mean rank over queries: the percentile bootstrap.

A recall has Wilson's interval in closed form; a median of few and coarse ranks has none that is as good.
They are drawn once, when a record is made, and kept in it, so that an audit can draw them again.
B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.results.ranks import Counts, ranks
from harness.results.record import DIRECTIONS, Queries, Resampling, TiePolicy

SAMPLES = 1_000
SEED = 0
_ENDS = (0.025, 0.975)
# Draws held at once: a few megabytes, whatever the number of queries.
_HELD = 1 << 20


class _Draws(NamedTuple):
    """Samples of ``n`` places in the order of the ranks: ``times`` uint8 ``[SAMPLES, n]`` says how often each
    place was drawn, ``middle`` int64 ``[2, SAMPLES]`` the two places at the middle of each sample."""

    times: np.ndarray
    middle: np.ndarray


def resampled(queries: Queries, ties: TiePolicy) -> Resampling:
    """The 95 % intervals of ``MdR`` and ``MnR`` in both directions.

    They depend on the ranks alone, not on the order of the queries, and are the same bits on every machine.
    """
    intervals = {}
    for direction in DIRECTIONS:
        rank = ranks(Counts.unpack(getattr(queries, direction)), ties)
        for name, samples in zip(("MdR", "MnR"), _samples(rank), strict=True):
            # Values that were drawn, none between two: a median is a rank, or half of one.
            low, high = np.quantile(samples, _ENDS, method="inverted_cdf")
            intervals[f"{direction}.{name}"] = (float(low), float(high))
    return Resampling(samples=SAMPLES, seed=SEED, intervals=intervals)


def _samples(rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians and means of the samples, float64 ``[SAMPLES]`` each, of ranks ``[Q]``."""
    ordered = np.sort(rank)
    draws = _draws(len(rank))
    step = max(1, _HELD // len(rank))
    # Sums of halves are exact in any order, so a mean has the same bits whatever adds it up.
    sums = [draws.times[at : at + step].astype(np.float64) @ ordered for at in range(0, SAMPLES, step)]
    return ordered[draws.middle].mean(axis=0), np.concatenate(sums) / len(rank)


@lru_cache(maxsize=2)  # one of each direction: every record of a protocol has as many queries
def _draws(n: int) -> _Draws:
    # Not a Generator: of this older class alone numpy promises the same numbers in every version.
    rng = np.random.RandomState(SEED)
    times = np.empty((SAMPLES, n), dtype=np.uint8)
    middle = np.empty((2, SAMPLES), dtype=np.int64)
    step = max(1, _HELD // n)
    for at in range(0, SAMPLES, step):
        rows = min(step, SAMPLES - at)
        drawn = rng.randint(0, n, size=(rows, n), dtype=np.int32)
        drawn.partition(((n - 1) // 2, n // 2), axis=1)
        middle[:, at : at + rows] = drawn[:, (n - 1) // 2], drawn[:, n // 2]
        drawn += np.arange(rows, dtype=np.int32)[:, None] * n
        counted = np.bincount(drawn.ravel(), minlength=rows * n)
        assert counted.max() < 256
        times[at : at + rows] = counted.reshape(rows, n)
    return _Draws(times, middle)

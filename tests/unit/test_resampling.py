"""Intervals over queries: that they hold the truth as often as they say, and are the same bits again."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import numpy as np
import pytest

from harness.results import ranks
from harness.results.record import Queries, QueryCounts
from harness.results.resampling import SAMPLES, resampled
from harness.results.statistics import recall_interval

#: Simulated test sets, queries of each, and the largest rank there is.
TIMES, ASKED, GALLERY = 400, 1000, 10**6
#: Logarithms of ranks are normal with this mean and deviation, before ranks are rounded up.
MEAN, DEVIATION = 5.0, 0.8


def _counts(seed: int) -> ranks.Counts:
    drawn = np.random.default_rng(seed).normal(MEAN, DEVIATION, ASKED)
    better = np.ceil(np.exp(drawn)).astype(np.int64) - 1
    return ranks.Counts(better, np.ones(ASKED, dtype=np.int64), GALLERY)


def _above(rank: float) -> float:
    """The true share of ranks above ``rank``."""
    return 1 - NormalDist(MEAN, DEVIATION).cdf(math.log(rank)) if rank > 0 else 1.0


def _nominal(held: int) -> bool:
    """Whether so many of TIMES intervals are 95 % of them, but for binomial error (three deviations)."""
    return abs(held / TIMES - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / TIMES)


@pytest.fixture(scope="module")
def drawn() -> list:
    """The intervals of all simulated test sets; one direction is enough, so both are the same."""
    made = []
    for seed in range(TIMES):
        packed = _counts(seed).pack()
        made.append(resampled(Queries(t2v=packed, v2t=packed), "average").intervals)
    return made


def test_intervals_of_the_median_rank_hold_the_truth_at_their_rate(drawn) -> None:
    """95 % of the intervals of MdR hold the true median of the ranks, but for binomial error."""
    truth = math.ceil(math.exp(MEAN))  # the smallest rank with half of the ranks up to it
    assert _nominal(sum(low <= truth <= high for low, high in (found["t2v.MdR"] for found in drawn)))


def test_intervals_of_the_mean_rank_hold_the_truth_at_their_rate(drawn) -> None:
    """95 % of the intervals of MnR hold the true mean of the ranks, but for binomial error."""
    truth = sum(map(_above, range(50_000)))  # the sum of P(rank > r)
    assert _nominal(sum(low <= truth <= high for low, high in (found["t2v.MnR"] for found in drawn)))


@pytest.mark.parametrize("k", [50, 150, 500])
def test_wilson_intervals_hold_the_truth_at_their_rate(k) -> None:
    """95 % of the intervals of R@k hold the true share of ranks up to k, but for binomial error."""
    held, truth = 0, 100 * (1 - _above(k))
    for seed in range(TIMES):
        low, high = recall_interval(ranks.metrics(_counts(seed), [k])[f"R@{k}"], ASKED)
        held += low <= truth <= high
    assert _nominal(held)


def test_samples_are_those_of_a_plain_bootstrap() -> None:
    """The interval of MnR is that of samples drawn one by one, but for the error of a thousand samples."""
    counts = _counts(0)
    packed = counts.pack()
    found = resampled(Queries(t2v=packed, v2t=packed), "average").intervals["t2v.MnR"]
    rng, rank = np.random.default_rng(1), ranks.ranks(counts)
    means = [rng.choice(rank, ASKED).mean() for _ in range(20_000)]
    error = 4 * np.std(means) * math.sqrt(0.025 * 0.975 / SAMPLES) / NormalDist().pdf(1.96)
    assert np.abs(np.quantile(means, (0.025, 0.975)) - found).max() < error


def test_the_same_ranks_give_the_same_bits() -> None:
    """Neither the order of the queries nor a second call changes a bit, and the digits are these."""
    better = [0] * 30 + [1, 2, 3, 5, 8, 13, 21, 34] * 5
    shuffled = random.Random(0).sample(better, len(better))
    one, other = (
        resampled(Queries(t2v=packed, v2t=packed), "average")
        for packed in (QueryCounts.of(found, [1] * len(found), 70) for found in (better, shuffled))
    )
    assert one == other and one.samples == SAMPLES and one.seed == 0
    assert one.intervals["t2v.MdR"] == one.intervals["v2t.MdR"] == PINNED["MdR"]
    assert one.intervals["t2v.MnR"] == PINNED["MnR"]


#: Drawn once; numpy promises the same numbers of this generator in every version.
PINNED = {"MdR": (1.0, 4.0), "MnR": (5.0, 9.557142857142857)}


def test_ties_are_those_of_the_record() -> None:
    """The ranks that are drawn from follow the record's own policy for ties."""
    packed = QueryCounts.of([0] * 20, [3] * 20, 40)
    queries = Queries(t2v=packed, v2t=packed)
    means = {
        ties: resampled(queries, ties).intervals["t2v.MnR"]
        for ties in ("optimistic", "average", "pessimistic")
    }
    assert means == {"optimistic": (1.0, 1.0), "average": (2.0, 2.0), "pessimistic": (3.0, 3.0)}

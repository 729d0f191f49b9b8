"""Closed-form intervals over queries, and the spread over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """Both ends in percent."""

    low: float
    high: float


class Spread(NamedTuple):
    """Mean and sample standard deviation over ``n`` seeds; ``spread`` is 0 when n is 1."""

    mean: float
    spread: float
    n: int


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion ``hits / n``, in percent.

    It answers "how far could R@k be on other queries drawn like these", stays inside 0 and 100
    and is not empty at either end. E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), p. 209.
    """
    assert n > 0 and 0 <= hits <= n and 0.0 < confidence < 1.0
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2.0)
    share = hits / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 100.0 / (1 + z * z / n)
    return Interval(max(0.0, (centre - half) * scale), min(100.0, (centre + half) * scale))


def recall_interval(percent: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a recall given in percent of ``n`` queries."""
    return wilson(round(percent * n / 100.0), n, confidence)


def over_seeds(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation (divisor n - 1) of one figure over several seeds."""
    assert len(values) > 0
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(statistics.fmean(values), spread, len(values))


#: 97.5 % points of Student's t by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T_BEYOND = ((15, 2.131), (20, 2.086), (30, 2.042), (60, 2.000))


class Difference(NamedTuple):
    """The mean of paired differences and its 95 % interval, in the figures' own unit."""

    mean: float
    low: float
    high: float


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """How far ``values`` are above ``reference``, both by seed, with Student's interval over the seeds.

    Two seeds at least: one says nothing of its own uncertainty.
    """
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    spread = over_seeds(differences)
    assert spread.n > 1
    half = t_quantile(spread.n - 1) * spread.spread / math.sqrt(spread.n)
    return Difference(spread.mean, spread.mean - half, spread.mean + half)


def welch_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """How far the mean of ``values`` is above that of ``reference``, with the interval of Welch's t-test.

    For seeds that have nothing to do with each other, two on each side at least; both may spread unequally.
    B. L. Welch, Biometrika 34 (1947), p. 28.
    """
    one, other = over_seeds(values), over_seeds(reference)
    assert one.n > 1 and other.n > 1
    parts = [side.spread**2 / side.n for side in (one, other)]
    mean, variance = one.mean - other.mean, sum(parts)
    if variance == 0:
        return Difference(mean, mean, mean)
    freedom = variance**2 / sum(
        part**2 / (side.n - 1) for part, side in zip(parts, (one, other), strict=True)
    )
    half = t_quantile(int(freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half)


def lone_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """How far the mean of ``values`` is above that of ``reference``, of which one is of a single seed.

    That seed says nothing of its own spread, so it is taken to spread as the other side's do: Student's t-test
    of equal variances, with one value on one side. Of the method behind the lone seed three seeds of the other
    still say little: with n = 3 the interval is 5.0 spreads on either side.
    """
    one, other = over_seeds(values), over_seeds(reference)
    several = max(one, other, key=lambda side: side.n)
    assert min(one.n, other.n) == 1 < several.n
    half = t_quantile(several.n - 1) * several.spread * math.sqrt(1 + 1 / several.n)
    mean = one.mean - other.mean
    return Difference(mean, mean - half, mean + half)


def t_quantile(freedom: int) -> float:
    """The 97.5 % point of Student's t; between listed degrees of freedom that of the next lower one,
    which makes intervals a little wider."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    return next((value for known, value in reversed(_T_BEYOND) if known <= freedom), _T[-1])

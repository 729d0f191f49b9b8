"""Is one run better than another on the same queries? Paired bootstrap, and McNemar's exact test.

Two runs are asked the same queries, and what is hard for one is mostly hard for the other. The difference
of each query leaves that out, so it is known far better than the gap between two separate intervals shows.
Not covered: what other seeds, or another training set, would have given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Bootstrap samples, and the seed that they are drawn with: the same records give the same digits.
SAMPLES = 10_000
SEED = 0
#: Differences of means over seeds are fractions; what is this close to zero is zero.
_ZERO = 1e-12
# A draw of a value's count takes about so many times as long as that of a query.
_DEARER = 8
# Numbers held at once: a few megabytes, whatever the number of queries.
_HELD = 1 << 20


class Bootstrap(NamedTuple):
    """A mean of paired differences, the ends of its 95 % interval, and the two-sided p-value of 0."""

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(values: np.ndarray, reference: np.ndarray) -> Bootstrap:
    """How far ``values`` ``[Q]`` are above ``reference`` ``[Q]`` in the mean, in their own unit.

    Queries are drawn with replacement, both runs together. The interval is that of percentiles, and the
    p-value twice the share of samples on the far side of 0, never 0 itself (one sample is the data).
    B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15.
    """
    assert values.ndim == 1 and values.shape == reference.shape and len(values) > 0
    means = _means(values - reference)
    below, above = (int(np.count_nonzero(side)) for side in (means <= _ZERO, means >= -_ZERO))
    # Rounded, so that an end which is 0 but for the last bit is 0.
    low, high = (round(float(end), 12) for end in np.quantile(means, (0.025, 0.975)))
    p = min(1.0, 2 * (1 + min(below, above)) / (SAMPLES + 1))
    return Bootstrap(float(np.mean(values - reference)), low, high, p)


def _means(differences: np.ndarray) -> np.ndarray:
    """The means of ``SAMPLES`` samples of the differences ``[Q]``."""
    rng = np.random.default_rng(SEED)
    n = len(differences)
    support, times = np.unique(differences, return_counts=True)
    # How often each value is drawn is all that a mean needs: for right and wrong these are three numbers.
    # Of many values it is cheaper to draw the queries.
    few = len(support) * _DEARER < n
    step = max(1, _HELD // (len(support) if few else n))

    def draw(size: int) -> np.ndarray:
        if few:
            return rng.multinomial(n, times / n, size=size) @ support / n
        return differences[rng.integers(0, n, size=(size, n))].mean(axis=1)

    return np.concatenate([draw(min(step, SAMPLES - start)) for start in range(0, SAMPLES, step)])


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test: a fair coin for each query that one run alone solves.

    Q. McNemar, Psychometrika 12 (1947), p. 153, with the binomial distribution in place of its limit.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    term, total = 1, 0
    for wins in range(fewer + 1):
        total += term
        term = term * (n - wins) // (wins + 1)
    return min(1.0, 2 * total / 2**n)

"""What widely copied code printed in place of ranks, to compare with old logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.results.score_matrix import checked, row_blocks


def legacy_expand(scores: Any, gold: Any, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """What the widely copied "sort, subtract the ground truth, keep the zeros" code would print.

    Every tied position counts as one more sample and a query whose own score is NaN or infinite
    vanishes, so the denominator ``n``, which is in the result, need not be the number of queries.
    For comparison with old logs only: it is wrong as soon as something ties. Rows of ``scores``
    ``[Q, G]`` are queries; pass the transpose of a square matrix for the other direction.
    """
    scores, gold, _ = checked(scores, gold, None, "worst")
    # A run of tied entries occupies the positions better .. better + tied - 1; adding up the runs
    # gives the histogram of positions without writing out the (up to Q * G) samples themselves.
    edges = np.zeros(scores.shape[1] + 1, dtype=np.int64)
    for start, block in row_blocks(scores, "error"):
        own = block[np.arange(len(block)), gold[start : start + len(block)]][:, None]
        kept = np.isfinite(own[:, 0])
        better = np.count_nonzero(block > own, axis=1)[kept]
        tied = np.count_nonzero(block == own, axis=1)[kept]
        np.add.at(edges, better, 1)
        np.add.at(edges, better + tied, -1)
    histogram = np.cumsum(edges)[:-1]
    n = int(histogram.sum())
    if n == 0:
        raise HarnessError(
            "every query's own score is NaN or infinite, so the legacy metric has no sample left",
            "look at the scores; the plain metrics would have refused them",
        )
    result: dict[str, float] = {"n": n}
    for k in ks:
        result[f"R@{k}"] = 100.0 * int(histogram[:k].sum()) / n
    upto = np.cumsum(histogram)
    lower, upper = np.searchsorted(upto, [(n - 1) // 2 + 1, n // 2 + 1])
    result["MdR"] = float(lower + upper) / 2.0 + 1.0
    result["MnR"] = float(histogram @ np.arange(len(histogram))) / n + 1.0
    return result

"""ROUGE-L (Lin, ACL workshop 2004) as the COCO caption evaluation computes it."""

from __future__ import annotations

from collections.abc import Sequence

#: How much more recall counts than precision.
BETA = 1.2


def rouge_l(hyp: Sequence[str], refs: Sequence[Sequence[str]]) -> float:
    """The F-measure of one tokenised prediction, in 0 to 1; 0 for an empty one.

    The best precision and the best recall may come from different references.
    """
    common = [common_subsequence(hyp, ref) for ref in refs]
    if not any(common):
        return 0.0
    precision = max(common) / len(hyp)
    recall = max(length / len(ref) for length, ref in zip(common, refs) if ref)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        above = row
        row = [0]
        for j, other in enumerate(b):
            row.append(above[j] + 1 if word == other else max(row[j], above[j + 1]))
    return row[-1]

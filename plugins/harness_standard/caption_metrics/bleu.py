"""Corpus BLEU-1 to BLEU-4 (Papineni et al., ACL 2002) as the COCO caption evaluation computes it.

A corpus' score is no mean of its videos' scores, but it is a function of a few integers of each video.
Whoever keeps those can compute the score of any subset again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness_standard.caption_metrics.ngrams import LONGEST, ngrams

# The reference's guards against zero. They are part of the definition: a corpus without one matching
# 4-gram has a BLEU-4 slightly above zero there, and here.
_TINY = 1e-15
_SMALL = 1e-9


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU needs to know of one video; entry ``k`` of a tuple is of the (k+1)-grams.

    ``matches`` are clipped by the reference that has most of an n-gram; ``totals`` are the prediction's
    n-grams; ``reference_length`` is the length nearest to the prediction's, of two such the shorter.
    """

    matches: tuple[int, ...]
    totals: tuple[int, ...]
    length: int
    reference_length: int


def bleu_counts(hyp: Sequence[str], refs: Sequence[Sequence[str]]) -> BleuCounts:
    """The counts of one tokenised prediction against its tokenised references, at least one."""
    matches, totals = [], []
    for n in range(1, LONGEST + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for ref in refs:
            most |= ngrams(ref, n)
        own = ngrams(hyp, n)
        matches.append((own & most).total())
        totals.append(own.total())
    nearest = min((len(ref) for ref in refs), key=lambda length: (abs(length - len(hyp)), length))
    return BleuCounts(tuple(matches), tuple(totals), len(hyp), nearest)


def bleu(counts: Sequence[BleuCounts]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus, in 0 to 1."""
    length = sum(video.length for video in counts)
    ratio = (length + _TINY) / (sum(video.reference_length for video in counts) + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for k in range(LONGEST):
        matches = sum(video.matches[k] for video in counts)
        totals = sum(video.totals[k] for video in counts)
        product *= (matches + _TINY) / (totals + _SMALL)
        scores.append(brevity * product ** (1 / (k + 1)))
    return scores

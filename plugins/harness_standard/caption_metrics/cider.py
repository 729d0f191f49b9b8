"""CIDEr-D (Vedantam et al., CVPR 2015, arXiv 1411.5726), which captioning papers call CIDEr.

As in the COCO caption evaluation: no stemming, n-grams of 1 to 4 words, clipped counts, a Gaussian
penalty on the difference in length, times 10. An n-gram's weight falls with the number of videos whose
references have it, so a score belongs to the set that it was computed on: a subset's scores are others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness_standard.caption_metrics.ngrams import LONGEST, ngrams

#: The width of the length penalty, in words.
SIGMA = 6.0

_Ngram = tuple[str, ...]


@dataclass(frozen=True)
class _Weighted:
    """A caption's tf-idf weights, one mapping and one norm per n, and its length."""

    weights: tuple[dict[_Ngram, float], ...]
    norms: tuple[float, ...]
    length: int


def cider_d(hyps: Sequence[Sequence[str]], refs: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """The score of each video, in 0 to 10, from the tokenised predictions and references of all.

    A set of one video scores 0: each of its n-grams is in every video.
    """
    frequencies: Counter[_Ngram] = Counter()
    for captions in refs:
        frequencies.update({gram for ref in captions for n in _SIZES for gram in ngrams(ref, n)})
    videos = math.log(len(refs)) if refs else 0.0

    def weigh(tokens: Sequence[str]) -> _Weighted:
        weights = tuple(
            {
                gram: count * (videos - math.log(max(1, frequencies[gram])))
                for gram, count in ngrams(tokens, n).items()
            }
            for n in _SIZES
        )
        norms = tuple(math.hypot(*of_n.values()) for of_n in weights)
        # The reference takes the number of word pairs for the length: one less, and 0 for no word.
        return _Weighted(weights, norms, max(len(tokens) - 1, 0))

    scores = []
    for hyp, captions in zip(hyps, refs, strict=True):
        own = weigh(hyp)
        scores.append(10 * sum(_similarity(own, weigh(ref)) for ref in captions) / len(captions))
    return scores


_SIZES = range(1, LONGEST + 1)


def _similarity(hyp: _Weighted, ref: _Weighted) -> float:
    """The mean over n of the clipped cosines, with the length penalty."""
    total = 0.0
    for own, other, own_norm, other_norm in zip(hyp.weights, ref.weights, hyp.norms, ref.norms):
        if own_norm and other_norm:
            shared = sum(min(own[gram], other[gram]) * other[gram] for gram in own.keys() & other.keys())
            total += shared / (own_norm * other_norm)
    return math.exp(-((hyp.length - ref.length) ** 2) / (2 * SIGMA**2)) * total / LONGEST

"""Counting the n-grams of a caption, for BLEU and CIDEr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: The longest n-gram that either metric looks at.
LONGEST = 4


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram comes; nothing in a caption of fewer than ``n`` tokens."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))

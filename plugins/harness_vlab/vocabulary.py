"""What VLAB reads and writes: BERT's pieces, or the backbone's own vocabulary with two marks added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from harness import HarnessError
from harness.models import Encoding, Tokenizer

#: Added to a vocabulary that has neither, after its last id.
_ADDED = 2


@dataclass(frozen=True)
class _WithMarks:
    """Another tokenizer's ids, with an id of its own for padding."""

    inner: Tokenizer
    pad: int

    def __call__(self, texts: Sequence[str], length: int) -> Encoding:
        found = self.inner.encode(texts, length)
        return Encoding(torch.where(found.mask, found.tokens, self.pad), found.mask)


def with_marks(tokenizer: Tokenizer, positions: int) -> Tokenizer:
    """The same words for texts of at most ``positions`` tokens, with the mask as id ``size`` and padding as
    ``size + 1`` (J.6 of the specification: CLIP's own id for padding is a real token)."""
    words = tokenizer.vocabulary
    if words is None:
        raise HarnessError(
            f"the tokenizer {tokenizer.name} cannot turn ids into text, which writing needs",
            "choose a backbone with CLIP's tokenizer, or name BERT's files with model.temporal.bert",
        )
    mask, pad = words.size, words.size + 1
    return Tokenizer(
        f"{tokenizer.name}+marks",
        min(tokenizer.context, positions),
        _WithMarks(tokenizer, pad),
        replace(words, size=words.size + _ADDED, mask=mask, pad=pad),
    )

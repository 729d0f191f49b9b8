"""Which tokens are hidden, and what has to be said in their place (A16, A19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.models import Encoding, Vocabulary

#: Of the chosen tokens, the share that is replaced by the mask, and up to where by a random token.
REPLACED, RANDOM = 0.8, 0.9


def hide(
    tokens: Tensor,
    real: Tensor,
    ratio: float,
    select: Tensor,
    action: Tensor,
    others: Tensor,
    vocabulary: Vocabulary,
) -> tuple[Tensor, Tensor]:
    """Tokens ``[B, L]`` with some of them hidden, and bool ``[B, L]``: which.

    A place is chosen where its draw in ``select`` is below ``ratio``; never the first one, never
    padding. In a text without any it is the one with the smallest draw. By its draw in ``action`` a
    chosen token becomes the mask, the token in ``others``, or stays.
    """
    may = real.clone()
    may[:, 0] = False
    chosen = may & (select < ratio)
    smallest = select.masked_fill(~may, torch.inf).argmin(dim=1, keepdim=True)
    none = ~chosen.any(dim=1, keepdim=True) & may.any(dim=1, keepdim=True)
    chosen = chosen.scatter(1, smallest, chosen.gather(1, smallest) | none)
    replaced = torch.where(action < REPLACED, vocabulary.mask, torch.where(action < RANDOM, others, tokens))
    return torch.where(chosen, replaced, tokens), chosen


def hide_answer(tokens: Tensor, real: Tensor, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """An answer with every token but the first hidden, and which those are."""
    chosen = real.clone()
    chosen[:, 0] = False
    return torch.where(chosen, vocabulary.mask, tokens), chosen


def hidden_for_training(
    text: Encoding, ratio: float, seeds: Sequence[int], purpose: int, vocabulary: Vocabulary
) -> tuple[Tensor, Tensor]:
    """:func:`hide` with draws from the number of each sample, whatever it is batched with."""
    draws = np.ones((2, *text.tokens.shape))
    others = np.zeros(text.tokens.shape, dtype=np.int64)
    lengths = text.mask.sum(dim=1).tolist()
    for row, (seed, length) in enumerate(zip(seeds, lengths, strict=True)):
        own = np.random.default_rng((seed, purpose))
        draws[:, row, :length] = own.random((2, length))
        others[row, :length] = own.integers(vocabulary.size, size=length)
    device = text.tokens.device
    select, action = torch.from_numpy(draws).to(device)
    return hide(
        text.tokens, text.mask, ratio, select, action, torch.from_numpy(others).to(device), vocabulary
    )

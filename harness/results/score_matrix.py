"""A matrix of scores as it is read: checked, NaN refused or put last, and in blocks of rows.

Score matrices are ``[Nt, Nv]``: one row per text, one column per video. Read in blocks, the working
memory stays at a few megabytes next to the matrix, which may be mapped from disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from harness.errors import HarnessError

NanPolicy = Literal["error", "worst"]

# Elements of one block: large enough that numpy's overhead vanishes, small enough for any machine.
BLOCK_ELEMENTS = 1 << 21


def checked(
    scores: Any, gold: Any, missing: Any, nan: NanPolicy
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three inputs as arrays that fit together, or a HarnessError that says what does not."""
    scores, gold = np.asarray(scores), np.asarray(gold)
    if scores.ndim != 2 or 0 in scores.shape:
        raise HarnessError(
            f"scores have the shape {list(scores.shape)}, expected [texts, videos], neither empty"
        )
    if scores.dtype.kind not in "fiub":
        raise HarnessError(f"scores are of type {scores.dtype}, expected real numbers")
    if gold.shape != scores.shape[:1] or gold.dtype.kind not in "iu":
        raise HarnessError(
            f"the ground truth is {gold.dtype} {list(gold.shape)}, "
            f"expected one integer for each of the {len(scores)} texts",
            "gold[i] is the column of the video that text i describes",
        )
    gold = gold.astype(np.int64)
    outside = np.flatnonzero((gold < 0) | (gold >= scores.shape[1]))
    if len(outside):
        raise HarnessError(
            f"text {outside[0]} has video {gold[outside[0]]} as its ground truth, "
            f"but the columns are 0 to {scores.shape[1] - 1}"
        )
    mask = mask_of(missing, scores.shape[1])
    if nan not in ("error", "worst"):
        raise HarnessError(f"unknown NaN policy {nan!r}", "use error or worst")
    if nan == "error" and scores.dtype.kind == "f":
        _refuse_nan(scores, mask)
    return scores, gold, mask


def _refuse_nan(scores: np.ndarray, missing: np.ndarray) -> None:
    """Raise if a score is NaN. A missing clip has no score, so what fills its column is no matter."""
    total, first = 0, None
    for start, block in row_blocks(scores, "error"):
        lost = np.isnan(block) & ~missing
        found = int(np.count_nonzero(lost))
        if found and first is None:
            text, video = np.argwhere(lost)[0]
            first = (start + int(text), int(video))
        total += found
    if first is not None:
        raise HarnessError(
            f"{total} of {scores.size} scores are NaN, the first at text {first[0]}, video {first[1]}",
            'find out which model output is NaN, or ask for nan="worst" to rank NaN last',
        )


def mask_of(missing: Any, n_videos: int) -> np.ndarray:
    if missing is None:
        return np.zeros(n_videos, dtype=bool)
    mask = np.asarray(missing)
    if mask.dtype != np.bool_ or mask.shape != (n_videos,):
        raise HarnessError(
            f"the mask of missing clips is {mask.dtype} {list(mask.shape)}, expected bool [{n_videos}]",
            "give one True or False per column of the scores",
        )
    return mask


def row_blocks(scores: np.ndarray, nan: NanPolicy) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows with their first row's index, NaN replaced where the policy says so."""
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    for start in range(0, len(scores), step):
        yield start, clean(scores[start : start + step], nan)


def group_blocks(scores: np.ndarray, gold: np.ndarray, nan: NanPolicy) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of ``[videos, Nv]``: for each captioned video, the best score of its captions."""
    order = np.argsort(gold, kind="stable")
    edges = np.append(np.flatnonzero(np.diff(gold[order], prepend=-1)), len(order))
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    first = 0
    while first < len(edges) - 1:
        # Whole groups only; a single group larger than a block is taken as it is.
        fitting = int(np.searchsorted(edges, edges[first] + step, side="right")) - 1
        last = max(first + 1, fitting)
        rows = clean(scores[order[edges[first] : edges[last]]], nan)
        yield first, np.maximum.reduceat(rows, edges[first:last] - edges[first], axis=0)
        first = last


def clean(block: np.ndarray, nan: NanPolicy) -> np.ndarray:
    """A block whose values compare as the policy wants; widening halves is exact and faster."""
    if block.dtype == np.float16:
        block = block.astype(np.float32)
    if nan == "worst" and block.dtype.kind == "f":
        lost = np.isnan(block)
        if lost.any():
            return np.where(lost, block.dtype.type(-np.inf), block)
    return block

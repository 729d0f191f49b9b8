"""Ranks of retrieval queries by counting, and the metrics that follow from the counts.

A query is described by two integers: ``better``, how many gallery entries score higher than its
ground truth, and ``tied``, how many score the same (the ground truth itself included). Every tie
policy follows from these two, so they are what a result record stores.

Not covered: where the scores come from, how they are read (:mod:`harness.results.score_matrix`), and
what is written to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.results.record import QueryCounts, TiePolicy, V2TProtocol
from harness.results.score_matrix import NanPolicy, checked, clean, group_blocks, row_blocks


@dataclass(frozen=True, eq=False)
class Counts:
    """What is known of every query: ``better`` and ``tied`` int64 ``[Q]``, and the gallery size.

    ``tied`` counts the ground truth itself, so it is at least 1.
    """

    better: np.ndarray
    tied: np.ndarray
    gallery: int

    def __post_init__(self) -> None:
        assert self.better.ndim == 1 and self.better.shape == self.tied.shape
        assert self.better.dtype == np.int64 and self.tied.dtype == np.int64
        assert len(self.better) > 0 and self.better.min() >= 0 and self.tied.min() >= 1
        assert int((self.better + self.tied).max()) <= self.gallery

    def __len__(self) -> int:
        return len(self.better)

    def pack(self) -> QueryCounts:
        """The same counts as a record stores them."""
        return QueryCounts.of(self.better.tolist(), self.tied.tolist(), self.gallery)

    @classmethod
    def unpack(cls, stored: QueryCounts) -> Counts:
        """The counts that a record stores, as arrays."""
        better = np.array(stored.better_list(), dtype=np.int64)
        tied = np.ones(len(better), dtype=np.int64)
        for index, count in stored.tied.items():
            tied[index] = count
        return cls(better, tied, stored.gallery)


def text_to_video(scores: Any, gold: Any, missing: Any = None, *, nan: NanPolicy = "error") -> Counts:
    """Every text is a query, all videos are the gallery.

    ``scores`` ``[Nt, Nv]``, ``gold`` integers ``[Nt]`` (column of each text's video), ``missing``
    bool ``[Nv]`` (True: the clip could not be read). A text whose clip is missing gets the worst
    rank; a missing clip is below everything in the other queries' gallery, whatever is in its
    column, and still counts in the gallery's size.

    Raises HarnessError for shapes that do not fit and for NaN, unless ``nan="worst"``, which
    reads NaN as minus infinity.
    """
    scores, gold, missing = checked(scores, gold, missing, nan)
    n_texts, n_videos = scores.shape
    # One mask replaces the missing columns: left out of both counts they rank below even -inf.
    present = np.flatnonzero(~missing) if missing.any() else None
    better = np.empty(n_texts, dtype=np.int64)
    tied = np.empty(n_texts, dtype=np.int64)
    for start, block in row_blocks(scores, nan):
        rows = slice(start, start + len(block))
        own = block[np.arange(len(block)), gold[rows]][:, None]
        rivals = block if present is None else block[:, present]
        better[rows] = np.count_nonzero(rivals > own, axis=1)
        tied[rows] = np.count_nonzero(rivals == own, axis=1)
    return Counts(*_worst(better, tied, missing[gold], n_videos), gallery=n_videos)


def video_to_text(
    scores: Any,
    gold: Any,
    missing: Any = None,
    protocol: V2TProtocol = "caption_rank",
    *,
    nan: NanPolicy = "error",
) -> tuple[Counts, np.ndarray]:
    """Every video that has a caption is a query; also returns which ones, int64 ``[Q]`` ascending.

    ``caption_rank``: the gallery is all ``Nt`` texts, the rank is that of the video's best own
    caption, and its other captions stay in the list. ``group_rank``: the gallery is one entry per
    captioned video, scored by the best caption of that video. The two must not share a table.

    Arguments and errors are those of :func:`text_to_video`. A missing clip that has captions is
    still a query, with the worst rank; its captions exist, so they keep competing for the others.
    """
    if protocol not in ("caption_rank", "group_rank"):
        raise HarnessError(f"unknown video-to-text protocol {protocol!r}", "use caption_rank or group_rank")
    scores, gold, missing = checked(scores, gold, missing, nan)
    n_texts, n_videos = scores.shape
    queries = np.unique(gold)
    own = _best_own_caption(scores, gold)
    better = np.zeros(n_videos, dtype=np.int64)
    tied = np.zeros(n_videos, dtype=np.int64)
    blocks = row_blocks(scores, nan) if protocol == "caption_rank" else group_blocks(scores, gold, nan)
    for _, block in blocks:
        better += np.count_nonzero(block > own, axis=0)
        tied += np.count_nonzero(block == own, axis=0)
    gallery = n_texts if protocol == "caption_rank" else len(queries)
    counts = _worst(better[queries], tied[queries], missing[queries], gallery)
    return Counts(*counts, gallery=gallery), queries


def ranks(counts: Counts, ties: TiePolicy = "average") -> np.ndarray:
    """1-based ranks, float64 ``[Q]``, under a tie policy; ``average`` may give halves."""
    if ties == "optimistic":
        zero_based = counts.better.astype(np.float64)
    elif ties == "pessimistic":
        zero_based = (counts.better + counts.tied - 1).astype(np.float64)
    elif ties in ("average", "average_ce"):
        zero_based = counts.better + (counts.tied - 1) / 2.0
    else:
        raise HarnessError(
            f"unknown tie policy {ties!r}", "use average, optimistic, pessimistic or average_ce"
        )
    return zero_based + 1.0


def hits(rank: np.ndarray, k: int, ties: TiePolicy = "average") -> np.ndarray:
    """Which queries count as found among the first ``k``, bool ``[Q]``, from their ranks under ``ties``."""
    return rank < k + 1 if ties == "average_ce" and k > 1 else rank <= k


def metrics(counts: Counts, ks: Sequence[int] = (1, 5, 10), ties: TiePolicy = "average") -> dict[str, float]:
    """``R@k`` in percent of all queries for each k, ``MdR`` and ``MnR`` as 1-based ranks.

    ``average_ce`` uses the average ranks with another rule for half ranks: R@1 wants rank 1
    exactly, R@k wants a rank below k + 1, so that a rank of 5.5 is a hit at 5.
    """
    rank = ranks(counts, ties)
    result = {}
    for k in ks:
        result[f"R@{k}"] = 100.0 * int(np.count_nonzero(hits(rank, k, ties))) / len(rank)
    result["MdR"] = float(np.median(rank))
    result["MnR"] = float(np.mean(rank))
    return result


def _worst(
    better: np.ndarray, tied: np.ndarray, lost: np.ndarray, gallery: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the queries in ``lost`` the last place of the gallery."""
    return np.where(lost, gallery - 1, better), np.where(lost, 1, tied)


def _best_own_caption(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """``[Nv]``: the highest score of each video's own captions, -inf for a video without one."""
    # A NaN that was not refused is either to rank last or that of a missing clip, set later.
    own = clean(scores[np.arange(len(gold)), gold], "worst")
    if own.dtype.kind != "f":
        own = own.astype(np.float64)
    best = np.full(scores.shape[1], -np.inf, dtype=own.dtype)
    np.maximum.at(best, gold, own)
    return best

"""Ranks of retrieval queries by counting, and the metrics that follow from the counts.

A query is described by two integers: ``better``, how many gallery entries score higher than its
ground truth, and ``tied``, how many score the same (the ground truth itself included). Every tie
policy follows from these two, so they are what a result record stores.

Score matrices are ``[Nt, Nv]``: one row per text, one column per video. They are read in blocks
of rows, so the working memory stays at a few megabytes next to the matrix, which may be mapped
from disk. Not covered: where the scores come from, and what is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.errors import HarnessError
from harness.results.record import QueryCounts, TiePolicy, V2TProtocol

NanPolicy = Literal["error", "worst"]
Axis = Literal["texts", "videos"]

# Elements of one block: large enough that numpy's overhead vanishes, small enough for any machine.
BLOCK_ELEMENTS = 1 << 21


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
    scores, gold, missing = _checked(scores, gold, missing, nan)
    n_texts, n_videos = scores.shape
    # One mask replaces the missing columns: left out of both counts they rank below even -inf.
    present = np.flatnonzero(~missing) if missing.any() else None
    better = np.empty(n_texts, dtype=np.int64)
    tied = np.empty(n_texts, dtype=np.int64)
    for start, block in _row_blocks(scores, nan):
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
    scores, gold, missing = _checked(scores, gold, missing, nan)
    n_texts, n_videos = scores.shape
    queries = np.unique(gold)
    own = _best_own_caption(scores, gold)
    better = np.zeros(n_videos, dtype=np.int64)
    tied = np.zeros(n_videos, dtype=np.int64)
    blocks = _row_blocks(scores, nan) if protocol == "caption_rank" else _groups(scores, gold, nan)
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


def geomean(values: Mapping[str, float]) -> float:
    """Geometric mean of R@1, R@5 and R@10, in percent; 0 when one of them is 0."""
    return float((values["R@1"] * values["R@5"] * values["R@10"]) ** (1.0 / 3.0))


def sum_r(values: Mapping[str, float]) -> float:
    """``SumR`` = R@1 + R@5 + R@10."""
    return values["R@1"] + values["R@5"] + values["R@10"]


def legacy_expand(scores: Any, gold: Any, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """What the widely copied "sort, subtract the ground truth, keep the zeros" code would print.

    Every tied position counts as one more sample and a query whose own score is NaN or infinite
    vanishes, so the denominator ``n``, which is in the result, need not be the number of queries.
    For comparison with old logs only: it is wrong as soon as something ties. Rows of ``scores``
    ``[Q, G]`` are queries; pass the transpose of a square matrix for the other direction.
    """
    scores, gold, _ = _checked(scores, gold, None, "worst")
    # A run of tied entries occupies the positions better .. better + tied - 1; adding up the runs
    # gives the histogram of positions without writing out the (up to Q * G) samples themselves.
    edges = np.zeros(scores.shape[1] + 1, dtype=np.int64)
    for start, block in _row_blocks(scores, "error"):
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


def dual_softmax(
    scores: Any, temperature: float, axis: Axis, missing: Any = None, at_once: int | None = None
) -> np.ndarray:
    """``S * softmax(temperature * S)``, float64 ``[Nt, Nv]``; the input is not changed.

    ``axis`` names what the softmax runs over: ``"texts"`` normalises every video's column (the
    usual choice for text-to-video), ``"videos"`` every text's row (the one that changes
    video-to-text). ``temperature`` multiplies, so for cosine scores it is the logit scale, e.g.
    100. It uses many queries at once: such results do not belong in a table with plain scores.
    ``at_once`` is how many: consecutive queries are normalised in blocks of so many, the last of which
    may be smaller; None takes them all. Missing clips (bool ``[Nv]``) take no part, keep their place
    in the order, and come back as minus infinity.

    Raises HarnessError when a score of a clip that is not missing is NaN or infinite.
    """
    if axis not in ("texts", "videos"):
        raise HarnessError(f"dual softmax over {axis!r} is not defined", "use texts or videos")
    source = np.array(scores, dtype=np.float64)
    absent = _mask(missing, source.shape[1])
    source[:, absent] = -np.inf
    bad = ~np.isfinite(source)
    bad[:, absent] = False
    if bad.any():
        text, video = (int(i) for i in np.argwhere(bad)[0])
        raise HarnessError(
            f"dual softmax needs finite scores; {int(bad.sum())} are not, "
            f"the first at text {text}, video {video}",
            "look for an overflow in the model; softmax cannot rank infinities",
        )
    result = np.full_like(source, -np.inf)
    size = at_once or max(source.shape)
    if axis == "texts":
        for start in range(0, len(source), size):
            rows = slice(start, start + size)
            result[rows, ~absent] = _times_softmax(source[rows, ~absent], temperature, 0)
    else:
        for start in range(0, source.shape[1], size):
            columns = start + np.flatnonzero(~absent[start : start + size])
            result[:, columns] = _times_softmax(source[:, columns], temperature, 1)
    return result


def _times_softmax(scores: np.ndarray, temperature: float, dim: int) -> np.ndarray:
    weight = scores * temperature
    weight -= weight.max(axis=dim, keepdims=True, initial=-np.inf)
    np.exp(weight, out=weight)
    weight /= weight.sum(axis=dim, keepdims=True)
    return scores * weight


def _worst(
    better: np.ndarray, tied: np.ndarray, lost: np.ndarray, gallery: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the queries in ``lost`` the last place of the gallery."""
    return np.where(lost, gallery - 1, better), np.where(lost, 1, tied)


def _row_blocks(scores: np.ndarray, nan: NanPolicy) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows with their first row's index, NaN replaced where the policy says so."""
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    for start in range(0, len(scores), step):
        yield start, _clean(scores[start : start + step], nan)


def _groups(scores: np.ndarray, gold: np.ndarray, nan: NanPolicy) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of ``[videos, Nv]``: for each captioned video, the best score of its captions."""
    order = np.argsort(gold, kind="stable")
    edges = np.append(np.flatnonzero(np.diff(gold[order], prepend=-1)), len(order))
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    first = 0
    while first < len(edges) - 1:
        # Whole groups only; a single group larger than a block is taken as it is.
        fitting = int(np.searchsorted(edges, edges[first] + step, side="right")) - 1
        last = max(first + 1, fitting)
        rows = _clean(scores[order[edges[first] : edges[last]]], nan)
        yield first, np.maximum.reduceat(rows, edges[first:last] - edges[first], axis=0)
        first = last


def _best_own_caption(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """``[Nv]``: the highest score of each video's own captions, -inf for a video without one."""
    # A NaN that was not refused is either to rank last or that of a missing clip, set later.
    own = _clean(scores[np.arange(len(gold)), gold], "worst")
    if own.dtype.kind != "f":
        own = own.astype(np.float64)
    best = np.full(scores.shape[1], -np.inf, dtype=own.dtype)
    np.maximum.at(best, gold, own)
    return best


def _clean(block: np.ndarray, nan: NanPolicy) -> np.ndarray:
    """A block whose values compare as the policy wants; widening halves is exact and faster."""
    if block.dtype == np.float16:
        block = block.astype(np.float32)
    if nan == "worst" and block.dtype.kind == "f":
        lost = np.isnan(block)
        if lost.any():
            return np.where(lost, block.dtype.type(-np.inf), block)
    return block


def _mask(missing: Any, n_videos: int) -> np.ndarray:
    if missing is None:
        return np.zeros(n_videos, dtype=bool)
    mask = np.asarray(missing)
    if mask.dtype != np.bool_ or mask.shape != (n_videos,):
        raise HarnessError(
            f"the mask of missing clips is {mask.dtype} {list(mask.shape)}, expected bool [{n_videos}]",
            "give one True or False per column of the scores",
        )
    return mask


def _checked(
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
    mask = _mask(missing, scores.shape[1])
    if nan not in ("error", "worst"):
        raise HarnessError(f"unknown NaN policy {nan!r}", "use error or worst")
    if nan == "error" and scores.dtype.kind == "f":
        _refuse_nan(scores, mask)
    return scores, gold, mask


def _refuse_nan(scores: np.ndarray, missing: np.ndarray) -> None:
    """Raise if a score is NaN. A missing clip has no score, so what fills its column is no matter."""
    total, first = 0, None
    for start, block in _row_blocks(scores, "error"):
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

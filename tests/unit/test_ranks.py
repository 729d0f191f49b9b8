"""Ranks by counting: missing clips, NaN, blocks and wrong input."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.results import ranks, score_matrix, softmax
from harness.results.legacy_ranks import legacy_expand
from harness.results.statistics import over_seeds, recall_interval, wilson

PROTOCOLS = ("caption_rank", "group_rank")


def _scores(texts: int, videos: int, seed: int = 0, levels: int = 9) -> np.ndarray:
    """Few distinct values, so that ties occur everywhere."""
    return np.random.default_rng(seed).integers(0, levels, (texts, videos)).astype(np.float32)


def _gold(texts: int, videos: int) -> np.ndarray:
    return np.arange(texts) * 7 % videos


def _only(index: int, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[index] = True
    return mask


def test_missing_gold_is_ranked_last() -> None:
    """A text whose clip is missing has the worst rank even if its column holds the best score."""
    scores = _scores(12, 12)
    scores[:, 4] = 100.0
    counts = ranks.text_to_video(scores, np.arange(12), _only(4, 12))
    assert (counts.better[4], counts.tied[4]) == (11, 1)
    assert ranks.ranks(counts)[4] == 12


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_missing_query_is_ranked_last(protocol: str) -> None:
    """A missing clip that has captions stays a query of video-to-text, with the worst rank."""
    scores, gold = _scores(24, 8), _gold(24, 8)
    scores[gold == 3, 3] = 100.0
    counts, queries = ranks.video_to_text(scores, gold, _only(3, 8), protocol)
    where = list(queries).index(3)
    assert (counts.better[where], counts.tied[where]) == (counts.gallery - 1, 1)


def test_missing_clip_is_below_everything() -> None:
    """In the other queries' gallery a missing clip neither beats nor ties, even against -inf."""
    scores = _scores(12, 12)
    scores[:, 4] = 100.0
    scores[0, :] = -np.inf
    counts = ranks.text_to_video(scores, np.arange(12), _only(4, 12))
    assert (counts.better[0], counts.tied[0]) == (0, 11)
    others = np.delete(np.arange(12), 4)
    without = ranks.text_to_video(scores[np.ix_(others, others)], np.arange(11))
    assert np.array_equal(counts.better[others], without.better)


def test_denominator_is_constant() -> None:
    """Missing clips change neither the number of queries nor the size of the gallery."""
    scores, gold = _scores(40, 10), _gold(40, 10)
    lost = np.arange(10) < 4
    assert len(ranks.text_to_video(scores, gold, lost)) == 40
    assert ranks.text_to_video(scores, gold, lost).gallery == 10
    for protocol in PROTOCOLS:
        whole, _ = ranks.video_to_text(scores, gold, None, protocol)
        holed, _ = ranks.video_to_text(scores, gold, lost, protocol)
        assert (len(whole), whole.gallery) == (len(holed), holed.gallery)


def test_losing_a_perfect_clip_costs_exactly_its_queries() -> None:
    """On a perfect matrix, R@1 falls by the share of the texts whose clip is missing."""
    counts = ranks.text_to_video(np.eye(20), np.arange(20), np.arange(20) < 3)
    assert ranks.metrics(counts)["R@1"] == 85.0


@pytest.mark.parametrize("shape", [(7, 7), (30, 10), (10, 30)])
@pytest.mark.parametrize("elements", [1, 37, 10**6])
def test_blocks_do_not_matter(shape: tuple[int, int], elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any block size gives what a direct count per query gives."""
    texts, videos = shape
    scores, gold = _scores(texts, videos), _gold(texts, videos)
    monkeypatch.setattr(score_matrix, "BLOCK_ELEMENTS", elements)
    counts = ranks.text_to_video(scores, gold)
    for i in range(texts):
        own = scores[i, gold[i]]
        assert counts.better[i] == sum(scores[i] > own)
        assert counts.tied[i] == sum(scores[i] == own)
    for protocol in PROTOCOLS:
        counts, queries = ranks.video_to_text(scores, gold, None, protocol)
        assert list(queries) == sorted(set(gold))
        for at, video in enumerate(queries):
            column = scores[:, video]
            if protocol == "group_rank":
                column = np.array([column[gold == other].max() for other in queries])
                own = column[at]
            else:
                own = column[gold == video].max()
            assert (counts.better[at], counts.tied[at]) == (sum(column > own), sum(column == own))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_number_type_does_not_matter(dtype: type) -> None:
    """The same numbers in another type give the same counts."""
    scores, gold = _scores(30, 10), _gold(30, 10)
    expected, _ = ranks.video_to_text(scores.astype(np.float64), gold)
    counts, _ = ranks.video_to_text(scores.astype(dtype), gold)
    assert np.array_equal(counts.better, expected.better)
    assert np.array_equal(counts.tied, expected.tied)


def test_nan_names_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN is an error that counts them over all blocks and names the first text and video."""
    monkeypatch.setattr(score_matrix, "BLOCK_ELEMENTS", 8)
    scores = _scores(9, 9)
    scores[5, 2] = scores[7, 1] = scores[8, 8] = np.nan
    for compute in (ranks.text_to_video, ranks.video_to_text):
        with pytest.raises(HarnessError, match=r"3 of 81 scores are NaN.*text 5, video 2"):
            compute(scores, np.arange(9))


def test_nan_of_a_missing_clip_is_no_error() -> None:
    """What fills the column of a missing clip does not matter, NaN included."""
    scores = _scores(9, 9)
    filled = scores.copy()
    filled[:, 2] = np.nan
    for one, other in zip(
        (ranks.text_to_video(scores, np.arange(9), _only(2, 9)),
         ranks.video_to_text(scores, np.arange(9), _only(2, 9))[0]),
        (ranks.text_to_video(filled, np.arange(9), _only(2, 9)),
         ranks.video_to_text(filled, np.arange(9), _only(2, 9))[0]),
    ):  # fmt: skip
        assert np.array_equal(one.better, other.better) and np.array_equal(one.tied, other.tied)


@pytest.mark.parametrize(
    "scores, gold, says",
    [
        (np.zeros(3), np.zeros(3, int), "expected \\[texts, videos\\]"),
        (np.zeros((0, 3)), np.zeros(0, int), "neither empty"),
        (np.zeros((3, 3)), np.zeros(2, int), "each of the 3 texts"),
        (np.zeros((3, 3)), np.zeros(3), "float64"),
        (np.zeros((3, 3)), np.array([0, 3, 1]), "text 1 has video 3"),
        (np.zeros((3, 3)), np.array([0, -1, 1]), "text 1 has video -1"),
        (np.zeros((3, 3), complex), np.zeros(3, int), "real numbers"),
    ],
)
def test_wrong_input_is_named(scores: np.ndarray, gold: np.ndarray, says: str) -> None:
    """Arrays that do not fit together are refused with the shape or the index at fault."""
    with pytest.raises(HarnessError, match=says):
        ranks.text_to_video(scores, gold)


def test_missing_mask_must_be_bool() -> None:
    """A list of missing indices in place of a mask is refused instead of being misread."""
    with pytest.raises(HarnessError, match="expected bool \\[3\\]"):
        ranks.text_to_video(np.eye(3), np.arange(3), np.array([0, 2, 1]))


def test_counts_survive_the_record() -> None:
    """Packing counts for a record and reading them back loses nothing."""
    counts = ranks.text_to_video(_scores(40, 10), _gold(40, 10))
    again = ranks.Counts.unpack(counts.pack())
    assert np.array_equal(again.better, counts.better)
    assert np.array_equal(again.tied, counts.tied)
    assert again.gallery == counts.gallery


def test_dual_softmax_is_stable() -> None:
    """Large scores and temperatures neither overflow nor lose the column sums."""
    scores = np.random.default_rng(0).random((20, 15)) * 1e3
    for axis, dim in (("texts", 0), ("videos", 1)):
        result = softmax.dual_softmax(scores, 1e3, axis)
        assert np.isfinite(result).all()
        assert np.allclose((result / scores).sum(axis=dim), 1.0)


def test_dual_softmax_ignores_missing_clips() -> None:
    """The column of a missing clip takes no part in the normalisation of the others."""
    scores = np.random.default_rng(0).random((6, 5))
    kept = np.delete(np.arange(5), 2)
    filled = scores.copy()
    filled[:, 2] = np.nan
    for axis in ("texts", "videos"):
        result = softmax.dual_softmax(filled, 10.0, axis, _only(2, 5))
        assert np.array_equal(result[:, kept], softmax.dual_softmax(scores[:, kept], 10.0, axis))
        assert np.isneginf(result[:, 2]).all()


@pytest.mark.parametrize("axis", ["texts", "videos"])
def test_dual_softmax_in_one_block_is_that_of_all(axis) -> None:
    """As many queries at once as there are, or more, is the whole set."""
    scores = np.random.default_rng(0).random((7, 7))
    for at_once in (7, 100):
        result = softmax.dual_softmax(scores, 10.0, axis, at_once=at_once)
        assert np.array_equal(result, softmax.dual_softmax(scores, 10.0, axis))


@pytest.mark.parametrize("axis", ["texts", "videos"])
def test_blocks_of_dual_softmax_know_nothing_of_each_other(axis) -> None:
    """Each block is what its own queries alone give, also the smaller last one, whatever the others score."""
    scores = np.random.default_rng(0).random((7, 7))
    turned = scores if axis == "texts" else scores.T
    result = softmax.dual_softmax(scores, 10.0, axis, at_once=3)
    result = result if axis == "texts" else result.T
    for block in (slice(0, 3), slice(3, 6), slice(6, 7)):
        own = turned[block] if axis == "texts" else turned[block].T
        alone = softmax.dual_softmax(own, 10.0, axis)
        assert np.array_equal(result[block], alone if axis == "texts" else alone.T)
    assert not np.allclose(softmax.dual_softmax(scores, 10.0, axis), result if axis == "texts" else result.T)


def test_missing_clips_keep_their_place_in_the_blocks() -> None:
    """A lost clip moves no other into another block, and a block of nothing else is no error."""
    scores = np.random.default_rng(0).random((6, 6))
    missing = np.array([False, False, False, True, True, False])
    result = softmax.dual_softmax(scores, 10.0, "videos", missing, at_once=3)
    assert np.array_equal(result[:, :3], softmax.dual_softmax(scores, 10.0, "videos", at_once=3)[:, :3])
    assert np.array_equal(result[:, 5], scores[:, 5]) and np.isneginf(result[:, 3:5]).all()
    missing[5] = True
    assert np.isneginf(softmax.dual_softmax(scores, 10.0, "videos", missing, at_once=3)[:, 3:]).all()


def test_dual_softmax_refuses_infinity() -> None:
    """A score that softmax cannot normalise is an error that names it."""
    scores = np.ones((4, 4))
    scores[2, 1] = np.inf
    with pytest.raises(HarnessError, match="text 2, video 1"):
        softmax.dual_softmax(scores, 1.0, "texts")


def test_legacy_without_a_sample_is_an_error() -> None:
    """When every query vanishes the legacy mode says so instead of dividing by zero."""
    with pytest.raises(HarnessError, match="no sample left"):
        legacy_expand(np.full((3, 3), np.inf), np.arange(3))


def test_unknown_choices_are_refused() -> None:
    """A misspelt tie policy, protocol, NaN policy or axis is named."""
    eye, gold = np.eye(3), np.arange(3)
    with pytest.raises(HarnessError, match="'averaged'"):
        ranks.metrics(ranks.text_to_video(eye, gold), ties="averaged")
    with pytest.raises(HarnessError, match="'caption'"):
        ranks.video_to_text(eye, gold, None, "caption")
    with pytest.raises(HarnessError, match="'best'"):
        ranks.text_to_video(eye, gold, nan="best")
    with pytest.raises(HarnessError, match="'rows'"):
        softmax.dual_softmax(eye, 1.0, "rows")


def test_wilson_matches_known_values() -> None:
    """480 of 1000 gives 44.9 to 51.1 percent; no hit and all hits keep one end closed."""
    assert recall_interval(48.0, 1000) == pytest.approx((44.92, 51.10), abs=0.01)
    assert wilson(0, 10) == pytest.approx((0.0, 27.75), abs=0.01)
    assert wilson(10, 10) == pytest.approx((72.25, 100.0), abs=0.01)


def test_wilson_covers_at_its_nominal_rate() -> None:
    """The 95 % interval covers the true share in 93 to 97 percent of simulated evaluations."""
    rng = np.random.default_rng(0)
    for share in (0.1, 0.45, 0.8):
        hits = rng.binomial(1000, share, size=2000)
        covered = [low <= 100 * share <= high for low, high in (wilson(int(h), 1000) for h in hits)]
        assert 0.93 <= np.mean(covered) <= 0.97


def test_spread_over_seeds() -> None:
    """The spread is the sample standard deviation, and 0 rather than an error for one seed."""
    assert over_seeds([1.0, 2.0, 3.0]) == (2.0, 1.0, 3)
    assert over_seeds([4.0]) == (4.0, 0.0, 1)

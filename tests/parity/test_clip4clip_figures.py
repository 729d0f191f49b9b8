"""CLIP4Clip's loss and the figures that it prints, on recorded matrices."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import clip4clip
import numpy as np
import pytest
import torch
from golden import read_json
from safetensors.torch import load_file

from harness.models import Batch, Features, LossInputs
from harness.results import ranks
from harness.results.legacy_ranks import legacy_expand
from harness_standard.info_nce import InfoNCE
from harness_standard.plugin import InfoNCEOptions

TOLERANCE = 1e-4  # some of the recorded figures went through single precision


def _loss(matrix: torch.Tensor, reduction: str) -> float:
    nothing = Features(matrix[:, None], torch.ones(len(matrix), 1, dtype=torch.bool))
    return InfoNCE(InfoNCEOptions(same_clip="negative", reduction=reduction))(
        LossInputs(
            features={"text": nothing, "video": nothing},
            positives=torch.eye(len(matrix), dtype=torch.bool),
            logit_scale=torch.ones(()),
            similarity=lambda text, video: matrix,
            batch=Batch({}),
            total=lambda value: value,
        )
    ).item()


@pytest.mark.parametrize("path", clip4clip.files("loss"))
def test_loss(path: Path | None) -> None:
    """The mean, and the sum, of both directions on every recorded matrix."""
    assert path, f"no losses in {clip4clip.FOLDER}"
    cases, matrices = read_json(path), load_file(path.with_suffix(".safetensors"))
    assert set(cases) == set(matrices)
    for name, expected in cases.items():
        assert set(expected) == {"t2v", "v2t", "loss"}
        assert _loss(matrices[name], "mean") == pytest.approx(expected["loss"], rel=1e-5)
        total = expected["t2v"] + expected["v2t"]
        assert _loss(matrices[name], "sum") == pytest.approx(total, rel=1e-5)


def _figures() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("metrics", []):
        content, matrices = read_json(path), load_file(path.with_suffix(".safetensors"))
        assert set(content) == set(matrices)
        found += [
            pytest.param(content[name], matrices[name].numpy(), id=f"clip4clip-metrics-{name}")
            for name in content
        ]
    return found or [pytest.param(None, np.zeros((0, 0)), id="clip4clip-metrics-none-found")]


def _check(ours: dict[str, float], expected: dict[str, Any]) -> None:
    known = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "MR": "MdR", "MedianR": "MdR", "MeanR": "MnR"}
    assert set(expected) <= {*known, "cols", "Std_Rank"}
    for theirs, name in known.items():
        assert ours[name] == pytest.approx(expected[theirs], abs=TOLERANCE), theirs
    if "cols" in expected:
        assert ours["n"] == len(expected["cols"])


@pytest.mark.parametrize("expected, scores", _figures())
def test_figures(expected: dict[str, Any] | None, scores: np.ndarray) -> None:
    """The legacy way of counting gives the recorded figures in both directions."""
    assert expected, f"no metrics in {clip4clip.FOLDER}"
    if "sentences_per_video" not in expected:
        assert set(expected) == {"t2v", "v2t"}
        gold = np.arange(len(scores))
        _check(legacy_expand(scores, gold), expected["t2v"])
        _check(legacy_expand(scores.T, gold), expected["v2t"])
        return
    sizes = expected["sentences_per_video"]
    assert list(accumulate(sizes)) == expected["cut_off_points"]
    gold = np.repeat(np.arange(len(sizes)), sizes)
    # Video to text: the best caption of each video stands for it.
    best = np.array([scores[gold == video].max(axis=0) for video in range(len(sizes))])
    _check(legacy_expand(best.T, np.arange(len(sizes))), expected["v2t"])
    _check_sentences(scores, gold, expected["t2v"])


def _check_sentences(scores: np.ndarray, gold: np.ndarray, expected: dict[str, float]) -> None:
    """Text to video by sentence; the reference's median is the lower one of an even number.

    Where a sentence's own score is tied its rank there depends on an unstable sort, and only lies
    between the best and the worst.
    """
    counts = ranks.text_to_video(scores, gold)
    best, worst = (ranks.metrics(counts, ties=ties) for ties in ("optimistic", "pessimistic"))
    for name, ours in (("R1", "R@1"), ("R5", "R@5"), ("R10", "R@10"), ("MeanR", "MnR")):
        low, high = sorted((best[ours], worst[ours]))
        assert low - TOLERANCE <= expected[name] <= high + TOLERANCE, name
    places = [np.sort(ranks.ranks(counts, ties)) for ties in ("optimistic", "pessimistic")]
    low, high = (place[(len(place) - 1) // 2] for place in places)
    assert low <= expected["MedianR"] == expected["MR"] <= high
    if low == high and (places[0] == places[1]).all():
        assert np.std(places[0]) == pytest.approx(expected["Std_Rank"], abs=TOLERANCE)

"""CLIP-ViP's retrieval figures and its dual softmax, on recorded matrices.

A file of such figures is told from the area's others by its ``rows``, each of a ``matrix`` and two
directions. Recalls are recorded as shares. The reference counts every position that ties with the
ground truth as one more query, so the plain metrics agree where nothing ties.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import area, read_json
from safetensors.numpy import load_file

from harness.plugins import registry
from harness.results import ranks, softmax
from harness.results.legacy_ranks import legacy_expand
from harness_standard.plugin import DualSoftmaxOptions
from harness_standard.postprocess import dual_softmax

FOLDER = area("clip_vip")
FIGURES = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "MdR": "MdR", "MnR": "MnR"}
PROCESSED = "|DSL"


def _is_figures(content: Any) -> bool:
    rows = content.get("rows") if isinstance(content, dict) else None
    return bool(rows) and all({"matrix", "t2v"} <= set(row) for row in rows)


@cache
def _files() -> list[Path]:
    return [path for path in sorted(FOLDER.rglob("*.json")) if _is_figures(read_json(path))]


@cache
def _tensors(path: Path) -> dict[str, np.ndarray]:
    return load_file(path.with_suffix(".safetensors"))


def _rows() -> list[Any]:
    found = [
        pytest.param(path, row, id=f"clip_vip-metrics-{row['matrix']}")
        for path in _files()
        for row in read_json(path)["rows"]
    ]
    return found or [pytest.param(None, {}, id="clip_vip-metrics-none-found")]


def _matrices() -> list[Any]:
    found = [
        pytest.param(path, name.removeprefix("out.dsl."), id=f"clip_vip-{name}")
        for path in _files()
        for name in _tensors(path)
        if name.startswith("out.dsl.")
    ]
    return found or [pytest.param(None, "", id="clip_vip-dsl-none-found")]


def _labelled() -> list[Any]:
    found = [
        pytest.param(path, read_json(path)["multi"], id=f"clip_vip-metrics-labels-{path.stem}")
        for path in _files()
        if "multi" in read_json(path)
    ]
    return found or [pytest.param(None, {}, id="clip_vip-metrics-labels-none-found")]


def _scores(path: Path, name: str) -> np.ndarray:
    """A recorded matrix, or the reference's own processing of it."""
    kind, plain = ("out.dsl", name.removesuffix(PROCESSED)) if name.endswith(PROCESSED) else ("in", name)
    return _tensors(path)[f"{kind}.{plain}"]


def _assert_same(values: dict[str, float], expected: dict[str, float]) -> None:
    assert set(expected) == set(FIGURES), f"unknown kind of figure: {sorted(set(expected) ^ set(FIGURES))}"
    wanted = {FIGURES[name]: value * (100 if name[0] == "R" else 1) for name, value in expected.items()}
    assert {name: values[name] for name in wanted} == pytest.approx(wanted, rel=1e-12, abs=0)


@pytest.mark.parametrize(("path", "row"), _rows())
def test_figures(path: Path | None, row: dict[str, Any]) -> None:
    """Under the reference's way with ties every figure is its own; where nothing ties, under ours too."""
    assert path, f"no figures in {FOLDER}"
    assert set(row) == {"matrix", "shape", "t2v", "v2t"}, f"unknown kind of row: {sorted(row)}"
    scores = _scores(path, row["matrix"])
    gold = np.arange(len(scores))
    assert list(scores.shape) == row["shape"]
    _assert_same(legacy_expand(scores, gold), row["t2v"])
    _assert_same(legacy_expand(scores.T, gold), row["v2t"])
    for counts, expected in (
        (ranks.text_to_video(scores, gold), row["t2v"]),
        (ranks.video_to_text(scores, gold)[0], row["v2t"]),
    ):
        if (counts.tied == 1).all():
            _assert_same(ranks.metrics(counts), expected)


@pytest.mark.parametrize(("path", "multi"), _labelled())
def test_several_texts_of_a_clip(path: Path | None, multi: dict[str, Any]) -> None:
    """Texts that share clips are ranked by their labels."""
    assert path, f"no labels in {FOLDER}"
    assert set(multi) == {"matrix", "labels", "t2v"}, f"unknown kind of row: {sorted(multi)}"
    scores, gold = _scores(path, multi["matrix"]), np.array(multi["labels"])
    counts = ranks.text_to_video(scores, gold)
    assert (counts.tied == 1).all()
    _assert_same(legacy_expand(scores, gold), multi["t2v"])
    _assert_same(ranks.metrics(counts), multi["t2v"])


@pytest.mark.parametrize(("path", "name"), _matrices())
def test_dual_softmax(path: Path | None, name: str) -> None:
    """With the softmax over texts for both directions the matrix is the reference's."""
    assert path, f"no processed matrix in {FOLDER}"
    scores, expected = _tensors(path)[f"in.{name}"], _tensors(path)[f"out.dsl.{name}"]
    spec, _ = registry().find("postprocessors", "DSL")
    assert spec.options is DualSoftmaxOptions
    process = dual_softmax(DualSoftmaxOptions(axis="texts"))
    for processed in process(scores, np.zeros(scores.shape[1], dtype=bool)):
        np.testing.assert_allclose(processed, expected, atol=1e-6, rtol=0)


def test_clip_vip_metrics_leave_no_matrix_out() -> None:
    """Every recorded matrix has its figures, and every processed one is a matrix that is there."""
    for path in _files():
        rows = {row["matrix"] for row in read_json(path)["rows"]} | {read_json(path)["multi"]["matrix"]}
        names = {
            name.removeprefix("in.")
            for name in _tensors(path)
            if name.startswith("in.") and not name.endswith("_feats")
        }
        assert {row.removesuffix(PROCESSED) for row in rows} == names


def _softmaxes() -> list[Any]:
    found = [
        pytest.param(path, read_json(path)["softmax"], id=f"clip_vip-softmax-{path.stem}")
        for path in _files()
        if "softmax" in read_json(path)
    ]
    return found or [pytest.param(None, {}, id="clip_vip-softmax-none-found")]


@pytest.mark.parametrize(("path", "stated"), _softmaxes())
def test_softmax_of_another_temperature(path: Path | None, stated: dict[str, Any]) -> None:
    """Scores times the reference's softmax over texts, and over clips, are the dual softmax of each axis."""
    assert path, f"no softmax in {FOLDER}"
    assert set(stated) == {"theta", "matrix"}, f"unknown kind of row: {sorted(stated)}"
    scores = _scores(path, stated["matrix"])
    for axis, dim in (("texts", 0), ("videos", 1)):
        expected = scores * _tensors(path)[f"out.np_softmax.axis{dim}"]
        processed = softmax.dual_softmax(scores, stated["theta"], axis)
        np.testing.assert_allclose(processed, expected, atol=1e-6, rtol=0)

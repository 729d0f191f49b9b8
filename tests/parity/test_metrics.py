"""Metrics against the reference values, case by case as the golden folder lists them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import area, array_sha256, from_recipe, read_json

from harness.errors import HarnessError
from harness.results import ranks, softmax
from harness.results.legacy_ranks import legacy_expand

FOLDER = area("metrics")
TOLERANCE = 1e-6
CASE_FIELDS = {
    "name", "why", "shape", "recipe", "sha256_f64le_c", "gt_sha256_i64le",
    "default_policy_result", "matrix", "gt", "expected", "expected_dsl",
}  # fmt: skip


def _cases() -> list[dict[str, Any]]:
    """Every case of every ``*.json`` in the folder."""
    return [case for path in sorted(FOLDER.glob("*.json")) for case in read_json(path)["cases"]]


def _expectations() -> list[Any]:
    """One parameter per case and expected entry; a single failing one when there is no case."""
    found = []
    for case in _cases():
        name = case["name"]
        found.append(pytest.param(case, "matrix", None, id=f"metrics-{name}-matrix"))
        found.append(pytest.param(case, "default", None, id=f"metrics-{name}-default"))
        for kind, expected in case.get("expected", {}).items():
            found.append(pytest.param(case, kind, expected, id=f"metrics-{name}-{kind}"))
        for expected in case.get("expected_dsl", []):
            tau = expected["tau"]
            found.append(pytest.param(case, "dsl", expected, id=f"metrics-{name}-dsl-{tau:g}"))
    return found or [pytest.param(None, "none", None, id="metrics-none-found")]


def _real() -> list[Any]:
    """One parameter per stored real matrix; none when the folder has no such part."""
    return [
        pytest.param(path, id=f"metrics-real-{path.stem}") for path in sorted((FOLDER / "real").glob("*.npy"))
    ]


@lru_cache(maxsize=1)
def _matrix(recipe: str) -> tuple[np.ndarray, np.ndarray]:
    return from_recipe(recipe)


def _assert_same(values: dict[str, float], expected: dict[str, float], n: int) -> None:
    """Every expected figure, whatever its k, within the tolerance."""
    values = {**values, "n": values.get("n", n)}
    recalls = [values["R@1"], values["R@5"], values["R@10"]]
    values |= {"geomean": math.prod(recalls) ** (1 / 3), "SumR": math.fsum(recalls)}
    assert expected
    chosen = {name: values[name] for name in expected}
    assert chosen == pytest.approx(expected, abs=TOLERANCE, rel=0)


def _ks(expected: dict[str, float]) -> list[int]:
    asked = {int(name[2:]) for name in expected if re.fullmatch(r"R@\d+", name)}
    return sorted(asked | {1, 5, 10})


def _compare(counts: ranks.Counts, expected: dict[str, float], ties: Any = "average") -> None:
    _assert_same(ranks.metrics(counts, _ks(expected), ties), expected, len(counts))


def _check_matrix(case: dict[str, Any], scores: np.ndarray, gold: np.ndarray) -> None:
    assert list(scores.shape) == case["shape"]
    assert array_sha256(scores, "<f8") == case["sha256_f64le_c"]
    assert array_sha256(gold, "<i8") == case["gt_sha256_i64le"]
    if "matrix" in case:
        assert np.array_equal(np.load(FOLDER / case["matrix"]), scores, equal_nan=True)
        assert np.array_equal(np.load(FOLDER / case["gt"]), gold)


def _check_default(case: dict[str, Any], scores: np.ndarray, gold: np.ndarray) -> None:
    """Without an opt-in a matrix with NaN is refused, and the message says how many and where."""
    if case["default_policy_result"] == "values":
        ranks.text_to_video(scores, gold)
        ranks.video_to_text(scores, gold)
        return
    assert case["default_policy_result"] == "error"
    text, video = np.argwhere(np.isnan(scores))[0]
    for compute in (ranks.text_to_video, ranks.video_to_text):
        with pytest.raises(HarnessError) as caught:
            compute(scores, gold)
        assert f"{np.isnan(scores).sum()} of {scores.size}" in caught.value.message
        assert f"text {text}, video {video}" in caught.value.message


def _check_dsl(scores: np.ndarray, gold: np.ndarray, expected: dict[str, Any]) -> None:
    assert set(expected) == {"tau", "t2v", "v2t_shared", "v2t_own"}
    over_texts = softmax.dual_softmax(scores, expected["tau"], "texts")
    over_videos = softmax.dual_softmax(scores, expected["tau"], "videos")
    _compare(ranks.text_to_video(over_texts, gold), expected["t2v"])
    _compare(ranks.video_to_text(over_texts, gold)[0], expected["v2t_shared"])
    _compare(ranks.video_to_text(over_videos, gold)[0], expected["v2t_own"])


def _check_policies(expected: dict[str, Any], counts: ranks.Counts) -> None:
    assert expected
    for ties, figures in expected.items():
        _compare(counts, figures, ties)


def _check_uncaptioned(expected: int, scores: np.ndarray, gold: np.ndarray) -> None:
    _, queries = ranks.video_to_text(scores, gold, nan="worst")
    assert scores.shape[1] - len(queries) == expected
    assert set(queries) == set(gold)


KINDS: dict[str, Callable[[dict[str, Any], Any, np.ndarray, np.ndarray], None]] = {
    "matrix": lambda case, _, s, g: _check_matrix(case, s, g),
    "default": lambda case, _, s, g: _check_default(case, s, g),
    "dsl": lambda _, e, s, g: _check_dsl(s, g, e),
    "t2v": lambda _, e, s, g: _check_policies(e, ranks.text_to_video(s, g, nan="worst")),
    "v2t_caption_rank": lambda _, e, s, g: _check_policies(
        e, ranks.video_to_text(s, g, None, "caption_rank", nan="worst")[0]
    ),
    "v2t_group_rank": lambda _, e, s, g: _check_policies(
        e, ranks.video_to_text(s, g, None, "group_rank", nan="worst")[0]
    ),
    "v2t_videos_without_caption": lambda _, e, s, g: _check_uncaptioned(e, s, g),
    "t2v_legacy_expand": lambda _, e, s, g: _assert_same(legacy_expand(s, g, _ks(e)), e, len(s)),
    "v2t_legacy_expand": lambda _, e, s, g: _assert_same(
        legacy_expand(s.T, np.argsort(g), _ks(e)), e, len(s)
    ),
}


@pytest.mark.parametrize("case, kind, expected", _expectations())
def test_golden(case: dict[str, Any] | None, kind: str, expected: Any) -> None:
    """Every stored expectation of every case holds; an unknown kind or an empty folder fails."""
    assert case is not None, f"no case in {FOLDER}"
    assert set(case) <= CASE_FIELDS, f"unknown kind of case: {sorted(set(case) - CASE_FIELDS)}"
    assert case.get("expected"), "a case without an expectation shows nothing"
    assert kind in KINDS, f"unknown kind of expectation: {kind}"
    scores, gold = _matrix(case["recipe"])
    KINDS[kind](case, expected, scores, gold)


@pytest.mark.parametrize("folder", [pytest.param(FOLDER, id="metrics-folder")])
def test_nothing_is_left_out(folder: Path) -> None:
    """Every stored matrix belongs to a case, and the folder has no part that no test knows."""
    used = {case[part] for case in _cases() for part in ("matrix", "gt") if part in case}
    stored = {path.relative_to(folder).as_posix() for path in (folder / "matrices").glob("*")}
    assert stored == used
    assert {path.name for path in folder.iterdir() if path.is_dir()} <= {"matrices", "real"}


@pytest.mark.parametrize("path", _real())
def test_real_matrix(path: Path) -> None:
    """The scores of a trained model give the published figures in every mode that is listed."""
    expected = read_json(path.parent / "expected.json")
    content = array_sha256(np.frombuffer(path.read_bytes(), np.uint8), "u1")
    [name] = [name for name, sha256 in expected["sha256"].items() if sha256 == content]
    scores = np.load(path).astype(np.float64)
    gold = np.arange(len(scores))
    for kind, figures in expected["results"][name].items():
        if kind.startswith("dsl_tau"):
            _check_dsl(scores, gold, {"tau": float(kind.removeprefix("dsl_tau")), **figures})
            continue
        direction, _, mode = kind.partition("_")
        assert direction in ("t2v", "v2t"), f"unknown kind of expectation: {kind}"
        if mode == "legacy":
            table = scores if direction == "t2v" else scores.T
            _assert_same(legacy_expand(table, gold, _ks(figures)), figures, len(gold))
        elif direction == "t2v":
            _compare(ranks.text_to_video(scores, gold), figures, mode or "average")
        else:
            _compare(ranks.video_to_text(scores, gold)[0], figures, mode or "average")

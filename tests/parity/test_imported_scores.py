"""The stored scores of a published model, imported as a user would, give the figures listed beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from golden import area, read_json

from harness.results.digest import sha256_file
from harness.results.record import DIRECTIONS, FIGURES

REAL = area("metrics") / "real"
TOLERANCE = 1e-6
TIES = ("average", "optimistic", "pessimistic", "average_ce")
ASKED = ("--dataset", "msrvtt", "--protocol", "1k-A", "--method", "stored", "--one-text-per-video")


def _listed(path: Path) -> Mapping[str, Any]:
    expected = read_json(REAL / "expected.json")
    (name,) = (name for name, sha256 in expected["sha256"].items() if sha256 == sha256_file(path))
    return expected["results"][name]


def _cases() -> list[Any]:
    """A parameter for each stored matrix and listed kind of result; none where the folder has no such part."""
    return [
        pytest.param(path, kind, figures, id=f"metrics-imported-{path.stem}-{kind}")
        for path in sorted(REAL.glob("*.npy"))
        for kind, figures in _listed(path).items()
    ]


def _same(found: Mapping[str, float], expected: Mapping[str, float]) -> None:
    chosen = {name: expected[name] for name in (*FIGURES, "n") if name in found}
    assert set(chosen) >= set(FIGURES)
    assert {name: found[name] for name in chosen} == pytest.approx(chosen, abs=TOLERANCE, rel=0)


@pytest.mark.parametrize(("path", "kind", "figures"), _cases())
def test_imported(path: Path, kind: str, figures: Mapping[str, Any], cli, workplace) -> None:
    """Records under every tie policy and post-processing, and the legacy mode, agree with the list; an
    unknown kind of result fails."""

    def imported(*options: str) -> dict[str, Any]:
        done = cli("import-scores", path, *ASKED, *options, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    if kind.startswith("dsl_tau"):
        assert set(figures) == {"t2v", "v2t_shared", "v2t_own"}
        temperature = f"evaluation.postprocess.temperature={float(kind.removeprefix('dsl_tau'))}"
        asked = ("--post", "dual_softmax", "--set", temperature)
        for axis, back in (("own", "v2t_own"), ("texts", "v2t_shared")):
            record = imported(*asked, "--set", f"evaluation.postprocess.axis={axis}")
            _same(record["metrics"]["t2v"], figures["t2v"])
            _same(record["metrics"]["v2t"], figures[back])
        imported()
        page = (workplace / "leaderboards" / "msrvtt.md").read_text()
        assert page.count("\n## ") == 3, "plain scores and both axes, a table each"
        return
    direction, _, mode = kind.partition("_")
    assert direction in DIRECTIONS and mode in ("", "legacy", *TIES), f"unknown kind of result: {kind}"
    if mode == "legacy":
        _same(imported("--ties", "legacy")[direction], figures)
    else:
        _same(imported("--ties", mode or "average")["metrics"][direction], figures)


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=f"metrics-imported-{p.stem}") for p in sorted(REAL.glob("*.npy"))]
)
def test_the_legacy_mode_warns_of_its_denominator(path: Path, cli, workplace) -> None:
    """It names the number of samples that it made of the queries, as the list has it."""
    done = cli("import-scores", path, *ASKED, "--ties", "legacy")
    listed = _listed(path)["v2t_legacy"]
    assert f"{listed['n']} in v2t" in done.stderr and f"{listed['R@1']:.2f}" in done.stdout
    assert not (workplace / "leaderboards").exists()

"""An ablation is one command: a run for each part of its file, each a row of its own."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from sample_records import sample

from harness.cli import main
from harness.engine.ablation import Cell, summary
from harness.errors import HarnessError
from harness.plan.ablation import cells_of
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness.results.record import Metrics, ResultRecord
from harness.results.record_file import load


def test_every_part_is_a_plan_of_its_own():
    """Every installed ablation resolves, and its parts are different runs called after it."""
    found = [
        (spec, name) for spec, _ in registry().specs("methods") for name in spec.ablations if "/" not in name
    ]
    assert found
    for method, name in found:
        for dataset in ("shapes", "msrvtt"):
            cells = cells_of(method, name, dataset)
            plans = [
                build_plan(
                    Request(method=method.name, dataset=dataset, ablation=(name, cell), data_roots=(".",)),
                    registry(),
                )[0]
                for cell in cells
            ]
            assert len(cells) > 1 and len({plan.digest for plan in plans}) == len(cells)
            assert [plan.recipe.variant for plan in plans] == list(cells)


def test_an_unknown_ablation_names_the_known_ones():
    """A name that the method lacks is refused with those that it has."""
    with pytest.raises(HarnessError, match="no ablation 'structur'") as caught:
        cells_of(registry().find("methods", "clip_vip")[0], "structur", "shapes")
    assert "structure" in caught.value.hint and "/" not in caught.value.hint


@pytest.mark.slow
def test_a_second_command_runs_nothing_again(small_shapes, tmp_path, monkeypatch):
    """Rows and a table come out of the first; the second finds every run done."""
    monkeypatch.chdir(tmp_path)
    command = ["ablate", "clip_vip", "structure", "--dataset", "shapes", "--backbone", "tiny"]
    for setting in (
        "data.options.train_clips=32",
        "train.epochs=1",
        "data.frames=2",
        "model.backbone.layers=1",
    ):
        command += ["--set", setting]
    first, second = (CliRunner().invoke(main, command) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert "| full attention |" in first.stdout and second.stdout == first.stdout
    assert "grid of 7 cells: 0 done, 0 to resume, 7 to run" in first.stderr
    assert "grid of 7 cells: 7 done, 0 to resume, 0 to run" in second.stderr
    records = [load(path) for path in tmp_path.rglob("results/shapes/clip_vip/*.json")]
    assert len({record.variant for record in records}) == 7
    page = (tmp_path / "leaderboards" / "shapes.md").read_text()
    assert "clip_vip, 9 proxies" in page
    overview = (tmp_path / "leaderboards" / "README.md").read_text()
    assert "9 proxies" not in overview


def a_record(recall: float, seed: int) -> ResultRecord:
    figures = {"R@1": recall, "R@5": 90.0, "R@10": 95.0, "MdR": 1.0, "MnR": 1.5}
    return sample(seed=seed, metrics=Metrics(t2v=figures, v2t=figures))


def test_several_seeds_give_means_and_a_paired_difference():
    """Differences are by seed, so that what all parts share of a seed does not widen the interval."""
    parts = {"with": (70.0, 60.0, 50.0), "without": (60.0, 51.0, 39.0)}
    cells = [
        Cell(name, tuple(a_record(r1, seed) for seed, r1 in enumerate(values)), 0)
        for name, values in parts.items()
    ]
    rows = summary(cells).splitlines()
    assert "60.0 ± 10.0" in rows[2] and "50.0 ± 10.5" in rows[3]
    # The differences are -10, -9, -11: 4.303 / sqrt(3) around their mean.
    assert "-10.0 [-12.5, -7.5]" in rows[3]

"""`harness run --seeds`: one command for several seeds, of which none is run twice."""

from __future__ import annotations

import json
from statistics import fmean, stdev

import pytest

from harness.results.record_file import load

RUN = ("run", "--method", "clip4clip_meanp")


@pytest.fixture
def small(small_shapes) -> tuple[str, ...]:
    """A run of a second or two."""
    return (*small_shapes, "--set", "data.options.train_clips=32", "--set", "data.frames=2")


def test_seeds_are_runs_of_their_own_and_a_mean(cli, workplace, small):
    """Each seed has a record, all are one row, and a seed that was run before is not run again."""
    first = cli(*RUN, *small, "--seed", "1")
    assert first.exit_code == 0, first.stderr
    both = cli(*RUN, *small, "--seeds", "2")
    assert both.exit_code == 0, both.stderr
    assert "grid of 2 cells: 1 done, 0 to resume, 1 to run\n" in both.stderr
    records = [load(path) for path in (workplace / "leaderboards" / "results").rglob("*.json")]
    assert sorted(record.seed for record in records) == [0, 1]
    recalls = [record.metrics.t2v["R@1"] for record in records]
    assert f"{fmean(recalls):.1f} ± {stdev(recalls):.1f}" in both.stdout
    assert "2 (0, 1)" in (workplace / "leaderboards" / "shapes.md").read_text()

    again = cli(*RUN, *small, "--seeds", "2", "--json")
    decoder, rest, seeds = json.JSONDecoder(), again.stdout, []
    while rest.strip():
        value, end = decoder.raw_decode(rest)
        seeds.append(value["seed"])
        rest = rest[end:].lstrip()
    assert seeds == [0, 1] and "2 done, 0 to resume, 0 to run" in again.stderr


def test_what_was_begun_goes_on(cli, workplace, small):
    """A seed whose folder has a plan and no record goes on from it; one that never began starts."""
    assert cli(*RUN, *small, "--checkpoint-every", "1").exit_code == 0
    (folder,) = (path for path in (workplace / "runs").iterdir() if path.is_dir())
    (folder / "record.json").unlink()
    log = (folder / "log.jsonl").read_bytes()
    done = cli(*RUN, *small, "--seeds", "2")
    assert done.exit_code == 0, done.stderr
    assert "grid of 2 cells: 0 done, 1 to resume, 1 to run\n" in done.stderr
    assert (folder / "log.jsonl").read_bytes() == log and (folder / "record.json").exists()


def test_a_dry_run_names_the_cells(cli, workplace, small):
    """Each seed is listed with what would be done, and nothing is made."""
    done = cli(*RUN, *small, "--seeds", "3", "--seed", "4", "--dry-run")
    assert done.exit_code == 0, done.stderr
    cells = [[field.strip() for field in row.split("|")[1:3]] for row in done.stdout.splitlines()[2:]]
    assert cells == [[f"clip4clip_meanp shapes s{seed}", "to run"] for seed in (4, 5, 6)]
    assert not (workplace / "runs").exists()

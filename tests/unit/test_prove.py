"""`harness prove`: which published row, by which recipe, and a verdict on runs over a tiny tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import HarnessError, PublishedResultsSpec
from harness.engine.prove import Proof, plan_proof, preview
from harness.plan.plan import Request, build_plan
from harness.plugins import Plugin, registry
from harness.results.published import installed
from tests.support.msrvtt_tree import make_tree

#: A row for the tree below, as a plugin would state it.
ROW: dict[str, Any] = {
    "method": "clip4clip_meanp",
    "dataset": "msrvtt",
    "protocol": "1k-A",
    "n_queries": 8,
    "n_gallery": 8,
    "train_split": "train-7k",
    "selection": "test",
    "t2v": {"R@1": 12.5, "R@5": 62.5},
    "source": "a test",
    "confidence": "read",
    "recipe": ["fp32"],
}

#: What is really installed, read once.
ENTRIES = installed(registry())


def planned(method: str, dataset: str, row: str = "", **asked: Any) -> Proof:
    request = Request(method=method, dataset=dataset, data_roots=(".",), **asked)
    return plan_proof(request, row, 3, registry())


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Install a plugin with these changes of :data:`ROW`, in place of all published rows."""

    def declare(**changes: Any) -> None:
        path = tmp_path / "rows.yaml"
        path.write_text(yaml.safe_dump({"row": {**ROW, **changes}}))
        spec = PublishedResultsSpec(name="tests", summary="", rows=str(path))
        found = {"tests": [(spec, Plugin("tests", "tests", "1", "tests"))]}
        monkeypatch.setitem(registry().components, "published results", found)

    return declare


# which row, which recipe


@pytest.mark.parametrize(
    "entry",
    [pytest.param(one, id=one.name) for one in ENTRIES if one.recipe is not None],
)
def test_every_row_with_a_recipe_can_be_planned(entry, monkeypatch):
    """A row's recipe exists, sets what the row states, and runs its backbone and frames; only the choice of
    the epoch is another."""
    monkeypatch.setattr("harness.engine.prove.installed", lambda _: ENTRIES)
    record = entry.record
    asked = {"task": record.task, "protocol": record.protocol.name}
    proof = planned(record.method, record.dataset, entry.name, **asked)
    differs = [line for line in preview(proof).splitlines() if line.startswith("differs")]
    zero_shot = record.train_split == "none"
    selected = "differs    selection: last epoch here, best on test there"
    assert differs == ([] if zero_shot else [selected])
    assert len({plan.digest for plan in proof.plans}) == 1
    assert [plan.seed for plan in proof.plans] == [0, 1, 2]
    assert bool(proof.plans[0].own_stages) is not zero_shot


def test_the_runs_are_those_of_the_published_recipe():
    """What is proved is what `harness run --recipe published` runs, to the digest."""
    request = Request(
        method="clip4clip_seqtransf", dataset="msvd", data_roots=(".",), recipes=("published",), seed=1
    )
    plan, _ = build_plan(request, registry())
    proof = planned("clip4clip_seqtransf", "msvd")
    assert proof.plans[1].digest == plan.digest and proof.plans[1].name == plan.name


@pytest.mark.parametrize(
    ("method", "asked", "row"),
    [
        ("clip4clip", {}, "clip4clip/msrvtt-9k-meanp"),
        ("clip_vip", {}, "clip_vip/msrvtt-b32"),
        ("clip_vip", {"backbone": "ViT-B-16-quickgelu"}, "clip_vip/msrvtt-b16"),
        ("clip_vip", {"row": "clip_vip/msrvtt-b16-dsl"}, "clip_vip/msrvtt-b16-dsl"),
    ],
)
def test_the_row_nearest_to_the_methods_own_recipe_is_proved(method, asked, row):
    """Trained on the default split, plain scores and the recipe's backbone, unless another row is asked for."""
    proof = planned(method, "msrvtt", **asked)
    assert proof.entry.name == row
    assert row not in {one.name for one in proof.others} and proof.others


@pytest.mark.parametrize(
    ("method", "dataset", "asked", "message", "hint"),
    [
        ("clip4clip", "shapes", {}, "nothing is published of clip4clip_meanp on shapes", "msrvtt 1k-A, msvd"),
        ("vlab_tiny", "shapes", {}, "nothing is published of vlab_tiny", "methods with published rows: "),
        ("vlab_g", "msrvtt", {}, "no recipe is known to repeat vlab/msrvtt", "--recipe"),
        ("clip_vip", "msrvtt", {"row": "x"}, "no such row 'x'", "rows: clip_vip/msrvtt-b32, "),
        (
            "clip_vip",
            "msrvtt",
            {"settings": ("data.train_split=train-7k",)},
            "train split: 'train-7k' here, 'train-9k' there",
            "--set",
        ),
        (
            "clip_vip",
            "msrvtt",
            {"settings": ("evaluation.missing=drop",)},
            "cannot be read: 'drop' here",
            "--set",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_proved_is_said_before_any_work(method, dataset, asked, message, hint):
    """No row, no recipe, an unknown row, or a changed setting: one line, and what there is instead."""
    with pytest.raises(HarnessError) as caught:
        planned(method, dataset, **asked)
    assert message in caught.value.message and hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_recipe_of_ones_own_repeats_a_row_that_has_none():
    """With --recipe a row may be proved that no recipe is known for."""
    row = "clip4clip/msrvtt-zeroshot-howto100m"
    with pytest.raises(HarnessError, match="no recipe is known"):
        planned("clip4clip_meanp", "msrvtt", row)
    proof = planned("clip4clip_meanp", "msrvtt", row, recipes=("fp32",))
    assert proof.entry.name == row and proof.request.recipes == ("fp32",)


# on files


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_tree(tmp_path_factory.mktemp("msrvtt") / "root", train=8, test=8).root


@pytest.fixture
def command(tree) -> tuple[object, ...]:
    """Two seeds of a run of a second."""
    return (
        *("prove", "clip4clip_meanp", "--dataset", "msrvtt", "--data-root", tree, "--backbone", "tiny"),
        *("--set", "data.frames=2", "--set", "train.epochs=1", "--seeds", 2),
    )


def test_a_published_figure_is_proved_end_to_end(cli, workplace, publish, command):
    """The row's recipe is trained with every seed on the row's split, and a figure within, below or above
    the published one ends with 0, 1 or 0; nothing is run twice."""
    publish(t2v={"R@1": 100.0})
    first = cli(*command)
    assert first.exit_code == 1, first.output
    assert "0 done, 0 to resume, 2 to run" in first.stderr
    written = {path: path.stat().st_mtime_ns for path in (workplace / "runs").glob("*/record.json")}
    assert len(written) == 2
    head = first.stdout.splitlines()[0]
    assert head.startswith("clip4clip_meanp on msrvtt 1k-A, train-7k: T2V R@1 measured ")
    assert head.endswith("(2 seeds), published 100.0 (read, best on test): below")
    assert "Differs: selection: last epoch here, best on test there." in first.stdout

    figure = float(head.partition("measured ")[2].partition(" ")[0])
    publish(t2v={"R@1": figure})
    second = cli(*command, "--json")
    assert second.exit_code == 0, second.output
    assert "2 done, 0 to resume, 0 to run" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in written} == written
    found = json.loads(second.stdout)
    assert (found["outcome"], found["seeds"], found["row"]) == ("within", [0, 1], "tests/row")
    records = list((workplace / "leaderboards" / "results").rglob("*.json"))
    assert len(records) == 2

    publish(t2v={"MnR": 8.0})
    third = cli(*command)
    assert third.exit_code == 0 and "T2V MnR measured" in third.stdout


def test_another_test_is_refused_before_training(cli, workplace, publish, command):
    """A row of another gallery than the annotations have is an error while nothing has been written."""
    publish(n_gallery=1000, n_queries=1000)
    done = cli(*command)
    assert done.exit_code == 2
    assert "tests/row was tested on 1000 clips" in done.stderr and "name 8" in done.stderr
    assert list(workplace.iterdir()) == []


def test_what_was_measured_otherwise_is_no_verdict(cli, workplace, publish, command):
    """Where the queries turn out to be others, the records stay and no verdict is given."""
    publish(n_queries=9, v2t={})
    done = cli(*command)
    assert done.exit_code == 2 and done.stdout == ""
    assert "queries: 8 sentences here, 9 sentences there" in done.stderr


def test_a_dry_run_names_everything_and_writes_nothing(cli, workplace, publish, command):
    """Row, source, setting, the command for one seed, seeds and differences."""
    publish(backbone="ViT-B/32", pretraining="CLIP")
    done = cli(*command, "--dry-run")
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert text.startswith("tests/row: T2V R@1 12.5, T2V R@5 62.5 (read, best on test)\n")
    assert "trained on train-7k" in text and "--recipe fp32 --set data.train_split=train-7k" in text
    assert "seeds      2: 0, 1\n" in text
    assert "differs    backbone: tiny here, ViT-B/32 there" in text
    assert "check      pretraining there: CLIP" in text
    assert list(workplace.iterdir()) == []

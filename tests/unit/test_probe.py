"""Probes: what a model gets to see, what is kept of it, and what the tables and the audit make of that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sample_records import SIZE, protocol, sample

from harness.data import Clip
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling, in_order
from harness.data.transform import Geometry
from harness.engine.inputs import Batches, Frames
from harness.engine.loading import make_batches, new_model, open_dataset
from harness.engine.probing import probe, refuse_order
from harness.engine.task import Evaluation, Task, TaskResult
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plan.run_plan import RunPlan
from harness.plugins import registry
from harness.results import leaderboard, record_file
from harness.results.audit import audit
from harness.results.probes import PROBES, probe_table
from harness.results.record import Metrics, Probe, QueryCounts, ResultRecord
from harness_standard import answers
from tests.support import clips


@pytest.fixture
def plan() -> RunPlan:
    return _plan()


def _plan(*settings: str) -> RunPlan:
    return build_plan(Request(method="clip4clip_meanp", dataset="shapes", settings=settings), registry())[0]


def _probed(lift: float = 0.6, seed: int = 0, **changes: Any) -> ResultRecord:
    """A record whose probes are other samples, of less lift."""
    probes = {}
    for name, less in zip(PROBES, (0.1, 0.2, 0.4), strict=True):
        other = sample(lift=lift - less, seed=seed)
        probes[name] = Probe(metrics=Metrics(t2v=other.metrics.t2v), queries=other.queries.t2v)
    return sample(lift=lift, seed=seed, **{"probes": probes, **changes})


def _answered() -> ResultRecord:
    def columns(*right: bool) -> dict[str, str]:
        return answers.columns(list(right), ["what", "who", "what"], [None] * 3)

    def metrics(found: dict[str, str]) -> Metrics:
        return Metrics(figures=answers.accuracies(found), main="accuracy")

    ordered, shuffled = columns(True, True, False), columns(True, False, False)
    return sample(
        task="video_qa",
        protocol=protocol(query_unit="question", n_queries=3, n_gallery=3),
        metrics=metrics(ordered),
        queries=None,
        evidence=ordered,
        probes={"shuffled": Probe(metrics=metrics(shuffled), evidence=shuffled)},
    )


# what a model gets


@pytest.mark.parametrize("padding", ["masked", "repeat", "fixed_length"])
@pytest.mark.parametrize("length", [3, 4, 20])
def test_the_middle_frame_stands_in_every_place(tmp_path, padding, length):
    """A clip keeps its number of frames, its mask and its padding, and each real frame is the middle one."""
    clip = Clip("a", clips.write_clip(tmp_path / "a.mp4", length))
    reader = ClipReader(Sampling("uniform", 4, short="fewer"), Geometry(16), None)
    forward = Frames(reader, min(4, length) if padding == "fixed_length" else 4, 16, padding)
    plain = Batches(forward, (), 0).videos([clip])
    still = Batches(replace(forward, order="middle"), (), 0).videos([clip])
    assert torch.equal(still.mask, plain.mask)
    real, read = int(plain.mask.sum()), reader.read(clip)
    middle = read.frames[len(read.times) // 2]
    assert all(np.array_equal(frame.numpy(), middle) for frame in still.frames[0, :real])
    assert not still.frames[0, real:].any()
    assert len({frame.numpy().tobytes() for frame in plain.frames[0]}) > 1


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_middle_one_of_so_many(count):
    """Of an even number of frames it is the first of the second half, as for captions."""
    assert in_order(count, "middle").tolist() == [count // 2] * count


class _Noting(Task):
    """Keeps what it was asked, and says what it is told to."""

    def __init__(self, *missing: dict[str, str]) -> None:
        self.asked: list[Evaluation] = []
        self.missing = list(missing)

    def evaluate(self, evaluation: Evaluation) -> TaskResult:
        self.asked.append(evaluation)
        one = sample(lift=0.1 * len(self.asked))
        return TaskResult(
            metrics=one.metrics,
            protocol=one.protocol,
            score=0.0,
            queries=one.queries,
            missing=self.missing.pop(0) if self.missing else {},
        )


@pytest.fixture
def evaluation(plan) -> Evaluation:
    model = new_model(plan.recipe, registry(), torch.device("cpu"))
    dataset, batches = open_dataset(plan, registry()), make_batches(plan, model, 1)
    return Evaluation(plan, model, dataset, batches, Workers(0, 1, torch.device("cpu")), registry())


def test_a_probe_changes_the_order_of_frames_alone(evaluation):
    """The task is asked once for each probe, by the run's own plan with another order of frames."""
    task = _Noting()
    in_order = task.evaluate(evaluation)
    found = probe(task, evaluation, in_order, 1)
    assert list(found) == list(PROBES) == ["shuffled", "reversed", "middle"]
    for number, (name, asked) in enumerate(zip(PROBES, task.asked[1:], strict=True), start=2):
        assert asked.batches.frames.order == asked.plan.recipe.data.frame_order == name
        data = msgspec.structs.replace(asked.plan.recipe.data, frame_order="forward")
        recipe = msgspec.structs.replace(asked.plan.recipe, data=data)
        assert msgspec.structs.replace(asked.plan, recipe=recipe) == evaluation.plan
        assert asked.model is evaluation.model
        one = sample(lift=0.1 * number)
        assert found[name] == Probe(metrics=Metrics(t2v=one.metrics.t2v), queries=one.queries.t2v)


def test_a_clip_that_vanishes_meanwhile_is_an_error(evaluation):
    """No probe is scored on other clips than the frames in order were."""
    task = _Noting({"a": "not found"}, {"a": "not found"}, {"a": "not found", "b": "not found"})
    in_order = task.evaluate(evaluation)
    with pytest.raises(HarnessError, match="1 were missing at first, 2 with reversed frames"):
        probe(task, evaluation, in_order, 1)


@pytest.mark.parametrize("order", ["reversed", "shuffled", "middle"])
def test_a_model_without_order_has_nothing_to_lose(order):
    """A run that gets its frames otherwise itself cannot be probed, and the order is named."""
    with pytest.raises(HarnessError, match=f"data.frame_order is {order}"):
        refuse_order(_plan(f"data.frame_order={order}"))


# the record


@pytest.mark.parametrize("gallery", [SIZE, SIZE + 1])
@pytest.mark.parametrize("queries", [SIZE, SIZE - 1])
def test_a_probe_asks_the_records_own_queries(queries, gallery):
    """Counts of another number of queries or of another gallery are refused: no denominator shrinks."""
    counts = QueryCounts.of([0] * queries, [1] * queries, gallery)
    probes = {"middle": Probe(metrics=Metrics(t2v=sample().metrics.t2v), queries=counts)}
    if (queries, gallery) == (SIZE, SIZE):
        assert sample(probes=probes).probes == probes
        return
    with pytest.raises(ValueError, match=f"probes.middle needs the counts of {SIZE} queries x {SIZE}"):
        sample(probes=probes)


def test_probed_figures_need_their_evidence():
    """A probe of a task without ranks is refused without the columns that its figures follow from."""
    answered = _answered()
    bare = {"shuffled": msgspec.structs.replace(answered.probes["shuffled"], evidence={})}
    with pytest.raises(ValueError, match=r"probes\.shuffled needs figures and their evidence"):
        msgspec.structs.replace(answered, probes=bare)


def test_probes_leave_the_place_of_a_record(tmp_path):
    """With and without probes a record has one file, and stays below three times the size."""
    plain, probed = sample(), _probed()
    assert record_file.record_path(tmp_path, plain) == record_file.record_path(tmp_path, probed)
    assert len(record_file.dumps(probed)) < 3 * len(record_file.dumps(plain))


# the table


def test_drops_are_means_over_seeds():
    """Each probe stands with its mean and how far that is below frames in order, in the order of the probes."""
    runs = [_probed(seed=seed) for seed in (0, 1)]
    lines = probe_table([record_of(run) for run in runs]).splitlines()
    before = np.mean([run.metrics.t2v["R@1"] for run in runs])
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["in order", f"{before:.1f}", "—"]
    for line, name in zip(lines[3:], PROBES, strict=True):
        after = np.mean([run.probes[name].metrics.t2v["R@1"] for run in runs])
        assert after < before
        assert [cell.strip() for cell in line.split("|")[2:-1]] == [f"{after:.1f}", f"{before - after:.1f}"]


def record_of(run: ResultRecord) -> ResultRecord:
    """As a file gives it back, where probes stand in another order."""
    return msgspec.json.decode(record_file.dumps(run), type=ResultRecord)


def test_the_main_figure_of_a_task_and_its_contrasts():
    """A task without ranks is compared by its main figure; contrasts have a column."""
    lines = probe_table([_answered()]).splitlines()
    assert "accuracy" in lines[0] and [row.split("|")[2].strip() for row in lines[2:]] == ["66.7", "33.3"]
    metrics = msgspec.structs.replace(sample().metrics, contrasts={"reversed_twin": 80.0})
    turned = {
        name: msgspec.structs.replace(
            one, metrics=msgspec.structs.replace(one.metrics, contrasts={"reversed_twin": 20.0})
        )
        for name, one in _probed().probes.items()
    }
    lines = probe_table([sample(metrics=metrics, probes=turned)]).splitlines()
    assert "reversed twin" in lines[0]
    assert [line.split("|")[4].strip() for line in lines[2:]] == ["80.0", "20.0", "20.0", "20.0"]


def test_a_drop_below_half_a_digit_has_no_sign():
    """A difference that rounds to nothing is not shown as minus nothing, in a terminal or on a page."""
    run = _probed()
    better = msgspec.structs.replace(
        run.probes["middle"],
        metrics=Metrics(t2v={**run.metrics.t2v, "R@1": run.metrics.t2v["R@1"] + 0.01}),
    )
    better = msgspec.structs.replace(run, probes={"middle": better})
    assert probe_table([better]).splitlines()[3].split("|")[3].strip() == "0.0"
    assert " -0.0 " not in leaderboard.pages([better])["toys.md"]


# the audit


def _saved(folder: Path, one: ResultRecord) -> Path:
    path = record_file.write(one, record_file.record_path(folder, one))
    leaderboard.write_all(folder)
    return path


def test_probes_are_audited(tmp_path):
    """Every figure of every probe is computed again: five for ranks, each accuracy for answers."""
    for one, own, each in ((_probed(), 10, 15), (_answered(), 3, 3)):
        _saved(tmp_path / one.task, one)
        done = audit(tmp_path / one.task, registry())
        assert (done.problems, done.figures) == ([], own + each)


@pytest.mark.parametrize(
    ("make", "keys", "value"),
    [
        (_probed, ("reversed", "metrics", "t2v", "R@5"), 1.0),
        (_probed, ("middle", "queries", "better"), " ".join(["30"] * SIZE)),
        (_answered, ("shuffled", "metrics", "figures", "accuracy"), 50.0),
        (_answered, ("shuffled", "evidence", "right"), "1 1 1"),
        (_answered, ("shuffled", "evidence", "right"), "1 1"),
    ],
)
def test_an_edited_probe_is_found(tmp_path, make, keys, value):
    """A figure, a count or a piece of evidence that was changed is named with its file and its probe."""
    path = _saved(tmp_path, make())
    content = json.loads(path.read_text())
    place = content["probes"]
    for key in keys[:-1]:
        place = place[key]
    assert place[keys[-1]] != value
    place[keys[-1]] = value
    path.write_text(json.dumps(content))
    leaderboard.write_all(tmp_path)
    problems = audit(tmp_path, registry()).problems
    assert problems and all(
        said.startswith(f"{path}: ") and f"probes.{keys[0]}." in said for said in problems
    )

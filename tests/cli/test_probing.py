"""`harness probe` and `run --probes`: what they print, write, refuse and leave alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import hookimpl
from harness.cli import main
from harness.plugins import registry
from harness.results.probes import PROBES
from tests.cli.test_bad_input import assert_refusal, contents

METHOD = ("--method", "clip4clip_meanp")

#: A writer that fits on a page, untrained; it chooses its answers among those of the training questions.
WRITER = (
    *("--method", "vlab_l", "--dataset", "shapes", "--zero-shot"),
    *("--set", "model.backbone={layers: 1, text_layers: 1}"),
    *(
        "--set",
        "model.temporal={adapter_width: 8, hidden_size: 24, heads: 2, layers: 1, intermediate_size: 32}",
    ),
    *("--set", "data.options.train_clips=192"),
)


class Probed:
    """A run with ``--probes``, in the working folder."""

    def __init__(self, place: Path) -> None:
        (self.run,) = (path for path in (place / "runs").iterdir() if path.is_dir())
        (self.shown,) = (place / "leaderboards" / "results").rglob("*.json")
        self.own = self.run / "record.json"

    def change(self, change: Callable[[dict], None], *paths: Path) -> None:
        """Edit the record in its files, or in those given."""
        for path in paths or (self.own, self.shown):
            record = json.loads(path.read_text())
            change(record)
            path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_shapes) -> Path:
    place = tmp_path_factory.mktemp("probed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = CliRunner().invoke(main, ["run", *METHOD, *small_shapes, "--probes"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    (place / "stdout").write_text(done.stdout)
    return place


@pytest.fixture
def probed(trained, tmp_path, monkeypatch) -> Probed:
    """A copy of it that a test may change."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Probed(Path())


def test_a_run_is_probed_after_training(cli, trained, probed):
    """Of every probe the record has text-to-video figures and counts, and the audit agrees with them; the
    table on standard output has a row for each."""
    record = json.loads(probed.own.read_text())
    assert set(record["probes"]) == set(PROBES)
    for probe in record["probes"].values():
        assert len(probe["queries"]["better"].split()) == 192 and probe["metrics"]["v2t"] == {}
        assert set(probe["metrics"]["contrasts"]) == {"reversed_twin"}
    assert json.loads(probed.shown.read_text()) == record
    table = (trained / "stdout").read_text().split("| Frames")[1]
    assert [row.split("|")[1].strip() for row in table.splitlines()[2:]] == [
        "in order", "shuffled", "reversed", "only the middle one"
    ]  # fmt: skip
    assert cli("audit").exit_code == 0


def test_a_mean_over_frames_does_not_see_their_order(probed):
    """Mean pooling loses nothing at all of R@1 by another order, and of another clip it has other ranks."""
    record = json.loads(probed.own.read_text())
    for name in ("shuffled", "reversed"):
        assert record["probes"][name]["metrics"]["t2v"]["R@1"] == record["metrics"]["t2v"]["R@1"]
    middle = record["probes"]["middle"]["queries"]["better"]
    assert middle != record["queries"]["t2v"]["better"]


def test_probing_later_is_probing_at_once(cli, trained, probed):
    """`run`, then `probe`, leaves the files that `run --probes` leaves, to the byte, and no other; what it
    prints are the last lines of that run."""
    before = contents(Path())
    probed.change(lambda record: record.pop("probes"))
    done = cli("probe", probed.run, "--workers", 0)
    assert done.exit_code == 0, done.stderr
    assert contents(Path()) == before
    assert (trained / "stdout").read_text().endswith(f"\n\n{done.stdout}")


def test_observers_hear_of_a_probe_only_its_record(cli, probed):
    """To score a finished run again is no run that an observer would keep anything of; that a record was
    written is said as after a run."""

    heard: list[tuple[str, dict]] = []

    class Hearing:
        @hookimpl
        def harness_run_event(self, event: str, payload: dict) -> None:
            heard.append((event, payload))

    registry().manager.register(Hearing(), "probe:hearing")
    try:
        assert cli("probe", probed.run, "--workers", 0).exit_code == 0
    finally:
        registry().manager.unregister(name="probe:hearing")
    ((event, payload),) = heard
    assert event == "record_written" and set(payload) == {"folder", "path"}
    assert payload["folder"] == str(probed.run.resolve())


def test_only_the_probes_of_a_record_change(cli, probed):
    """Each of the two files keeps what else it says."""
    probed.change(lambda record: record.update(probes={}, note="here"), probed.own)
    probed.change(lambda record: record.update(probes={}, note="there"), probed.shown)
    assert cli("probe", probed.run).exit_code == 0
    own, shown = (json.loads(path.read_text()) for path in (probed.own, probed.shown))
    assert (own.pop("note"), shown.pop("note")) == ("here", "there")
    assert own == shown and own["probes"]


def test_an_evaluation_is_probed_by_its_own_options(cli, probed):
    """With options the record is that of the evaluation with the same options, and the run's is left alone."""
    options = ("--dataset", "shapes", "--post", "dual_softmax")
    hint = assert_refusal(*_said(cli("probe", probed.run, *options)))[1]
    assert "harness evaluate" in hint
    before = probed.own.read_bytes()
    assert cli("evaluate", probed.run, *options).exit_code == 0
    done = cli("probe", probed.run, *options, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["postprocess"].startswith("dual_softmax") and set(record["probes"]) == set(PROBES)
    assert probed.own.read_bytes() == before
    assert sum("dual-softmax" in str(path) for path in Path("leaderboards").rglob("*.json")) == 1


def test_a_refused_run_is_probed_once_it_is_scored_here(cli, probed):
    """The hint of a refusal is true: after the evaluation that it names, probing with its options works."""
    probed.change(lambda record: _swap(record["queries"]["t2v"]))
    hint = assert_refusal(*_said(cli("probe", probed.run)))[1]
    assert f"`harness evaluate {probed.run} --dataset shapes --task retrieval`" in hint
    options = ("--dataset", "shapes", "--task", "retrieval")
    assert cli("evaluate", probed.run, *options).exit_code == 0
    done = cli("probe", probed.run, *options)
    assert done.exit_code == 0, done.stderr
    assert set(json.loads(probed.shown.read_text())["probes"]) == set(PROBES)


def _other_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _swap(counts: dict) -> None:
    first, second, *rest = counts["better"].split()
    assert first != second
    counts["better"] = " ".join([second, first, *rest])


@pytest.mark.parametrize(
    ("spoil", "said", "hinted"),
    [
        (lambda p: (p.run / "model.safetensors").unlink(), "no finished model", "--resume"),
        (lambda p: p.own.unlink(), "has no record.json: the run is not finished", "--resume"),
        (lambda p: _other_bit(p.run / "model.safetensors"), "is of another model than", "harness evaluate"),
        (lambda p: p.change(lambda r: r.update(checkpoint_sha256="00" * 32), p.shown), ".json is of another model", "harness evaluate"),
        (lambda p: p.change(lambda r: _swap(r["queries"]["t2v"]), p.own), "does not give the counts in", "harness evaluate"),
        (lambda p: p.change(lambda r: _swap(r["queries"]["t2v"]), p.shown), "does not give the counts in", "harness evaluate"),
        (lambda p: p.change(lambda r: r["missing"]["test"].append({"id": "test00003", "reason": "gone"})), "0 test clips cannot be read here, 1 could not", "data set"),
        (lambda p: (p.run / "plan.json").write_text((p.run / "plan.json").read_text().replace('"forward"', '"reversed"')), "frame_order is reversed", "forward"),
    ],
)  # fmt: skip
def test_what_is_no_probe_of_this_record(cli, probed, spoil, said, hinted):
    """A run that is not finished, other weights, other counts, other clips and another order are one line
    each, and nothing is written."""
    spoil(probed)
    before = contents(Path())
    error, hint = assert_refusal(*_said(cli("probe", probed.run)))
    assert said in error and hinted in hint
    assert contents(Path()) == before


@pytest.mark.parametrize(("name", "said"), [("nowhere", "no run"), ("stdout", "is a file and has no record")])
def test_what_is_no_run(cli, probed, name, said):
    """A folder that is not there and a file are refused."""
    assert said in assert_refusal(*_said(cli("probe", name)))[0]


def test_probes_of_frames_out_of_order_are_refused_before_training(cli, workplace, small_shapes):
    """Where the recipe shuffles the frames itself, `run --probes` says so and makes nothing."""
    done = cli("run", *METHOD, *small_shapes, "--set", "data.frame_order=shuffled", "--probes")
    assert "frame_order is shuffled" in assert_refusal(*_said(done))[0]
    assert contents(workplace) == {}


def test_of_several_seeds_those_without_probes_are_probed(cli, probed, small_shapes):
    """A seed that was run before is not trained again, but probed; the table is of the means."""
    probed.change(lambda record: record.pop("probes"))
    checkpoint = (probed.run / "checkpoint.pt").stat().st_mtime_ns
    done = cli("run", *METHOD, *small_shapes, "--probes", "--seeds", 2)
    assert done.exit_code == 0, done.stderr
    assert (probed.run / "checkpoint.pt").stat().st_mtime_ns == checkpoint
    records = [json.loads(path.read_text()) for path in Path("leaderboards").rglob("*.json")]
    assert [set(record["probes"]) for record in records] == [set(PROBES)] * 2
    mean = sum(record["probes"]["middle"]["metrics"]["t2v"]["R@1"] for record in records) / 2
    assert done.stdout.splitlines()[-1].split("|")[2].strip() == f"{mean:.1f}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "option", "figure"),
    [("video_qa", "candidates=9", "accuracy"), ("captioning", "length=4", "BLEU-1")],
)
def test_tasks_that_write(cli, workplace, own_places, task, option, figure):
    """Answers and captions have probes with their figures and evidence, which the audit agrees with."""
    done = cli("run", *WRITER, "--task", task, "--set", f"evaluation.task.{option}", "--probes", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    for name in PROBES:
        probe = record["probes"][name]
        assert figure in probe["metrics"]["figures"] and probe["metrics"]["main"] == record["metrics"]["main"]
        assert probe["evidence"].keys() == record["evidence"].keys()
    assert cli("audit").exit_code == 0


@pytest.mark.slow
def test_probes_by_workers(cli, probed):
    """Two workers under Ray probe a run as one process does, to the byte."""
    before = contents(Path())
    probed.change(lambda record: record.pop("probes"))
    done = cli("probe", probed.run, "--workers", 2)
    assert done.exit_code == 0, done.stderr
    assert contents(Path()) == before


def _said(done) -> tuple[int, str, str]:
    return done.exit_code, done.stdout, done.stderr

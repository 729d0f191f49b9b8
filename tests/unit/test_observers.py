"""Observers: how they are switched on, what they hear and leave behind, and that they harm no run."""

from __future__ import annotations

import csv
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import msgspec
import pytest

from harness import HarnessError, hookimpl
from harness.plugins import Plugin, Registry, registry
from harness_observers.events import SCALARS, TensorBoard
from harness_observers.observer import VARIABLE, Observer
from harness_observers.table import COLUMNS, Table
from harness_observers.weights_and_biases import WeightsAndBiases

METRICS = {"t2v": {"R@1": 50.0}, "v2t": {}, "contrasts": {}, "figures": {"CIDEr": 71.5}, "main": "CIDEr"}


def line(step: int) -> dict:
    """A line of the log, as a run without stages of its own writes it."""
    return {
        "loss": 1.0 / step,
        "grad_norm": 0.5,
        "lr": 1e-3,
        "stage": "finetune",
        "epoch": 0,
        "step": step,
        "seconds": 0.1 * step,
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "method-data-0123-s0"
    made.mkdir()
    return made


def play(observer: Observer, folder: Path, done: int, last: int, evaluated: bool = True) -> None:
    """What the worker does of a run that starts after ``done`` steps and stops after the last one."""
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    log.write_text("".join(lines[:done]))
    plan = {"method": "method", "seed": 0}
    given = {"folder": str(folder), "plan": plan}
    observer.harness_run_event("run_started", {**given, "seed": 0, "steps": done})
    for step in range(done + 1, last + 1):
        with log.open("ab") as file:
            file.write(msgspec.json.encode(line(step)) + b"\n")
        observer.harness_run_event("step", {"folder": str(folder), "steps": step, **line(step)})
    if evaluated:
        observer.harness_run_event("evaluated", {**given, "metrics": METRICS})


# switching on


@pytest.mark.parametrize(
    ("given", "hint"), [("csv, tensorbord", "did you mean tensorboard?"), ("x", "known:")]
)
def test_an_unknown_name(cli, workplace, small_shapes, monkeypatch, given, hint):
    """A misspelt observer is refused in one line, with the nearest name, before anything is made."""
    monkeypatch.setenv(VARIABLE, given)
    done = cli("run", "--method", "clip4clip_meanp", *small_shapes)
    assert done.exit_code == 2
    assert done.stderr.startswith(
        f"error: unknown observer '{given.split()[-1]}' in {VARIABLE}\nhint: {hint}"
    )
    assert list(workplace.iterdir()) == []


def test_a_missing_package(monkeypatch):
    """An observer without its package is refused with the extra that brings it, at the first event."""

    class Lacking(Observer):
        name, package = "wandb", "package_that_nobody_has"

    monkeypatch.setenv(VARIABLE, "wandb")
    with pytest.raises(HarnessError, match=r"pip install 'video-text-harness\[wandb\]'"):
        Lacking().harness_run_event("run_planned", {"plan": {}})


@pytest.mark.parametrize("observer", [Table(), TensorBoard(), WeightsAndBiases()], ids=lambda o: o.name)
@pytest.mark.parametrize("given", [None, "", " , "])
def test_off_unless_named(folder, monkeypatch, observer, given):
    """Without its name in the environment an observer leaves nothing behind and needs no package."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)
    observer.harness_run_event("run_planned", {"plan": {}})
    play(observer, folder, 0, 2)
    assert [path.name for path in folder.iterdir()] == ["log.jsonl"]


# isolation


class Hearing:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict]] = []

    @hookimpl
    def harness_run_event(self, event, payload):
        self.heard.append((event, payload))


class Failing:
    """An observer that empties what it is given, and fails."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    @hookimpl
    def harness_run_event(self, event, payload):
        self.calls += 1
        payload.clear()
        raise self.error


def registered(*observers: object) -> Registry:
    made = Registry()
    for number, observer in enumerate(observers):
        made.add(Plugin(f"observer_{number}", "probe", "1.0", "probe", module=observer))
    assert [plugin.problem for plugin in made.plugins] == [""] * len(observers)
    return made


@pytest.mark.parametrize("error", [OSError("disk full"), HarnessError("no", "hint")], ids=["any", "harness"])
def test_an_observer_that_fails(capsys, error):
    """It is named once and not called again; the run and the other observers, around it, go on."""
    first, failing, last = Hearing(), Failing(error), Hearing()
    told = registered(first, failing, last)
    for steps in (1, 2, 3):
        told.emit("step", {"steps": steps})
    assert failing.calls == 1
    assert first.heard == last.heard == [("step", {"steps": steps}) for steps in (1, 2, 3)]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("observer probe:observer_1 failed at 'step' and is left out from now on: ")
    assert str(error) in said


def test_a_refusal_before_the_run():
    """A HarnessError at the first event reaches the user, because nothing has been done yet."""
    with pytest.raises(HarnessError, match="no"):
        registered(Failing(HarnessError("no", "hint"))).emit("run_planned", {"plan": {}})


def test_an_observer_hears_what_it_asks_for():
    """A hook may name some of its arguments, as everywhere in pluggy."""

    class Short(Hearing):
        @hookimpl
        def harness_run_event(self, event):
            self.heard.append((event, {}))

    short = Short()
    registered(short).emit("step", {"steps": 1})
    assert short.heard == [("step", {})]


# a real run


@pytest.fixture
def hearing(monkeypatch):
    """An observer in this process's own registry, for a test."""
    made = Hearing()
    registry().manager.register(made, "probe:hearing")
    yield made
    registry().manager.unregister(made)


def test_the_events_of_a_run(cli, workplace, small_shapes, monkeypatch, hearing):
    """A run tells all that the hook's page promises, in its order; the table says what the log says."""
    monkeypatch.setenv(VARIABLE, "csv")
    done = cli("run", "--method", "clip4clip_meanp", *small_shapes, "--workers", "0", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    (folder,) = (workplace / "runs").iterdir()
    log = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]

    names = ["run_planned", "run_started", *["step"] * len(log), "evaluated", "record_written"]
    assert [event for event, _ in hearing.heard] == names and log
    (_, planned), (_, started), *steps, (_, evaluated), (_, written) = hearing.heard
    plan = json.loads((folder / "plan.json").read_text())
    assert planned["plan"]["recipe"] == plan["recipe"]
    assert started == {"folder": str(folder), "plan": plan, "seed": 0, "steps": 0}
    assert [payload for _, payload in steps] == [
        {"folder": str(folder), "steps": number, **step} for number, step in enumerate(log, 1)
    ]
    assert evaluated["folder"] == str(folder) and evaluated["plan"] == plan
    assert evaluated["metrics"]["t2v"] == record["metrics"]["t2v"]
    assert json.loads(Path(written["path"]).read_text()) == record

    with (folder / "steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[row[name] for name in COLUMNS] for row in rows] == [
        [str(number), *(str(step[name]) for name in COLUMNS[1:])] for number, step in enumerate(log, 1)
    ]


# csv


def test_the_table_after_a_resume(folder, monkeypatch):
    """No step stands twice, none is missing, and half a line of a killed run is gone."""
    monkeypatch.setenv(VARIABLE, "csv")
    play(Table(), folder, 0, 5, evaluated=False)
    with (folder / "steps.csv").open("a") as file:
        file.write("6,finetu")
    play(Table(), folder, 3, 6)
    rows = (folder / "steps.csv").read_text().splitlines()
    assert rows[0] == ",".join(COLUMNS)
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]


def test_the_table_switched_on_late(folder, monkeypatch):
    """A run that is resumed with a table for the first time has its earlier steps in it too."""
    monkeypatch.setenv(VARIABLE, "")
    play(Table(), folder, 0, 4, evaluated=False)
    monkeypatch.setenv(VARIABLE, "csv")
    play(Table(), folder, 4, 5)
    rows = (folder / "steps.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4", "5"]


# TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads from a folder, by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_after_a_resume(folder, monkeypatch):
    """TensorBoard reads every step of a run once, from the start that counts, and each figure once."""
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    monkeypatch.setenv(VARIABLE, "tensorboard")
    play(TensorBoard(), folder, 0, 5, evaluated=False)
    play(TensorBoard(), folder, 3, 6)
    play(TensorBoard(), folder, 6, 6)  # a finished run, resumed
    train, test = (scalars(folder / "tensorboard" / name) for name in ("train", "test"))
    assert set(train) == set(SCALARS)
    assert train["loss"] == [(step, pytest.approx(1.0 / step)) for step in range(1, 7)]
    assert test == {"t2v/R@1": [(6, 50.0)], "figures/CIDEr": [(6, 71.5)]}


# Weights & Biases


class StandIn(ModuleType):
    """The part of wandb that is used, writing down what it is asked to do."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.calls: list[tuple] = []
        ids = iter(("first", "second"))
        self.util = SimpleNamespace(generate_id=lambda: next(ids))

    def Settings(self, console):
        return console

    def init(self, *, id, resume, name, dir, config, settings):
        self.calls.append(("init", id, resume, name, dir, config, settings))
        summary: dict = {}
        return SimpleNamespace(
            log=lambda values, step: self.calls.append(("log", step, values["loss"])),
            summary=summary,
            finish=lambda: self.calls.append(("finish", dict(summary))),
        )


def test_the_calls_to_wandb(folder, monkeypatch):
    """A run is begun with name, plan and id, logged by step, summed up, finished; a resume keeps the id."""
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.setenv(VARIABLE, "wandb")
    WeightsAndBiases().harness_run_event("run_planned", {"plan": {}})
    play(WeightsAndBiases(), folder, 0, 2, evaluated=False)
    play(WeightsAndBiases(), folder, 1, 2)
    begun = ("init", "first", "allow", folder.name, str(folder), {"method": "method", "seed": 0}, "off")
    figures = {"t2v/R@1": 50.0, "figures/CIDEr": 71.5}
    assert stand_in.calls == [
        *(begun, ("log", 1, 1.0), ("log", 2, 0.5)),
        *(begun, ("log", 2, 0.5), ("finish", figures)),
    ]


@pytest.mark.slow
def test_wandb_offline(folder, monkeypatch):
    """The real package, offline, takes the same calls and leaves one finished file for `wandb sync`."""
    pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")
    monkeypatch.setenv(VARIABLE, "wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    play(WeightsAndBiases(), folder, 0, 3)
    (written,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert (folder / "wandb_id").read_text() in written.name
    assert b"figures/CIDEr" in written.read_bytes()

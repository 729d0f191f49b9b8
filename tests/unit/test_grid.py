"""A grid: which cells it has, which of them are left to do, and that one never stops the others."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path

import msgspec
import pytest
from sample_records import sample

from harness.engine import grid
from harness.engine.execute_grid import Children, Ending, needs_of
from harness.engine.grid_cell import CellJob, run_cell
from harness.engine.run import Places
from harness.errors import HarnessError
from harness.plan.grid import Axis, Cell, axis_of, cells_of, names_of
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness.results.record_file import dumps
from harness.results.run_files import PLAN, RECORD

REQUEST = Request(method="clip_vip", dataset="shapes", backbone="tiny")


def make_cells(*axes: str, methods=("clip_vip",), seeds: int = 1, request: Request = REQUEST) -> list[Cell]:
    return cells_of(request, methods, ("shapes",), [axis_of(text) for text in axes], seeds, registry())


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("train.lr=1e-6, 1e-5", Axis("train.lr", ("1e-6", "1e-5"))),
        ("a.b=[1, 2],[3],{x: 1, y: 2}", Axis("a.b", ("[1, 2]", "[3]", "{x: 1, y: 2}"))),
    ],
)
def test_an_axis_is_a_path_and_values(text, axis):
    """Commas separate values, except in brackets."""
    assert axis_of(text) == axis


@pytest.mark.parametrize("text", ["", "train.lr", "=1,2", "train.lr=", "train.lr=1,,2"])
def test_an_axis_without_values_is_refused(text):
    """What is no axis is refused with an example."""
    with pytest.raises(HarnessError, match="not of the form") as caught:
        axis_of(text)
    assert "--grid train.lr=" in caught.value.hint


def test_a_misspelt_name_in_a_list():
    """A list is checked name by name, and a near one suggested."""
    assert names_of("clip_vip, clip4clip_meanp", "methods", registry()) == ("clip_vip", "clip4clip_meanp")
    with pytest.raises(HarnessError, match="unknown method 'clip_vipp'") as caught:
        names_of("clip4clip_meanp,clip_vipp", "methods", registry())
    assert "clip_vip" in caught.value.hint
    with pytest.raises(HarnessError, match="lacks the name of a method"):
        names_of("clip_vip,", "methods", registry())


def test_cells_are_all_combinations():
    """Methods x axes x seeds, each a run of its own, whose row is called after the values."""
    cells = make_cells(
        "train.lr=1e-6,0.00002", "data.frames=2,4", methods=("clip_vip", "clip4clip_meanp"), seeds=3
    )
    assert len(cells) == len({(cell.plan.digest, cell.plan.seed) for cell in cells}) == 24
    assert cells[4].name == "clip_vip shapes train.lr=1e-06, data.frames=4 s1"
    assert cells[4].plan.recipe.variant == "train.lr=1e-06, data.frames=4"
    assert cells[4].plan.recipe.data.frames == 4 and cells[4].values["train.lr"] == "1e-06"
    by_set = Request(**{**vars(REQUEST), "settings": ("train.lr=1e-6", "data.frames=4"), "seed": 1})
    assert build_plan(by_set, registry())[0].digest == cells[4].plan.digest


def test_the_recipes_own_value_is_the_methods_row():
    """A cell that changes nothing is the run that the method has without a grid, and named like it."""
    own = build_plan(REQUEST, registry())[0]
    same, other = make_cells(f"data.frames={own.recipe.data.frames},3")
    assert same.plan == own and other.plan.recipe.variant == "data.frames=3"


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (("data.frames=2,0",), r"cell 'clip_vip shapes data.frames=0': recipe value 'data.frames'"),
        (("train.lrr=1",), "cell 'clip_vip shapes train.lrr=1': .*unknown key"),
        (("train.lr=1e-5,0.00001",), "are the same run"),
        (("train.lr=1,2", "train.lr=3"), "given twice"),
    ],
)
def test_what_cannot_be_planned_is_said_at_once(axes, said):
    """The first cell that cannot be planned, or is one already, is an error that names it."""
    with pytest.raises(HarnessError, match=said):
        make_cells(*axes)


def test_a_method_that_cannot_do_the_task():
    """One method that lacks what the task needs is an error for all."""
    request = Request(**{**vars(REQUEST), "task": "captioning"})
    with pytest.raises(HarnessError, match="cell 'clip_vip shapes': method 'clip_vip' cannot do the task"):
        make_cells(methods=("vlab_tiny", "clip_vip"), request=request)


def test_whose_data_root():
    """A folder without a name is refused among several data sets; a named one is for its own."""
    named = Request(**{**vars(REQUEST), "data_roots": ("shapes=.", "folder=/")})
    with pytest.raises(HarnessError, match="whose folder is it"):
        cells_of(
            Request(**{**vars(REQUEST), "data_roots": (".",)}),
            ["clip_vip"],
            ["shapes", "folder"],
            [],
            1,
            registry(),
        )
    beside = Request(**{**vars(named), "beside": ("folder",)})
    assert build_plan(beside, registry())[0].data_root == "shapes"
    with pytest.raises(HarnessError, match="does not read 'folder'"):
        build_plan(named, registry())


@pytest.mark.parametrize("text", ["cpu", "cpu=x", "cpu=-1", "=2"])
def test_resources_have_amounts(text):
    """Resources without a positive amount are refused; cpu and gpu are Ray's own, others as written."""
    assert needs_of("cpu=2,gpu=0.5,big=1") == {"CPU": 2.0, "GPU": 0.5, "big": 1.0}
    with pytest.raises(HarnessError, match="not of the form"):
        needs_of(text)


class Script:
    """A placement of ``size`` cells at once that ends each as the test says, and writes its record."""

    def __init__(self, entries: list[grid.Entry], endings: dict[str, list[Ending]], size: int = 1) -> None:
        self.folders = {entry.cell.name: entry for entry in entries}
        self.endings, self.size = {name: deque(known) for name, known in endings.items()}, size
        self.started: list[str] = []
        self.running: list[str] = []
        self.most, self.closed = 0, False

    def room(self) -> int:
        return self.size

    def start(self, name: str, sent: str) -> None:
        self.started.append(name)
        self.running.append(name)
        self.most = max(self.most, len(self.running))

    def wait(self, seconds: float) -> list[Ending]:
        name = self.running.pop(0)
        known = self.endings.get(name)
        ending = known.popleft() if known else Ending(name)
        if not ending.problem:
            write_record(self.folders[name])
        return [ending]

    def close(self) -> None:
        self.closed = True


def write_record(entry: grid.Entry) -> None:
    plan = entry.cell.plan
    record = sample(method=plan.method, seed=plan.seed, plan_digest=plan.digest)
    entry.folder.mkdir(parents=True, exist_ok=True)
    (entry.folder / RECORD).write_text(dumps(record))


def a_grid(tmp_path: Path) -> tuple[list[grid.Entry], Places]:
    """Two learning rates and two seeds; nothing of them is there yet."""
    where = Places(tmp_path / "runs", tmp_path / "leaderboards")
    return grid.survey(make_cells("train.lr=1,2", seeds=2), registry(), where, make=False), where


def test_what_is_done_is_not_done_again(tmp_path):
    """A folder with the record of this plan is done, one with another plan's is not, one with a plan goes on."""
    entries, where = a_grid(tmp_path)
    assert [entry.state for entry in entries] == ["to run"] * 4 and not where.runs.exists()
    write_record(entries[0])
    write_record(entries[1])
    other = (entries[1].folder / RECORD).read_text().replace(entries[1].cell.plan.digest, "ab" * 32)
    (entries[1].folder / RECORD).write_text(other)
    entries[2].folder.mkdir()
    (entries[2].folder / PLAN).touch()
    entries = grid.survey([e.cell for e in entries], registry(), where, make=False)
    assert [entry.state for entry in entries] == ["done", "to run", "to resume", "to run"]
    script = Script(entries, {})
    filled = grid.fill(entries, where, grid.How(workers=0), script)
    assert script.started == [entry.cell.name for entry in entries[1:]] and script.closed
    assert [filled.made[entry.cell.name].kept for entry in entries] == [True, False, False, False]


def test_leaderboards_that_cannot_be_written_stop_it_before_its_first_cell(tmp_path):
    """No cell is started whose record could go nowhere, and the placement is given back; a grid that is done
    needs no such folder."""
    entries, where = a_grid(tmp_path)
    where.leaderboards.write_text("in the way")
    script = Script(entries, {})
    with pytest.raises(HarnessError, match="records cannot be written"):
        grid.fill(entries, where, grid.How(workers=0), script)
    assert script.started == [] and script.closed
    for entry in entries:
        write_record(entry)
    done = grid.survey([e.cell for e in entries], registry(), where, make=False)
    assert len(grid.fill(done, where, grid.How(workers=0), Script(done, {})).made) == 4


def test_one_cell_does_not_stop_the_others(tmp_path):
    """A failure is kept with its message, the rest is made, and the table says which seeds it is of."""
    entries, where = a_grid(tmp_path)
    bad = entries[1].cell.name
    script = Script(entries, {bad: [Ending(bad, "the loss is nan")]})
    filled = grid.fill(entries, where, grid.How(workers=0), script)
    assert filled.failed == {bad: "the loss is nan"} and len(filled.made) == 3
    assert grid.failures(filled).splitlines() == ["1 of the cells failed:", f"  {bad}: the loss is nan"]
    first, second = grid.table(entries, filled).splitlines()[2:]
    assert "| 1 of 2 |" in " ".join(first.split()) and "1 of 2" not in second and "±" in second


def test_a_cell_whose_process_died_comes_again(tmp_path):
    """It goes back behind the others, three times at most; one that survives is no failure."""
    entries, where = a_grid(tmp_path)
    names = [entry.cell.name for entry in entries]
    died = {name: Ending(name, "its node was lost", died=True) for name in names[:2]}
    script = Script(entries, {names[0]: [died[names[0]]], names[1]: [died[names[1]]] * 9}, size=2)
    filled = grid.fill(entries, where, grid.How(workers=0), script)
    assert script.started.count(names[0]) == 2 and script.started.count(names[1]) == 4
    assert script.started[:4] == names and script.most == 2
    assert filled.failed == {names[1]: "its node was lost"}


def test_progress_names_what_runs(tmp_path):
    """The line says how far each cell is, from the end of its log, also while a line is being written."""
    (entry, *_), _ = a_grid(tmp_path)
    assert grid._part(entry) == ""
    entry.folder.mkdir(parents=True)
    log = entry.folder / "log.jsonl"
    log.write_text('{"stage":"finetune","part":0.1}\n{"stage":"finetune","part":0.345}\n')
    assert grid._part(entry) == "34%"
    log.write_text('{"stage":"finetune","pa')
    assert grid._part(entry) == ""


def a_job(entry: grid.Entry, where: Places, workers: int) -> str:
    job = CellJob(
        plan=entry.cell.plan,
        runs=str(where.runs),
        leaderboards=str(where.leaderboards),
        workers=workers,
        micro_batch=0,
        checkpoint_every=0,
    )
    return msgspec.json.encode(job).decode()


@pytest.mark.parametrize("problem", ["", "the workers died"])
def test_what_a_driver_says_is_kept_in_the_run_folder(tmp_path, monkeypatch, problem):
    """Where workers train no step is heard of in the cell's own process: what it said lies in the run folder
    all the same, also where the run failed, and is gone with a run that was refused."""
    (entry, other, *_), where = a_grid(tmp_path)

    def trained_elsewhere(plan, *_, **__):
        print("placing workers")
        entry.folder.mkdir(parents=True)
        (entry.folder / PLAN).touch()
        if problem:
            raise HarnessError(problem, "")

    monkeypatch.setattr("harness.engine.grid_cell.engine.run", trained_elsewhere)
    assert run_cell(a_job(entry, where, workers=2)).startswith(problem)
    assert "placing workers" in (entry.folder / "driver.log").read_text()

    def refused(*_, **__):
        raise HarnessError("no videos", "")

    monkeypatch.setattr("harness.engine.grid_cell.engine.run", refused)
    assert run_cell(a_job(other, where, workers=2)) == "no videos"
    assert [path.name for path in where.runs.iterdir()] == [entry.folder.name]


@pytest.mark.parametrize(("probes", "done"), [(False, "run"), (True, "probed")])
def test_only_who_asks_for_probes_gets_them(tmp_path, monkeypatch, probes, done):
    """A cell that died behind its record is run again, so that the leaderboards have it; probed where asked."""
    (entry, *_), where = a_grid(tmp_path)
    called = []
    monkeypatch.setattr("harness.engine.grid_cell.record_in", lambda *_: object())
    monkeypatch.setattr("harness.engine.grid_cell.engine.run", lambda *_, **__: called.append("run"))
    monkeypatch.setattr("harness.engine.grid_cell.probe_run", lambda *_, **__: called.append("probed"))
    job = msgspec.json.decode(a_job(entry, where, workers=0), type=CellJob)
    assert run_cell(msgspec.json.encode(msgspec.structs.replace(job, probes=probes)).decode()) == ""
    assert called == [done]


def endless(sent: str) -> str:
    """A cell that a signal ends, or that says what it was sent."""
    if sent == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return sent


def test_a_child_that_is_killed_is_noticed(monkeypatch):
    """A child's answer arrives, and its death by a signal is told apart from an answer."""
    children = Children(lambda: 2)
    # The true cell imports much; what is shown here is how an end is told.
    monkeypatch.setattr("harness.engine.execute_grid._child", _endless_child)
    children.start("good", "")
    children.start("bad", "die")
    endings = []
    while len(endings) < 2:
        endings += children.wait(30)
    assert sorted(endings) == [Ending("bad", "its process ended by SIGKILL", True), Ending("good", "")]


def _endless_child(sent: str, connection) -> None:
    connection.send(endless(sent))

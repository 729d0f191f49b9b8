"""Many runs, each in a process of its own, of which none is made twice and none takes others down.

The run folders are the only memory: a cell with a record in its folder is done, one with a plan and no
record goes on from its checkpoint. So the same command, given again after whatever happened, does what
is left. On several machines the run folders and leaderboards must lie on a file system that all share.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from harness.engine import run as engine
from harness.engine.execute import MAX_FAILURES
from harness.engine.execute_grid import Ending, Placement
from harness.engine.figures import columns_of, mean
from harness.engine.grid_cell import CellJob
from harness.engine.loading import open_dataset
from harness.engine.progress import meter, say
from harness.engine.run_data import check_run, open_prepared, prepared_plan, refuse_start
from harness.engine.run_folder import record_in
from harness.errors import HarnessError
from harness.plan.grid import Cell
from harness.plugins import Registry
from harness.results import leaderboard
from harness.results.record import ResultRecord
from harness.results.record_file import load, refuse_unwritable
from harness.results.run_files import LOG, PLAN, RECORD
from harness.results.table import markdown_table

#: Seconds between two looks at the cells, and for which a cluster without any room is waited for.
LOOK_S, ROOM_PATIENCE_S = 1.0, 120.0

#: What of the environment a cell needs on another machine; all are places.
_PLACES = ("HARNESS_CACHE", "HARNESS_CONFIG", "HARNESS_DATA")

State = Literal["done", "to probe", "to resume", "to run"]


class Made(NamedTuple):
    """The record of a run; ``kept`` where an earlier command had made it."""

    record: ResultRecord
    kept: bool


@dataclass(frozen=True)
class How:
    """What the runs of all cells have in common and no plan decides."""

    workers: int
    micro_batch: int = 0
    checkpoint_every: int = 0
    probes: bool = False
    address: str = ""  # of the Ray cluster that their workers are placed on; empty: each has its own


@dataclass(frozen=True)
class Entry:
    """A cell with its plan as it is run, the folder that this makes, and what is in it."""

    cell: Cell
    folder: Path
    state: State


@dataclass(frozen=True)
class Filled:
    """What came of a grid, by the names of its cells."""

    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def survey(
    cells: Sequence[Cell], registry: Registry, where: engine.Places, *, make: bool, probes: bool = False
) -> list[Entry]:
    """What there is of each cell. With ``make`` data sets are prepared, and all that a run reads is checked.
    With ``probes`` a run that lacks them is not done."""
    prepared: dict[tuple[str, str], engine.RunPlan] = {}
    entries = []
    for cell in cells:
        which = cell.plan.method, cell.plan.digest
        if which not in prepared:
            try:
                prepared[which] = _prepared(cell, registry, make)
            except HarnessError as error:
                raise HarnessError(f"cell '{cell.name}': {error.message}", error.hint) from error
        plan = msgspec.structs.replace(prepared[which], seed=cell.plan.seed)
        folder = where.runs.resolve() / plan.name
        state: State = "to run"
        record = record_in(folder, plan)
        if record:
            state = "to probe" if probes and not record.probes else "done"
        elif (folder / PLAN).exists():
            state = "to resume"
        entries.append(Entry(replace(cell, plan=plan), folder, state))
    return entries


def _prepared(cell: Cell, registry: Registry, make: bool) -> engine.RunPlan:
    dataset = (open_prepared if make else open_dataset)(cell.plan, registry)
    plan = prepared_plan(cell.plan, dataset, registry)
    if make:
        check_run(plan, dataset, registry)
        refuse_start(plan, dataset, registry)
    return plan


def fill(entries: Sequence[Entry], where: engine.Places, how: How, placement: Placement) -> Filled:
    """Run what is left, as many cells at once as there is room for; failures are noted, and the rest goes on.

    A cell whose process died, alone or with its node, goes back to the queue and on from its checkpoint;
    it has failed when that happened too often. Raises HarnessError, with nothing run, where no record can be
    written.
    """
    states = Counter(entry.state for entry in entries)
    say(
        f"grid of {len(entries)} cells: "
        + ", ".join(f"{states[s]} {s}" for s in get_args(State) if states[s] or s != "to probe")
    )
    work = _Work(entries, where, how, placement)
    try:
        if work.left:
            refuse_unwritable(where.leaderboards)
        work.run()
    finally:
        placement.close()
    if work.left and work.filled.made:
        leaderboard.write_all(where.leaderboards)  # cells that end together may each miss the other
    return work.filled


class _Work:
    def __init__(
        self, entries: Sequence[Entry], where: engine.Places, how: How, placement: Placement
    ) -> None:
        self.where, self.how, self.placement = where, how, placement
        self.entries = {entry.cell.name: entry for entry in entries}
        self.left = [name for name, entry in self.entries.items() if entry.state != "done"]
        self.queue, self.running = deque(self.left), set[str]()
        self.deaths, self.filled = Counter[str](), Filled()
        for name, entry in self.entries.items():
            if entry.state == "done":
                self.filled.made[name] = Made(load(entry.folder / RECORD), True)
        self.last_room = time.monotonic()

    def run(self) -> None:
        with meter("grid", len(self.entries), len(self.filled.made)) as shown:
            while self.queue or self.running:
                self._start()
                for ending in self.placement.wait(LOOK_S):
                    self._take(ending)
                shown.update(len(self.filled.made) + len(self.filled.failed), self._note())

    def _start(self) -> None:
        room = self.placement.room()
        if room or self.running:
            self.last_room = time.monotonic()
        elif time.monotonic() - self.last_room > ROOM_PATIENCE_S:
            while self.queue:
                self.filled.failed[self.queue.popleft()] = "no node is left that has room for it"
        else:
            time.sleep(LOOK_S)
        while self.queue and len(self.running) < room:
            name = self.queue.popleft()
            self.running.add(name)
            self.placement.start(name, msgspec.json.encode(self._job(self.entries[name])).decode())

    def _job(self, entry: Entry) -> CellJob:
        environment = {name: _absolute(os.environ[name]) for name in _PLACES if os.environ.get(name)}
        if self.how.address:
            environment["RAY_ADDRESS"] = self.how.address
        plan = entry.cell.plan
        sources = {
            stage: msgspec.structs.replace(source, data_root=_absolute(source.data_root))
            for stage, source in plan.sources.items()
        }
        return CellJob(
            plan=msgspec.structs.replace(plan, data_root=_absolute(plan.data_root), sources=sources),
            runs=str(self.where.runs.resolve()),
            leaderboards=str(self.where.leaderboards.resolve()),
            workers=self.how.workers,
            micro_batch=self.how.micro_batch,
            checkpoint_every=self.how.checkpoint_every,
            probes=self.how.probes,
            environment=environment,
        )

    def _take(self, ending: Ending) -> None:
        name = ending.name
        self.running.remove(name)
        if ending.died and self.deaths[name] < MAX_FAILURES:
            self.deaths[name] += 1
            self.queue.append(name)
            say(f"{name}: {ending.problem}; it will go on from its checkpoint")
        elif ending.problem:
            self.filled.failed[name] = ending.problem
            say(f"{name}: failed: {ending.problem}")
        else:
            self.filled.made[name] = Made(load(self.entries[name].folder / RECORD), False)

    def _note(self) -> str:
        running = ", ".join(f"{name} {_part(self.entries[name])}".strip() for name in sorted(self.running))
        running = f"{len(self.running)} running ({running}), " if running else ""
        return f"{running}{len(self.filled.failed)} failed"


def _absolute(place: str) -> str:
    """A place as any process on any machine finds it."""
    return str(Path(place).expanduser().absolute())


def _part(entry: Entry) -> str:
    """How far a cell's training is, of the stage that its log speaks of last."""
    if entry.state == "to probe":
        return "probing"
    try:
        with (entry.folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            last = msgspec.json.decode(file.read().splitlines()[-1])
    except (OSError, IndexError, msgspec.DecodeError):  # it has none yet, or is writing its line
        return ""
    stage = f"{last['stage']} " if len(entry.cell.plan.recipe.stages) > 1 else ""
    return f"{stage}{last['part']:.0%}"


def rows_made(entries: Sequence[Entry], filled: Filled) -> dict[str, list[ResultRecord]]:
    """The records of each row, over its seeds."""
    rows: dict[str, list[ResultRecord]] = {}
    for entry in entries:
        if entry.cell.name in filled.made:
            rows.setdefault(entry.cell.row, []).append(filled.made[entry.cell.name].record)
    return rows


def table(entries: Sequence[Entry], filled: Filled) -> str:
    """A row for each method, data set and values of the axes: means with their spread over the seeds."""
    rows: dict[str, list[Entry]] = {}
    for entry in entries:
        rows.setdefault(entry.cell.row, []).append(entry)
    axes = list(entries[0].cell.values)
    columns = columns_of([made.record for made in filled.made.values()])
    body = []
    for row in rows.values():
        plan, values = row[0].cell.plan, row[0].cell.values
        records = [filled.made[e.cell.name].record for e in row if e.cell.name in filled.made]
        seeds = f"{len(records)}" + (f" of {len(row)}" if len(records) < len(row) else "")
        figures = [mean(figure, records) for _, figure in columns]
        body.append([plan.method, plan.dataset, *(values[axis] for axis in axes), seeds, *figures])
    return markdown_table(["Method", "Data set", *axes, "Seeds", *(head for head, _ in columns)], body)


def plan_table(entries: Sequence[Entry]) -> str:
    """What would be done with each cell: `--dry-run`."""
    body = [[entry.cell.name, entry.state, entry.folder.name] for entry in entries]
    return markdown_table(["Cell", "State", "Run folder"], body)


def failures(filled: Filled) -> str:
    """A line for each cell that failed."""
    lines = [f"  {name}: {problem}" for name, problem in filled.failed.items()]
    return "\n".join([f"{len(lines)} of the cells failed:", *lines])

"""What the command line of `harness compare` names: a run, or the seeds of a row of a table.

Not covered: whether two of them can be compared (:mod:`harness.results.compare`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import HarnessError
from harness.results.record import ResultRecord
from harness.results.record_file import load
from harness.results.row_keys import HardKey, hard_key, section
from harness.results.run_files import RECORD
from harness.results.stored import read_records
from harness.results.table import Row


@dataclass(frozen=True)
class Side:
    """What is compared: one run, or several seeds of one method and recipe, ordered by seed."""

    runs: tuple[ResultRecord, ...]

    @property
    def name(self) -> str:
        """As tables call it, with its seeds."""
        seeds = ", ".join(str(run.seed) for run in self.runs)
        return f"{Row(self.runs).name}, seed{'s' if len(self.runs) > 1 else ''} {seeds}"

    @property
    def key(self) -> HardKey:
        return hard_key(self.runs[0])


class Finder:
    """Looks up what the command line names; records are read once, and only for a name."""

    def __init__(self, leaderboards: str | os.PathLike[str], dataset: str = "", task: str = "") -> None:
        self.leaderboards = Path(leaderboards)
        self.dataset, self.task = dataset, task

    @cached_property
    def _records(self) -> list[ResultRecord]:
        return read_records(self.leaderboards)

    def find(self, given: str) -> Side:
        """A record file, a run folder, or the name of a table's row (``METHOD`` or ``METHOD, VARIANT``),
        with ``:SEED`` for one of its seeds.

        Raises HarnessError where nothing or more than one row is meant.
        """
        path = Path(given)
        file = path / RECORD if path.is_dir() else path
        if file.is_file():
            return Side((_measured(load(file), file),))
        name, seed = re.fullmatch(r"(.*?)(?::(\d+))?", given, re.DOTALL).groups()
        return self._side(given, self._rows(given, name), seed)

    def _rows(self, given: str, name: str) -> list[ResultRecord]:
        """The records that tables show under ``name``, on the data set and task that were asked for."""
        named: dict[str, list[ResultRecord]] = {}
        for record in self._records:
            named.setdefault(Row((record,)).name, []).append(record)
        if name not in named:
            near = difflib.get_close_matches(name, named, n=3)
            folder = f"the folder {given} has no {RECORD}, and " if Path(given).is_dir() else ""
            raise HarnessError(
                f"{folder}no record in {self.leaderboards} is called '{name}'",
                f"did you mean {' or '.join(near)}?"
                if near
                else "name a record file, a run folder, or a row of the tables in --leaderboards DIR",
            )
        asked = [
            record
            for record in named[name]
            if record.dataset == (self.dataset or record.dataset)
            and record.task == (self.task or record.task)
        ]
        if not asked:
            there = sorted({f"{record.dataset} ({record.task})" for record in named[name]})
            raise HarnessError(
                f"no record of '{name}' on {self.dataset or 'any data set'} for {self.task or 'any task'}",
                f"it has: {', '.join(there)}",
            )
        return asked

    def _side(self, given: str, rows: Sequence[ResultRecord], seed: str | None) -> Side:
        places = {_row(record) for record in rows}
        if len(places) > 1:
            raise HarnessError(
                f"'{given}' has several rows: {differing(*sorted(places, key=str)[:2])}",
                "choose with --dataset and --task, or name record files",
            )
        runs = [record for record in rows if seed is None or record.seed == int(seed)]
        if not runs:
            raise HarnessError(
                f"'{given}': there is no seed {seed}",
                f"there are {', '.join(str(n) for n in sorted({record.seed for record in rows}))}",
            )
        return Side(tuple(sorted(runs, key=lambda run: run.seed or 0)))


def _measured(record: ResultRecord, path: Path) -> ResultRecord:
    if record.kind != "measured":
        raise HarnessError(f"{path} is a published row and has no outcomes of single queries")
    return record


def _row(record: ResultRecord) -> tuple[tuple[str, object], ...]:
    """What the runs of one row share."""
    place = {**hard_key(record)._asdict(), **section(record)._asdict()}
    return (*place.items(), ("recipe", record.recipe_digest[:12]))


def differing(one: Iterable, other: Iterable) -> str:
    """Each part that is not the same, with both of its values."""
    before, after = dict(one), dict(other)
    return "; ".join(
        f"{name} is {before[name]!r} and {after[name]!r}" for name in before if before[name] != after[name]
    )

"""The runs of an ablation and their table: `harness ablate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine.figures import Figure, columns_of, mean
from harness.engine.grid import Entry, Filled, Made
from harness.plan.ablation import cells_of
from harness.plan.grid import Cell as GridCell
from harness.plan.plan import Request, build_plan
from harness.plugins import Registry
from harness.results.record import ResultRecord
from harness.results.statistics import paired_difference
from harness.results.table import markdown_table


@dataclass(frozen=True)
class Cell:
    """The runs of one part of an ablation, a record for each seed; ``kept`` of them had been made before."""

    name: str
    records: tuple[ResultRecord, ...]
    kept: int


def plans_of(request: Request, name: str, registry: Registry, seeds: int) -> list[GridCell]:
    """The runs of an ablation, ``seeds`` for each part, from the request's on.

    All plans are made before the first run, so that what cannot work is said at once.
    """
    method, _ = registry.find("methods", request.method)
    parts = cells_of(method, name, registry.find("datasets", request.dataset)[0].name)
    return [
        GridCell(part, build_plan(replace(request, ablation=(name, part), seed=seed), registry)[0])
        for part in parts
        for seed in range(request.seed, request.seed + seeds)
    ]


def parts_made(entries: Sequence[Entry], filled: Filled) -> list[Cell]:
    """What a table shows, a row for each part, once all of its runs are made."""
    made: dict[str, list[Made]] = {}
    for entry in entries:
        made.setdefault(entry.cell.row, []).append(filled.made[entry.cell.name])
    return [
        Cell(part, tuple(one.record for one in runs), sum(one.kept for one in runs))
        for part, runs in made.items()
    ]


def summary(cells: Sequence[Cell]) -> str:
    """A table of the cells in their order; over several seeds means with their spread, and by how much
    each part differs from the first one in its first figure."""
    columns = columns_of([record for cell in cells for record in cell.records])
    several = len(cells) > 1 and len(cells[0].records) > 1
    body = []
    for cell in cells:
        shown = [mean(value, cell.records) for _, value in columns]
        if several:
            shown.append(_difference(cell, cells[0], columns[0][1]))
        body.append([cell.name, *shown, f"{cell.records[0].parameters:,}"])
    against = [f"{columns[0][0]} against {cells[0].name} [95 %]"] if several else []
    return markdown_table(["", *(name for name, _ in columns), *against, "Parameters"], body)


def _difference(cell: Cell, first: Cell, value: Figure) -> str:
    if cell is first:
        return ""
    found = paired_difference(*([value(record) for record in one.records] for one in (cell, first)))
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"

"""All runs of an ablation, one after the other: `harness ablate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.engine import run as engine
from harness.engine.several import Made, run_each
from harness.plan.ablation import cells_of
from harness.plan.plan import Request, build_plan
from harness.plugins import Registry
from harness.results.record import ResultRecord
from harness.results.statistics import over_seeds, paired_difference
from harness.results.table import figure_names, markdown_table


@dataclass(frozen=True)
class Cell:
    """The runs of one part of an ablation, a record for each seed; ``kept`` of them had been made before."""

    name: str
    records: tuple[ResultRecord, ...]
    kept: int


def ablate(
    request: Request,
    name: str,
    registry: Registry,
    where: engine.Places,
    *,
    workers: int,
    micro_batch: int,
    seeds: int = 1,
) -> list[Cell]:
    """Train and score every cell, for ``seeds`` seeds from the request's on, whose record is not in its
    run folder yet.

    All plans are made before the first run, so that what cannot work is said at once.
    """
    method, _ = registry.find("methods", request.method)
    names = cells_of(method, name, registry.find("datasets", request.dataset)[0].name)
    of_seed = range(request.seed, request.seed + seeds)
    plans = {
        _run_name(cell, seed, seeds): build_plan(
            replace(request, ablation=(name, cell), seed=seed), registry
        )[0]
        for cell in names
        for seed in of_seed
    }
    made = run_each(plans, registry, where, what=name, workers=workers, micro_batch=micro_batch)
    return [cell_of(cell, [made[_run_name(cell, seed, seeds)] for seed in of_seed]) for cell in names]


def _run_name(cell: str, seed: int, seeds: int) -> str:
    return f"{cell}, seed {seed}" if seeds > 1 else cell


def cell_of(name: str, made: Sequence[Made]) -> Cell:
    """What a table shows in one row."""
    return Cell(name, tuple(one.record for one in made), sum(one.kept for one in made))


def summary(cells: Sequence[Cell]) -> str:
    """A table of the cells in their order; over several seeds means with their spread, and by how much
    each part differs from the first one in its first figure."""
    records = [record for cell in cells for record in cell.records]
    contrasts = list(dict.fromkeys(name for record in records for name in record.metrics.contrasts))
    columns: list[tuple[str, Callable[[ResultRecord], float]]] = [
        (name, lambda record, name=name: record.metrics.figures[name]) for name in figure_names(records)
    ] or [
        ("T2V R@1", lambda record: record.metrics.t2v["R@1"]),
        ("T2V R@5", lambda record: record.metrics.t2v["R@5"]),
        ("V2T R@1", lambda record: record.metrics.v2t["R@1"]),
        *(
            (name.replace("_", " "), lambda record, name=name: record.metrics.contrasts[name])
            for name in contrasts
        ),
    ]
    several = len(cells) > 1 and len(cells[0].records) > 1
    body = []
    for cell in cells:
        shown = [_over_seeds([value(record) for record in cell.records]) for _, value in columns]
        if several:
            shown.append(_difference(cell, cells[0], columns[0][1]))
        body.append([cell.name, *shown, f"{cell.records[0].parameters:,}"])
    against = [f"{columns[0][0]} against {cells[0].name} [95 %]"] if several else []
    return markdown_table(["", *(name for name, _ in columns), *against, "Parameters"], body)


def _over_seeds(values: Sequence[float]) -> str:
    figure = over_seeds(values)
    return f"{figure.mean:.1f}" + (f" ± {figure.spread:.1f}" if figure.n > 1 else "")


def _difference(cell: Cell, first: Cell, value: Callable[[ResultRecord], float]) -> str:
    if cell is first:
        return ""
    found = paired_difference(*([value(record) for record in one.records] for one in (cell, first)))
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"

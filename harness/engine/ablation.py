"""All runs of an ablation, one after the other: `harness ablate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.engine import run as engine
from harness.engine.progress import say
from harness.plan.ablation import cells_of
from harness.plan.plan import Request, RunPlan, build_plan
from harness.plugins import Registry
from harness.results.record import ResultRecord, load
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
        (cell, seed): build_plan(replace(request, ablation=(name, cell), seed=seed), registry)[0]
        for cell in names
        for seed in of_seed
    }
    records, kept = {}, set()
    for number, ((cell, seed), plan) in enumerate(plans.items(), start=1):
        known = _known(plan, registry, where)
        which = f"{cell}, seed {seed}" if seeds > 1 else cell
        say(f"{name} {number}/{len(plans)}: {which}" + (", done before" if known else ""))
        if known:
            kept.add((cell, seed))
        made = known or engine.run(plan, registry, where, workers=workers, micro_batch=micro_batch)
        records[cell, seed] = made
    return [
        Cell(cell, tuple(records[cell, s] for s in of_seed), sum((cell, s) in kept for s in of_seed))
        for cell in names
    ]


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
    several = len(cells[0].records) > 1
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


def _known(plan: RunPlan, registry: Registry, where: engine.Places) -> ResultRecord | None:
    """The record of an earlier run of the same plan and seed."""
    dataset = engine.open_prepared(plan, registry)
    folder = where.runs.resolve() / engine.prepared_plan(plan, dataset, registry).name
    return load(folder / engine.RECORD) if (folder / engine.RECORD).exists() else None

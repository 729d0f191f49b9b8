"""All runs of an ablation, one after the other: `harness ablate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine import run as engine
from harness.engine.progress import say
from harness.plan.ablation import cells_of
from harness.plan.plan import Request, RunPlan, build_plan
from harness.plugins import Registry
from harness.results.record import ResultRecord, load
from harness.results.table import figure_names, markdown_table


@dataclass(frozen=True)
class Cell:
    """One run of an ablation; ``kept`` where it had been made before."""

    name: str
    record: ResultRecord
    kept: bool


def ablate(
    request: Request, name: str, registry: Registry, where: engine.Places, *, workers: int, micro_batch: int
) -> list[Cell]:
    """Train and score every cell whose record is not in its run folder yet.

    All plans are made before the first run, so that what cannot work is said at once.
    """
    method, _ = registry.find("methods", request.method)
    names = cells_of(method, name, registry.find("datasets", request.dataset)[0].name)
    plans = [build_plan(replace(request, ablation=(name, cell)), registry)[0] for cell in names]
    cells = []
    for number, (cell, plan) in enumerate(zip(names, plans, strict=True), start=1):
        known = _known(plan, registry, where)
        say(f"{name} {number}/{len(names)}: {cell}" + (", done before" if known else ""))
        record = known or engine.run(plan, registry, where, workers=workers, micro_batch=micro_batch)
        cells.append(Cell(cell, record, known is not None))
    return cells


def summary(cells: Sequence[Cell]) -> str:
    """A table of the cells in their order."""
    contrasts = list(dict.fromkeys(name for cell in cells for name in cell.record.metrics.contrasts))
    named = figure_names(cell.record for cell in cells)
    heads = named or ["T2V R@1", "T2V R@5", "V2T R@1", *(name.replace("_", " ") for name in contrasts)]
    heads = ["", *heads, "Parameters"]
    body = []
    for cell in cells:
        figures = cell.record.metrics
        if named:
            shown = [figures.figures[name] for name in named]
        else:
            shown = [figures.t2v["R@1"], figures.t2v["R@5"], figures.v2t["R@1"]]
            shown += [figures.contrasts[name] for name in contrasts]
        body.append([cell.name, *(f"{figure:.1f}" for figure in shown), f"{cell.record.parameters:,}"])
    return markdown_table(heads, body)


def _known(plan: RunPlan, registry: Registry, where: engine.Places) -> ResultRecord | None:
    """The record of an earlier run of the same plan and seed."""
    dataset = engine.open_prepared(plan, registry)
    folder = where.runs.resolve() / engine.prepared_plan(plan, dataset, registry).name
    return load(folder / engine.RECORD) if (folder / engine.RECORD).exists() else None

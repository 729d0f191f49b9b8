"""Methods: every recipe resolves strictly, and a smoke run on generated clips ends in a record."""

from __future__ import annotations

import contextlib
import io
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.names import plain
from harness.plan.ablation import cells_of, lay_cell
from harness.plan.packaged import lay_recipes, lay_variants
from harness.plan.plan import Request, build_plan
from harness.plan.recipe import Layers, resolve, with_task
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.results.record import ResultRecord
from harness.specs import DatasetSpec, MethodSpec
from harness.testing.kit import Fault, NotChecked, Subject

PREPARED = "its recipe resolves"

#: The generated data set of smoke runs, and how many of its clips are trained on.
DATASET, TRAIN_CLIPS, BATCH = "shapes", 8, 4


def prepare(subject: Subject) -> Subject:
    _resolve(subject, None)
    return subject


def recipes(subject: Subject) -> None:
    """For every data set, variant, task and ablation that it names, alone and for its data set."""
    method = subject.spec
    for dataset in method.recipes:
        _resolve(subject, dataset)
    for name in method.variants:
        _resolve(subject, _dataset_in(name), variant=name.rpartition("/")[2])
    for name in method.tasks:
        _resolve(subject, _dataset_in(name), task=name.rpartition("/")[2])
    for name in method.ablations:
        dataset = _dataset_in(name) or ""
        for cell in cells_of(method, name.rpartition("/")[2], dataset):
            _resolve(subject, dataset or None, ablation=(name.rpartition("/")[2], cell))


def _dataset_in(name: str) -> str | None:
    return name.partition("/")[0] if "/" in name else None


def _resolve(
    subject: Subject,
    dataset: str | None,
    *,
    variant: str = "",
    task: str = "",
    ablation: tuple[str, str] | None = None,
) -> Recipe:
    """The recipe as a run would have it; a fault says which of the method's recipes is wrong."""
    registry, method = subject.registry, subject.spec
    where = ", ".join(
        filter(None, (dataset and f"on {dataset}", variant, task, ablation and " ".join(ablation)))
    )
    try:
        known: DatasetSpec | None = registry.find("datasets", dataset)[0] if dataset else None
        layers = lay_recipes(method, known, task)
        _lay(layers, method, dataset or "", variant, ablation)
        recipe = resolve(layers, registry, known)
        return with_task(recipe, task, layers, registry) if task else recipe
    except HarnessError as error:
        raise Fault(
            f"its recipe{' ' + where if where else ''} is wrong: {error.message}", error.hint
        ) from error


def _lay(
    layers: Layers, method: MethodSpec, dataset: str, variant: str, ablation: tuple[str, str] | None
) -> None:
    if variant:
        lay_variants(layers, [variant], method, dataset)
    if ablation:
        lay_cell(layers, method, *ablation, dataset)


def smoke(subject: Subject) -> None:
    """A few steps of every stage on a few clips, and an evaluation, with the smallest towers."""
    smoke_run(subject.spec, subject.registry, "retrieval")


def smoke_run(method: MethodSpec, registry: Registry, task: str) -> ResultRecord:
    """Train and score a method as `harness run` does, small, in a folder that is thrown away; its record.

    Raises :class:`Fault` where losses or figures are no numbers, and whatever the run raises.
    """
    from harness.engine import run as engine

    dataset = registry.find("datasets", DATASET)[0]
    asked = registry.find("tasks", task)[0]
    if dataset.protocol_for(asked.protocols or plain(asked.name)) is None:
        raise NotChecked(f"the generated data set has no protocol for the task {task}")
    request = Request(method=method.name, dataset=DATASET, task=task)
    full, _ = build_plan(request, registry)
    plan, _ = build_plan(
        Request(
            method=method.name, dataset=DATASET, task=task, settings=tuple(_small(full.recipe, registry))
        ),
        registry,
    )
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        where = engine.Places(Path(folder) / "runs", Path(folder) / "leaderboards")
        with contextlib.redirect_stderr(io.StringIO()):  # progress, which nobody asked for here
            record = engine.run(plan, registry, where, workers=0)
        [log] = where.runs.glob("*/log.jsonl")
        steps = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    wanted = len(plan.recipe.stages) * (TRAIN_CLIPS // BATCH)
    if len(steps) < wanted:
        raise Fault(f"{len(steps)} steps were trained, {wanted} were planned")
    metrics = record.metrics
    figures = {**metrics.t2v, **metrics.v2t, **metrics.figures}
    if not figures or not all(math.isfinite(value) for value in figures.values() if value is not None):
        raise Fault(f"the figures of its record are no numbers: {figures}")
    return record


def _small(recipe: Recipe, registry: Registry) -> Iterator[str]:
    """Settings that make a run of it one of seconds: tiny towers, every component as small as it can be."""
    from harness.testing.made_up import BACKBONE

    def small(kind: str, value: dict[str, Any]) -> str:
        return json.dumps({"name": value["name"], **(registry.find(kind, value["name"])[0].small or {})})

    yield f"model.backbone={json.dumps(dict(BACKBONE))}"
    yield f"model.temporal={small('temporal modules', recipe.model.temporal)}"
    yield f"data.options.train_clips={TRAIN_CLIPS}"
    yield "data.frames=2"
    yield "evaluation.selection=last"
    for name, stage in recipe.stages.items():
        yield f"stages.{name}.epochs=1"
        yield f"stages.{name}.batch_size={BATCH}"
        yield f"stages.{name}.precision=fp32"
        yield f"stages.{name}.loss={small('losses', stage.loss)}"
        if stage.source:
            yield f"stages.{name}.source=null"


CHECKS = (
    ("its recipes for data sets, tasks, variants and ablations resolve", recipes),
    ("a smoke run ends in a record", smoke),
)

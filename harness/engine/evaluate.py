"""Score a finished model again: another data set, protocol or post-processing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from harness.engine import run as engine
from harness.engine.finished import find_finished, refuse_backbone
from harness.plan.packaged import lay_variants
from harness.plan.plan import Request, build_plan, versions_of
from harness.plan.protocols import protocol_of
from harness.plan.recipe import Layers, resolve, with_task
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results.record import ResultRecord


def evaluate_checkpoint(
    given: Path, method: str, asked: Mapping[str, Any], registry: Registry, where: engine.Places, workers: int
) -> ResultRecord:
    """Evaluate ``given``: a run folder, which knows its plan, or a checkpoint file with ``method``.

    ``asked`` are the remaining fields of a :class:`Request`.
    """
    finished = find_finished(given, method, registry)
    trained_on = finished.trained_on
    request = Request(method=finished.method, **asked)
    plan = plan_like(trained_on, request, registry) if trained_on else build_plan(request, registry)[0]
    return engine.evaluate(plan, registry, where, finished.file, workers=workers, trained_on=trained_on)


def plan_like(trained_on: RunPlan, request: Request, registry: Registry) -> RunPlan:
    """The plan of an evaluation: the data set's side of the request, the run's own model and seed."""
    refuse_backbone(request)
    plan, _ = build_plan(replace(request, seed=trained_on.seed), registry)
    dataset, _ = registry.find("datasets", plan.dataset)
    own = trained_on.recipe
    layers = Layers()
    data = msgspec.to_builtins(own.data)
    if trained_on.dataset != plan.dataset:
        data.update(train_split="", protocol="", options=dict(plan.recipe.data.options))
    elif (request.annotations or request.data_roots) and "annotations" in plan.recipe.data.options:
        # Another place has annotation files of its own.
        data["options"]["annotations"] = plan.recipe.data.options["annotations"]
    if trained_on.task != plan.task:
        data["protocol"] = ""
    if request.protocol:
        data["protocol"] = request.protocol
    data["protocol"] = data["protocol"] or plan.protocol.name
    data["train_split"] = data["train_split"] or plan.protocol.train
    layers.lay({**msgspec.to_builtins(own), "data": data}, {})
    layers.lay({"evaluation": msgspec.to_builtins(plan.recipe.evaluation)}, {})
    method, _ = registry.find("methods", plan.method)
    lay_variants(layers, request.recipes, method, plan.dataset)
    for assignment in request.settings:
        layers.set(assignment)
    recipe = with_task(resolve(layers, registry, dataset), plan.task, layers, registry)
    return msgspec.structs.replace(
        plan,
        recipe=recipe,
        protocol=protocol_of(dataset, recipe, plan.task, registry),
        pretraining=trained_on.pretraining,
        weights_sha256=trained_on.weights_sha256,
        module_sha256=trained_on.module_sha256,
        init_from=trained_on.init_from,
        init_sha256=trained_on.init_sha256,
        train_texts=trained_on.train_texts,
        sources=trained_on.sources,
        versions=versions_of(plan.method, recipe, plan.dataset, plan.task, registry),
    )

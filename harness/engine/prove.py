"""A published row trained again, over several seeds, and what came of it: `harness prove`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine.provenance import train_split
from harness.engine.run_data import open_prepared
from harness.errors import HarnessError
from harness.plan.budget import shown
from harness.plan.grid import Cell
from harness.plan.packaged import lay_recipes
from harness.plan.plan import Request, build_plan
from harness.plan.protocols import protocol_for
from harness.plan.recipe import describe_component
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results.pairing import Conditions, Difference, differences, mismatches, pairs, same_backbone
from harness.results.published import ZERO_SHOT, Entry, installed
from harness.results.record import ResultRecord
from harness.results.table import Row
from harness.results.verdict import Verdict, judge, published_figures


@dataclass(frozen=True)
class Proof:
    """What is going to be run: a published row, the request that repeats it, and a plan for each seed.

    ``others`` are the published rows of the method, data set and task that were not chosen.
    """

    entry: Entry
    request: Request
    plans: tuple[RunPlan, ...]
    others: tuple[Entry, ...]


def plan_proof(request: Request, row: str, seeds: int, registry: Registry) -> Proof:
    """Choose the published row (``row``, or the one nearest to the method's own recipe where empty) and the
    recipe that repeats it.

    Raises HarnessError where nothing is published, nothing is known to repeat it, or the request changes
    what the row states.
    """
    method, _ = registry.find("methods", request.method)
    dataset, _ = registry.find("datasets", request.dataset)
    request = replace(request, method=method.name, dataset=dataset.name)
    entries = _published(request, registry)
    entry = _named(entries, row) if row else min(entries, key=lambda one: _distance(one, request, registry))
    asked = repeating(request, entry)
    plans = tuple(
        build_plan(replace(asked, seed=seed), registry)[0]
        for seed in range(request.seed, request.seed + seeds)
    )
    _refuse_other_setting(plans[0], entry, registry)
    return Proof(entry, asked, plans, tuple(one for one in entries if one is not entry))


def repeating(request: Request, entry: Entry) -> Request:
    """The request with what the published row asks for laid under its own recipes and settings."""
    record = entry.record
    if entry.recipe is None and not request.recipes:
        raise HarnessError(
            f"no recipe is known to repeat {entry.name} ({record.source})",
            "name a recipe that does with --recipe, or another row with --row",
        )
    zero_shot = record.train_split == ZERO_SHOT
    own = [] if zero_shot else [f"data.train_split={record.train_split}"]
    if record.postprocess != "none":
        own.append(f"evaluation.postprocess={_as_value(record.postprocess)}")
    return replace(
        request,
        task=record.task,
        protocol=record.protocol.name,
        recipes=(*(entry.recipe or ()), *request.recipes),
        zero_shot=zero_shot,
        settings=(*own, *request.settings),
    )


def cells_of(proof: Proof, registry: Registry) -> list[Cell]:
    """The runs that it takes, a cell for each seed; refused where the gallery is not the published one."""
    _refuse_other_gallery(proof, registry)
    return [Cell(proof.entry.name, plan) for plan in proof.plans]


def verdict_of(proof: Proof, records: Sequence[ResultRecord]) -> Verdict:
    """All seeds judged together."""
    row = Row(tuple(records))
    found = pairs(row, [proof.entry.record])
    if not found or not found[0].deltas:
        reasons = mismatches(row, proof.entry.record) or ["no figure is in both"]
        raise HarnessError(
            f"what was measured cannot be held against {proof.entry.name}: {'; '.join(map(str, reasons))}",
            "the records are kept; correct the data or the recipe and run it again",
        )
    return judge(row, found[0], proof.entry.name)


def preview(proof: Proof) -> str:
    """Which published row, which recipe, what differs as far as the plan tells, and which other rows there are."""
    record, plan = proof.entry.record, proof.plans[0]
    seeds = [one.seed for one in proof.plans]
    lines = [
        f"{proof.entry.name}: {published_figures(record)}",
        f"source     {record.source}",
        f"setting    {_setting(record)}",
        f"repeat by  {_command(proof.request)}",
        f"seeds      {len(seeds)}: {', '.join(map(str, seeds))}",
    ]
    lines += [f"differs    {one}" for one in _differences(plan, record)]
    if record.pretraining:
        lines.append(f"check      pretraining there: {record.pretraining}")
    lines += [f"other row  --row {one.name}: {_described(one)}" for one in proof.others]
    return "\n".join(lines)


def _published(request: Request, registry: Registry) -> list[Entry]:
    """The rows of the request's method, data set, task and, where it names one, protocol."""
    everything = installed(registry)
    of_method = [
        one for one in everything if registry.find("methods", one.record.method)[0].name == request.method
    ]
    found = [
        one
        for one in of_method
        if one.record.dataset == request.dataset
        and one.record.task == request.task
        and one.record.protocol.name == (request.protocol or one.record.protocol.name)
    ]
    if found:
        return found
    which = f"{request.dataset} {request.protocol}".rstrip()
    there = dict.fromkeys(f"{one.record.dataset} {one.record.protocol.name}" for one in of_method)
    others = dict.fromkeys(one.record.method for one in everything)
    raise HarnessError(
        f"nothing is published of {request.method} on {which} for the task {request.task}",
        f"published of it: {', '.join(there)}; choose with --dataset, --protocol and --task"
        if there
        else f"methods with published rows: {', '.join(others) or 'none installed'}",
    )


def _named(entries: Sequence[Entry], row: str) -> Entry:
    found = next((one for one in entries if one.name == row), None)
    if found is None:
        raise HarnessError(f"there is no such row '{row}'", f"rows: {', '.join(one.name for one in entries)}")
    return found


def _distance(entry: Entry, request: Request, registry: Registry) -> tuple[bool, ...]:
    """How far a row is from what the method's own recipe runs on the data set: the nearest is proved."""
    record = entry.record
    method, _ = registry.find("methods", request.method)
    dataset, _ = registry.find("datasets", request.dataset)
    usual = protocol_for(dataset, request.task, request.protocol, registry)
    own = lay_recipes(method, dataset, request.task).values
    backbone = request.backbone or own["model"]["backbone"]["name"]
    return (
        entry.recipe is None and not request.recipes,
        record.train_split == ZERO_SHOT,
        record.protocol.name != usual.name,
        record.postprocess != "none",
        record.backbone is not None and not same_backbone(backbone, record.backbone),
        record.train_split != usual.train,
    )


def _refuse_other_setting(plan: RunPlan, entry: Entry, registry: Registry) -> None:
    """Say before any work what would keep the result from being held against the row."""
    record, evaluation = entry.record, plan.recipe.evaluation
    for what, here, there in (
        ("protocol", plan.protocol.name, record.protocol.name),
        ("query unit", plan.protocol.query_unit, record.protocol.query_unit),
        ("train split", train_split(plan, plan), record.train_split),
        (
            "post-processing",
            describe_component(evaluation.postprocess, "postprocessors", registry),
            record.postprocess,
        ),
        ("test clips that cannot be read", evaluation.missing, "worst"),
        ("variant", plan.recipe.variant, ""),
    ):
        if here != there:
            raise HarnessError(
                f"this would not repeat {entry.name}: {Difference(what, repr(here), repr(there))}",
                "leave out the --recipe or --set that changes it, or choose another row with --row",
            )


def _refuse_other_gallery(proof: Proof, registry: Registry) -> None:
    """Count the test clips before days of training: some copies of a data set have fewer."""
    plan, stated = proof.plans[0], proof.entry.record.protocol.n_gallery
    dataset = open_prepared(plan, registry)
    clips = dataset.check([plan.protocol.test]).splits[plan.protocol.test].clips
    if clips != stated:
        raise HarnessError(
            f"{proof.entry.name} was tested on {stated} clips, the annotations under {plan.data_root} name {clips}",
            "give the published annotation files with --annotations, or choose another row with --row",
        )


def _differences(plan: RunPlan, record: ResultRecord) -> list[Difference]:
    recipe = plan.recipe
    planned = Conditions(
        selection=recipe.evaluation.selection,
        backbone=recipe.model.backbone["name"],
        frames=recipe.data.frames,
        resolution=None,
        pretraining=None,
        budget=shown(recipe.budget),
    )
    return differences(planned, record)


def _setting(record: ResultRecord) -> str:
    protocol = record.protocol
    trained = "zero-shot" if record.train_split == ZERO_SHOT else f"trained on {record.train_split}"
    return (
        f"{record.dataset} {protocol.name}, {protocol.n_queries} {protocol.query_unit}s x "
        f"{protocol.n_gallery} videos, {trained}, post-processing {record.postprocess}"
    )


def _described(entry: Entry) -> str:
    known = "" if entry.recipe is not None else "; no recipe is known to repeat it"
    backbone = f", {entry.record.backbone}" if entry.record.backbone else ""
    return _setting(entry.record) + backbone + known


def _as_value(described: str) -> str:
    """A component with its options as tables have it, ``name(option=1)``, as a recipe has it."""
    name, _, options = described.removesuffix(")").partition("(")
    return "{" + ", ".join([f"name: {name}", *([options.replace("=", ": ")] if options else [])]) + "}"


def _command(request: Request) -> str:
    """What would be typed for one seed without `prove`."""
    given = [("--task", request.task)] if request.task != Request.task else []
    given += [("--protocol", request.protocol), ("--backbone", request.backbone)]
    given += [("--weights", request.weights), ("--init-from", request.init_from)]
    given += [("--data-root", root) for root in request.data_roots]
    given += [("--annotations", request.annotations)]
    given += [("--recipe", name) for name in request.recipes]
    given += [("--set", setting) for setting in request.settings]
    words = ["harness", "run", "--method", request.method, "--dataset", request.dataset]
    words += [word for pair in given if pair[1] for word in pair]
    return shlex.join([*words, *(["--zero-shot"] if request.zero_shot else [])])

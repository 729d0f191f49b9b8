"""Several runs, one after the other, of which none is made twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.engine import run as engine
from harness.engine.probe import probe_run
from harness.engine.progress import say
from harness.plan.plan import RunPlan
from harness.plugins import Registry
from harness.results.record import ResultRecord, load


class Made(NamedTuple):
    """The record of a run; ``kept`` where an earlier command had made it."""

    record: ResultRecord
    kept: bool


def run_each(
    plans: Mapping[str, RunPlan],
    registry: Registry,
    where: engine.Places,
    *,
    what: str,
    workers: int,
    micro_batch: int = 0,
    checkpoint_every: int = 0,
    resume: bool = False,
    probes: bool = False,
) -> dict[str, Made]:
    """Train and score every plan whose record is not in its run folder yet; the results by the plans' names.

    With ``resume`` a run that was interrupted goes on from its folder, and one that never began starts.
    With ``probes`` each is probed too, those that were made before unless that has been done.
    """
    made = {}
    for number, (name, plan) in enumerate(plans.items(), start=1):
        folder = _folder(plan, registry, where)
        known = load(folder / engine.RECORD) if (folder / engine.RECORD).exists() else None
        say(f"{what} {number}/{len(plans)}: {name}" + (", done before" if known else ""))
        record = known or engine.run(
            plan,
            registry,
            where,
            workers=workers,
            resume=resume and (folder / engine.PLAN).exists(),
            checkpoint_every=checkpoint_every,
            micro_batch=micro_batch,
            probes=probes,
        )
        if probes and not record.probes:
            record = probe_run(folder, {}, registry, where, workers)
        made[name] = Made(record, known is not None)
    return made


def _folder(plan: RunPlan, registry: Registry, where: engine.Places) -> Path:
    """Where the run of this plan and seed leaves its files."""
    dataset = engine.open_prepared(plan, registry)
    return where.runs.resolve() / engine.prepared_plan(plan, dataset, registry).name

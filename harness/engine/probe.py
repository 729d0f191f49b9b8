"""Probe a finished run: score it once more in order, then out of order, and add that to its record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.engine import run as engine
from harness.engine.evaluate import plan_like
from harness.engine.execute import check_workers, execute
from harness.engine.finished import Finished, find_finished
from harness.engine.probing import refuse_order
from harness.engine.progress import say
from harness.engine.run_data import check_splits, open_prepared
from harness.engine.run_folder import fresh_folder, locked
from harness.engine.worker import Job, Outcome
from harness.errors import HarnessError
from harness.plan.plan import Request, versions_of
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results import leaderboard
from harness.results.atomic import write_atomically
from harness.results.digest import sha256_file
from harness.results.probes import main_figure
from harness.results.record import ResultRecord
from harness.results.record_file import dumps, load, record_path, refuse_unwritable, write
from harness.results.run_files import RECORD

#: What a record and an outcome both have, and what figures follow from.
_COUNTED = ("protocol", "queries", "evidence")


def probe_run(
    given: Path, asked: Mapping[str, Any], registry: Registry, where: engine.Places, workers: int
) -> ResultRecord:
    """Add probes to the record of the run in the folder ``given``; returns that record.

    ``asked`` are fields of a :class:`Request`. Where any of them is set, the record is that of the run's
    evaluation under such a request, which `harness evaluate` has made. Nothing else of a record changes.
    Raises HarnessError where the model is not the record's, or does not give the record's counts here.
    """
    check_workers(workers)
    refuse_unwritable(where.leaderboards)
    if given.is_file():
        raise HarnessError(f"{given} is a file and has no record", "give the folder of its run")
    finished = find_finished(given, "", registry)
    plan = _plan(finished, asked, registry)
    refuse_order(plan)
    folder, record = _recorded(given.resolve(), plan, where, own=not any(asked.values()))
    own, shown = folder / RECORD, record_path(where.leaderboards, record)
    kept = {own: record, shown: load(shown) if shown.exists() else record}
    _refuse_other_model(kept, finished.file, given)
    with locked(folder):
        outcome = _score(finished.file, plan, registry, where, workers)
        _refuse_other_counts(kept, outcome, given)
        kept = {path: msgspec.structs.replace(one, probes=outcome.probes) for path, one in kept.items()}
        write_atomically(own, dumps(kept[own]))
        write(kept[shown], shown)
    leaderboard.write_all(where.leaderboards)
    registry.emit("record_written", {"folder": str(folder), "path": str(shown)})
    say(f"record: {shown}")
    return kept[own]


def _plan(finished: Finished, asked: Mapping[str, Any], registry: Registry) -> RunPlan:
    """The plan that the record is of, with the plugins that are here: whether they still give the record's
    counts is seen."""
    own = finished.trained_on
    assert own is not None, "a run folder has a plan"
    if any(asked.values()):
        defaults = {"dataset": own.dataset, "task": own.task}
        request = Request(
            method=own.method, **{**asked, **{k: asked.get(k) or v for k, v in defaults.items()}}
        )
        return plan_like(own, request, registry)
    return msgspec.structs.replace(
        own, versions=versions_of(own.method, own.recipe, own.dataset, own.task, registry)
    )


def _recorded(given: Path, plan: RunPlan, where: engine.Places, own: bool) -> tuple[Path, ResultRecord]:
    """The folder whose record is of this plan, and that record.

    With ``own`` the run's; else that of an evaluation, or the run's where the plan comes to the same.
    """
    if own:
        if not (given / RECORD).exists():
            raise HarnessError(
                f"{given} has no {RECORD}: the run is not finished",
                "finish it with `harness run --resume`",
            )
        return given, load(given / RECORD)
    for folder in (where.runs.resolve() / engine.EVALUATION.format(plan=plan.name), given):
        if (folder / RECORD).exists():
            record = load(folder / RECORD)
            if (record.plan_digest, record.seed) == (plan.digest, plan.seed):
                return folder, record
    raise HarnessError(
        f"there is no record of {given.name} on {plan.dataset}/{plan.protocol.name}, {plan.task}, with these options",
        "make it first: `harness evaluate` with the same run and options",
    )


def _score(model: Path, plan: RunPlan, registry: Registry, where: engine.Places, workers: int) -> Outcome:
    """The model's outcome, with probes. The folder that its workers need is gone afterwards."""
    dataset = open_prepared(plan, registry)
    check_splits(plan, dataset, [plan.protocol.test])
    with fresh_folder(where.runs.resolve() / f"probe-{plan.name}") as folder:
        job = Job(
            plan=plan,
            folder=str(folder),
            model=str(model.resolve()),
            probes=True,
            observed=False,
            decode_threads=engine.decode_threads(workers),
        )
        outcome = execute(job, workers)
        shutil.rmtree(folder)
    assert outcome is not None, "the first worker returns an outcome"
    return outcome


def _refuse_other_model(kept: Mapping[Path, ResultRecord], model: Path, given: Path) -> None:
    """Both files of the record have to be of these weights; one of a run without training does not say."""
    checksum = sha256_file(model)
    for path, record in kept.items():
        if record.checkpoint_sha256 not in (None, checksum):
            raise HarnessError(
                f"{path} is of another model than {model}: it says sha256 {record.checkpoint_sha256[:12]}, "
                f"the file has {checksum[:12]}",
                f"score this one first: {_evaluation(given, record)}",
            )


def _refuse_other_counts(kept: Mapping[Path, ResultRecord], outcome: Outcome, given: Path) -> None:
    """A drop is the model's only if frames in order give what the record says."""
    for path, record in kept.items():
        lost = {clip.id for clip in record.missing.test}
        if lost != outcome.missing.keys():
            raise HarnessError(
                f"{len(outcome.missing)} test clips cannot be read here, {len(lost)} could not when {path} "
                "was made",
                "see that the data set is where and as it was, or score the run on this one first: "
                + _evaluation(given, record),
            )
        if any(getattr(record, what) != getattr(outcome, what) for what in _COUNTED):
            name, value = main_figure(record.metrics)
            raise HarnessError(
                f"with frames in order the model does not give the counts in {path}: {name} is "
                f"{main_figure(outcome.metrics)[1]:.2f}, the record has {value:.2f}",
                f"it was made on {record.environment.get('device') or 'another device'} with torch "
                f"{record.versions.get('torch', 'unknown')}; score the run here first: "
                + _evaluation(given, record),
            )


def _evaluation(given: Path, record: ResultRecord) -> str:
    options = f"--dataset {record.dataset} --task {record.task}"
    return f"`harness evaluate {given} {options}`, then `harness probe` with the same options"

"""A run from plan to record: prepare data and weights, execute the workers, write what came out."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness import places
from harness.engine import checkpoint
from harness.engine.execute import check_workers, execute, here
from harness.engine.probing import refuse_order
from harness.engine.progress import say
from harness.engine.provenance import make_record
from harness.engine.run_data import check_run, check_splits, open_prepared, prepared_plan, refuse_start
from harness.engine.run_folder import fresh_folder, run_folder
from harness.engine.shown import refuse_leak_of, write_clips
from harness.engine.worker import TRAINED_BACKBONE, Job, work
from harness.errors import HarnessError
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results import leaderboard
from harness.results.atomic import write_atomically
from harness.results.digest import digest, file_digest, sha256_file
from harness.results.record import ResultRecord
from harness.results.record_file import dumps, load, record_path, refuse_unwritable, write
from harness.results.run_files import PLAN, RECORD

#: The folder of an evaluation, among those of the runs.
EVALUATION = "evaluate-{plan}"

#: Fields of a record that only training knows.
_TRAINING_FACTS = ("train", "selected_epoch", "batch_size", "world_size", "train_seconds", "gpu_hours")


@dataclass(frozen=True)
class Places:
    """Where a run leaves its folder and its record."""

    runs: Path
    leaderboards: Path


def run(
    plan: RunPlan,
    registry: Registry,
    where: Places,
    *,
    workers: int,
    resume: bool = False,
    checkpoint_every: int = 0,
    micro_batch: int = 0,
    probes: bool = False,
) -> ResultRecord:
    """Train and evaluate a plan; returns the record that was written.

    A second run of the same plan and seed starts afresh in the same folder; with ``resume`` it
    goes on from that folder's checkpoint. ``probes``: also score it on frames out of order.
    """
    check_workers(workers)
    refuse_unwritable(where.leaderboards)
    if probes:
        refuse_order(plan)
    registry.emit("run_planned", {"plan": msgspec.json.decode(plan.to_json())})
    dataset = open_prepared(plan, registry)
    plan = prepared_plan(plan, dataset, registry)
    check_run(plan, dataset, registry)
    refuse_start(plan, dataset, registry)
    if resume:
        refuse_resume(plan, where.runs)
    weights = pretrained_weights(plan.pretraining, registry)
    with run_folder(plan, where.runs, resume) as folder:
        write_clips(folder, plan, dataset, registry)
        job = Job(
            plan=plan,
            folder=str(folder),
            weights=str(weights or ""),
            checkpoint_every=checkpoint_every,
            micro_batch=micro_batch,
            probes=probes,
            decode_threads=decode_threads(workers),
        )
        outcome = execute(job, workers)
    assert outcome is not None, "the first worker returns an outcome"
    return _keep(make_record(plan, outcome, registry), folder, where, registry)


def evaluate(
    plan: RunPlan, registry: Registry, where: Places, model: Path, *, workers: int, trained_on: RunPlan | None
) -> ResultRecord:
    """Score a finished model under another plan (data set, protocol, post-processing)."""
    check_workers(workers)
    refuse_unwritable(where.leaderboards)
    registry.emit("run_planned", {"plan": msgspec.json.decode(plan.to_json())})
    dataset = open_prepared(plan, registry)
    if trained_on:
        refuse_leak_of(model.parent, trained_on, plan, dataset, registry)
    check_splits(plan, dataset, [plan.protocol.test])
    earlier = load(model.parent / RECORD) if trained_on and (model.parent / RECORD).exists() else None
    with fresh_folder(where.runs.resolve() / EVALUATION.format(plan=plan.name)) as folder:
        write_atomically(folder / PLAN, plan.to_json().decode() + "\n")
        job = Job(
            plan=plan,
            folder=str(folder),
            model=str(model.resolve()),
            pretraining="" if trained_on else "unknown",
            decode_threads=decode_threads(workers),
        )
        outcome = execute(job, workers)
    assert outcome is not None, "the first worker returns an outcome"
    checksum = sha256_file(model)
    record = make_record(plan, outcome, registry, trained_on=trained_on, checkpoint_sha256=checksum)
    if trained_on is None:  # nobody knows how it was trained: the file itself stands for that
        record = msgspec.structs.replace(record, recipe_digest=file_digest(record.recipe_digest, checksum))
    return _keep(_with_training_of(earlier, record), folder, where, registry)


def pretrained_folder(plan: RunPlan) -> Path:
    """Where a pre-training run leaves its weights; other versions of its plugins, another folder."""
    return places.cache_root() / "pretrained" / f"{plan.name}-{digest(plan.versions)[:8]}"


def pretrained_weights(plan: RunPlan | None, registry: Registry) -> Path | None:
    """The weights that a backbone's own recipe makes, trained once and kept in the cache.

    ``plan`` is that recipe's, None for a backbone that has none.
    """
    if plan is None:
        return None
    made = pretrained_folder(plan)
    if not (made / TRAINED_BACKBONE).exists():
        say(f"pre-training the backbone '{plan.method}' once; kept in {made}")
        draft = made.with_name(f".{made.name}.{os.getpid()}")
        draft.mkdir(parents=True, exist_ok=True)
        try:
            open_prepared(plan, registry)
            work(Job(plan=plan, folder=str(draft), evaluate=False, observed=False), here())
            (draft / checkpoint.CHECKPOINT).unlink()
            (draft / checkpoint.MODEL).unlink()
            if not made.exists():  # another run may have been faster
                draft.rename(made)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return made / TRAINED_BACKBONE


def refuse_resume(plan: RunPlan, runs: Path) -> None:
    """Refuse to go on with a run that never began, before anything is made for it."""
    folder = runs.resolve() / plan.name
    if not (folder / PLAN).exists():
        raise HarnessError(
            f"nothing to resume in {folder}", "start the run without --resume, with the same --runs"
        )


def decode_threads(workers: int) -> int:
    """Cores for decoding, shared by the workers of a machine."""
    return max(1, (os.cpu_count() or 1) // max(1, workers))


def _with_training_of(earlier: ResultRecord | None, record: ResultRecord) -> ResultRecord:
    """What the run's own record knows of its training: evaluating it again must not forget that."""
    if earlier is None:
        return record
    known = {name: getattr(earlier, name) for name in _TRAINING_FACTS}
    # The row stands for training and scoring, of which scoring alone may take a fraction of the memory.
    known["peak_memory_mb"] = max(filter(None, (earlier.peak_memory_mb, record.peak_memory_mb)), default=None)
    missing = msgspec.structs.replace(record.missing, train=earlier.missing.train)
    return msgspec.structs.replace(record, **known, missing=missing)


def _keep(record: ResultRecord, folder: Path, where: Places, registry: Registry) -> ResultRecord:
    write_atomically(folder / RECORD, dumps(record))
    path = write(record, record_path(where.leaderboards, record))
    leaderboard.write_all(where.leaderboards)
    registry.emit("record_written", {"folder": str(folder), "path": str(path)})
    say(f"record: {path}")
    return record

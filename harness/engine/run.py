"""A run from plan to record: prepare data and weights, execute the workers, write what came out."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness import places
from harness.data import Dataset
from harness.data.dataset import DataReport
from harness.engine import checkpoint
from harness.engine.execute import check_workers, execute, here
from harness.engine.loading import open_dataset, open_source
from harness.engine.probing import refuse_order
from harness.engine.progress import meters, say
from harness.engine.provenance import make_record
from harness.engine.shown import (
    refuse_leak,
    refuse_leak_of,
    training_clips,
    with_training_data,
    write_clips,
)
from harness.engine.training_data import check_sources
from harness.engine.worker import TRAINED_BACKBONE, Job, work
from harness.errors import HarnessError
from harness.models.assembly import sources_of
from harness.plan.run_plan import RunPlan, load_plan
from harness.plugins import Registry
from harness.results import leaderboard
from harness.results.atomic import write_atomically
from harness.results.digest import digest, sha256_file
from harness.results.record import ResultRecord
from harness.results.record_file import dumps, load, record_path, write
from harness.results.run_files import LOG, PLAN, RECORD

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
    return _keep(plan, make_record(plan, outcome, registry), folder, where, registry)


def evaluate(
    plan: RunPlan, registry: Registry, where: Places, model: Path, *, workers: int, trained_on: RunPlan | None
) -> ResultRecord:
    """Score a finished model under another plan (data set, protocol, post-processing)."""
    check_workers(workers)
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
        record = msgspec.structs.replace(record, recipe_digest=digest([record.recipe_digest, checksum]))
    return _keep(plan, _with_training_of(earlier, record), folder, where, registry)


def open_prepared(plan: RunPlan, registry: Registry) -> Dataset:
    """The plan's data set, its files made where it makes them itself."""
    dataset = open_dataset(plan, registry)
    for name, opened in [
        (plan.dataset, dataset),
        *((source.dataset, open_source(source, registry)) for source in plan.sources.values()),
    ]:
        if registry.find("datasets", name)[0].generated:
            with meters() as progress:
                opened.prepare(progress)
    return dataset


def prepared_plan(plan: RunPlan, dataset: Dataset, registry: Registry) -> RunPlan:
    """The plan as it is run, with the identity of its training data; refused where it tests on them."""
    refuse_leak(plan, dataset, training_clips(plan, dataset, registry))
    return with_training_data(plan, dataset, registry)


def refuse_start(plan: RunPlan, dataset: Dataset, registry: Registry) -> None:
    """Refuse to start from the model of a run folder that was trained on what is tested here."""
    folder = Path(plan.init_from).parent
    if plan.init_from and (folder / PLAN).exists():
        refuse_leak_of(folder, load_plan(folder / PLAN), plan, dataset, registry)


def check_run(plan: RunPlan, dataset: Dataset, registry: Registry) -> None:
    """:func:`check_splits` of all that a run reads."""
    selected_on = [plan.protocol.val] if plan.recipe.evaluation.selection == "val" else []
    trained_on = [plan.protocol.train] if plan.own_stages else []
    check_splits(plan, dataset, [*trained_on, *selected_on, plan.protocol.test])
    for name, stage in plan.recipe.stages.items():
        source, reads = plan.sources.get(name), sources_of(stage, registry)
        which = (source.dataset, source.split) if source else (plan.dataset, plan.protocol.train)
        opened = open_source(source, registry) if source else dataset
        check_sources(*which, opened, stage.loss["name"], reads, plan.recipe.data.auxiliary)
    for source in plan.sources.values():
        _checked(source.dataset, source.data_root, open_source(source, registry), [source.split])


def check_splits(plan: RunPlan, dataset: Dataset, splits: Sequence[str]) -> None:
    """Say what is missing before any work; a split without a single video is an error."""
    report = _checked(plan.dataset, plan.data_root, dataset, splits)
    gallery = report.splits[plan.protocol.test].clips
    if plan.protocol.n_gallery and gallery != plan.protocol.n_gallery:
        say(
            f"{plan.dataset}/{plan.protocol.name} has {plan.protocol.n_gallery} clips where it is complete, "
            f"these annotations name {gallery}: the row stands in a table of its own"
        )


def _checked(name: str, root: str, dataset: Dataset, splits: Sequence[str]) -> DataReport:
    report = dataset.check(splits)
    for split in splits:
        found = report.splits[split]
        if not found.found:
            raise HarnessError(
                f"no video of split '{split}' of '{name}' was found under {root}",
                "check --data-root; videos are matched by the stem of their file names, such as "
                f"{next(iter(found.missing), 'NAME')}.mp4, anywhere below it",
            )
        if found.missing:
            names = ", ".join(found.missing[:3])
            more = ", ..." if len(found.missing) > 3 else ""
            say(f"{name}/{split}: {len(found.missing)} videos missing ({names}{more})")
    for note in report.notes:
        say(f"{name}: {note}")
    return report


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


def record_in(folder: Path, plan: RunPlan) -> ResultRecord | None:
    """The record in a run folder, if it is of this plan."""
    path = folder / RECORD
    record = load(path) if path.exists() else None
    return record if record and record.plan_digest == plan.digest else None


@contextmanager
def run_folder(plan: RunPlan, runs: Path, resume: bool) -> Iterator[Path]:
    """The run's folder with its plan, emptied unless the run is resumed."""
    folder = runs.resolve() / plan.name
    with locked(folder) if resume else fresh_folder(folder):
        write_atomically(folder / PLAN, plan.to_json().decode() + "\n")
        yield folder


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for the length of the work that fills it.

    Work that ends before its first step (refused, interrupted) leaves everything as it was, an
    earlier run in the same place too.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        with locked(folder), _emptied(folder):
            yield folder
    finally:
        if not folder.exists():
            with suppress(OSError):  # another run may have come into it
                for parent in made:
                    parent.rmdir()


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    aside = folder.with_name(f".{folder.name}.before")
    if aside.exists() and not (folder / LOG).exists():  # a run was killed before its first step
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    folder.mkdir()
    try:
        yield
    except BaseException:
        if not (folder / LOG).exists():
            shutil.rmtree(folder)
            if aside.exists():
                aside.rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def is_busy(folder: Path) -> bool:
    """Whether a process is working in a run folder just now."""
    try:
        with _lock_of(folder).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else works in the folder meanwhile; a lock ends with its process, however that ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(folder)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HarnessError(
                f"another process is working in {folder}", "wait for it, or give this one other --runs"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def decode_threads(workers: int) -> int:
    """Cores for decoding, shared by the workers of a machine."""
    return max(1, (os.cpu_count() or 1) // max(1, workers))


def _with_training_of(earlier: ResultRecord | None, record: ResultRecord) -> ResultRecord:
    """What the run's own record knows of its training: evaluating it again must not forget that."""
    if earlier is None:
        return record
    known = {name: getattr(earlier, name) for name in _TRAINING_FACTS}
    missing = msgspec.structs.replace(record.missing, train=earlier.missing.train)
    return msgspec.structs.replace(record, **known, missing=missing)


def _keep(
    plan: RunPlan, record: ResultRecord, folder: Path, where: Places, registry: Registry
) -> ResultRecord:
    write_atomically(folder / RECORD, dumps(record))
    path = write(record, record_path(where.leaderboards, record))
    leaderboard.write_all(where.leaderboards)
    registry.emit("record_written", {"folder": str(folder), "path": str(path)})
    say(f"record: {path}")
    return record

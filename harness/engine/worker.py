"""The one function that every worker of a run executes, in the process or under Ray.

It gets plain values, rebuilds the plugins by name, trains, evaluates, and returns plain values.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from harness.data import Dataset
from harness.engine import checkpoint
from harness.engine.inputs import Batches, Sample
from harness.engine.length import effective_batch
from harness.engine.loading import (
    finished_model,
    initial_model,
    make_batches,
    new_model,
    open_dataset,
    open_source,
)
from harness.engine.probing import probe
from harness.engine.progress import say
from harness.engine.randomness import key
from harness.engine.task import Evaluation, Task
from harness.engine.train import Trainer
from harness.engine.training_data import TrainingData, training_data
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel, make, sources_of
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry, registry
from harness.results.atomic import write_atomically
from harness.results.digest import sha256_file
from harness.results.record import Example, Metrics, Probe, ProbeName, Protocol, Queries
from harness.results.retrieved import RETRIEVED, dumps
from harness.results.run_files import LOG

TRAINED_BACKBONE = "backbone.safetensors"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is sent. ``weights`` are pre-trained backbone weights, ``model`` a finished
    model to evaluate instead of training; ``pretraining`` says where its backbone came from if the
    plan cannot know; ``evaluate`` is False for a pre-training run; with ``probes`` the model is scored on
    frames out of order too. Observers hear nothing of a job that is not ``observed``: its folder is none of
    the user's runs."""

    plan: RunPlan
    folder: str
    weights: str = ""
    model: str = ""
    pretraining: str = ""
    evaluate: bool = True
    probes: bool = False
    observed: bool = True
    checkpoint_every: int = 0
    micro_batch: int = 0
    decode_threads: int = 2


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What training leaves behind for the record: of the last stage on the run's own data set, or
    of the last stage where none is; ``unusable`` clips of other data sets stand as ``NAME:id``.
    ``seen`` are the samples in the batches of all stages, again in each epoch."""

    samples: int
    seen: int
    batch_size: int
    seconds: float
    worker_seconds: float
    unusable: dict[str, str]
    checkpoint_sha256: str
    selected_epoch: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the first worker returns; the record is made of it."""

    metrics: Metrics
    queries: Queries | None
    evidence: dict[str, str]
    examples: tuple[Example, ...]
    protocol: Protocol
    missing: dict[str, str]
    training: Training | None
    backbone: str
    pretraining: str
    parameters: int
    resolution: int
    peak_memory_mb: float
    world_size: int
    device: str
    threads: int  # of torch, in this worker: another number adds up in another order
    foreign: bool  # a finished model from somewhere else
    probes: dict[ProbeName, Probe] = {}


def work(job: Job, workers: Workers) -> Outcome | None:
    """Train and evaluate as this worker's part of the run; an outcome on the first worker only."""
    plan, components = job.plan, registry()
    _check_versions(plan, components)
    torch.manual_seed(key(plan.seed, "initial weights"))
    weights = Path(job.weights) if job.weights else None
    if job.model:
        model = finished_model(Path(job.model), plan.recipe, components, workers.device)
    elif plan.init_from:
        model = initial_model(Path(plan.init_from), plan.recipe, components, workers.device)
    else:
        model = new_model(plan.recipe, components, workers.device, weights)
    dataset = open_dataset(plan, components)
    batches = make_batches(plan, model, job.decode_threads)
    evaluation = Evaluation(plan, model, dataset, batches, workers, components)
    training = None
    if not job.model:
        training = _train(job, workers, components, model, dataset, batches, evaluation)
    if not job.evaluate:
        return None
    task = _task(plan, components)
    result = task.evaluate(evaluation)
    if result is None and workers.first:
        raise HarnessError(
            f"the task '{plan.task}' returned nothing on the first worker",
            "its evaluate() has to return a TaskResult there, and None on the others",
        )
    peak_memory_mb = max(workers.gather_objects(_peak_memory_mb(workers)))
    probes = probe(task, evaluation, result, job.decode_threads) if job.probes else {}
    if result is None:
        return None
    for note in result.notes:
        say(f"{plan.task}: {note}")
    if result.retrieved is not None:  # large beside a record, so it is not sent
        write_atomically(Path(job.folder) / RETRIEVED, dumps(result.retrieved))
    _tell(job, components, "evaluated", plan=plan, metrics=result.metrics)
    return Outcome(
        metrics=result.metrics,
        queries=result.queries,
        evidence=result.evidence,
        examples=result.examples,
        protocol=result.protocol,
        missing=result.missing,
        training=training,
        backbone=model.backbone.name,
        pretraining=job.pretraining or _pretraining(plan, model),
        parameters=sum(p.numel() for p in model.parameters()),
        resolution=batches.frames.size,
        peak_memory_mb=peak_memory_mb,
        world_size=workers.world,
        device=_device_name(workers.device),
        threads=torch.get_num_threads(),
        foreign=bool(job.model),
        probes=probes,
    )


def _train(
    job: Job,
    workers: Workers,
    components: Registry,
    model: VideoTextModel,
    dataset: Dataset,
    batches: Batches,
    evaluation: Evaluation,
) -> Training | None:
    plan, folder = job.plan, Path(job.folder)
    found: dict[str, TrainingData] = {}
    for name, stage in plan.recipe.stages.items():
        source = plan.sources.get(name)
        which = (source.dataset, source.split) if source else (plan.dataset, plan.protocol.train)
        reads = sources_of(stage, components)
        same = next(
            (
                other
                for other in found
                if plan.sources.get(other) == source
                and sources_of(plan.recipe.stages[other], components) == reads
            ),
            None,
        )
        if same is None:
            opened = open_source(source, components) if source else dataset
            found[name] = training_data(
                *which, opened, plan.recipe.data, plan.fraction(name), reads, batches, workers
            )
        else:  # nothing is read twice
            found[name] = found[same]
        if workers.first:
            batch = effective_batch(stage, len(found[name].samples), workers.world)
            _announce(plan, name, which[0], found[name].samples, found[name].unusable, batch)
    log = _Log(job, components)
    trainer = Trainer(
        model=model,
        recipe=plan.recipe,
        samples={name: data.samples for name, data in found.items()},
        counted_on={name: data.of for name, data in found.items()},
        micro_batch=job.micro_batch,
        batches=batches,
        workers=workers,
        registry=components,
        seed=plan.seed,
        folder=folder,
        checkpoint_every=job.checkpoint_every,
        on_start=log.start,
        on_step=log.step,
        judge=_judge(evaluation, components) if job.evaluate else None,
    )
    progress = trainer.run()
    if workers.first:
        checkpoint.save_model(folder, model)
        if not job.evaluate:
            checkpoint.save_tensors(folder / TRAINED_BACKBONE, model.backbone.weights())
    workers.barrier()
    if not plan.recipe.stages:
        return None
    last = next(reversed(plan.own_stages or tuple(plan.recipe.stages)))
    lost = {name: {**data.unusable, **progress.damaged.get(name, {})} for name, data in found.items()}
    return Training(
        samples=sum(sample.clip.id not in lost[last] for sample in found[last].samples),
        seen=progress.seen,
        batch_size=effective_batch(plan.recipe.stages[last], len(found[last].samples), workers.world),
        seconds=progress.seconds,
        worker_seconds=progress.worker_seconds,
        unusable={
            f"{plan.sources[name].dataset}:{clip}" if name in plan.sources else clip: reason
            for name, clips in lost.items()
            for clip, reason in clips.items()
        },
        checkpoint_sha256=sha256_file(folder / checkpoint.MODEL) if workers.first else "",
        selected_epoch=progress.best_epoch or None,
    )


def _task(plan: RunPlan, components: Registry) -> Task:
    return make(plan.recipe.evaluation.task | {"name": plan.task}, "tasks", components)


def _judge(evaluation: Evaluation, components: Registry) -> Callable[[], float | None] | None:
    """How an epoch is scored, where the recipe does not take the last one."""
    selection, plan = evaluation.plan.recipe.evaluation.selection, evaluation.plan
    if selection == "last":
        return None
    split = plan.protocol.val if selection == "val" else plan.protocol.test
    protocol = msgspec.structs.replace(plan.protocol, test=split)
    on = replace(evaluation, plan=msgspec.structs.replace(plan, protocol=protocol))

    def judge() -> float | None:
        result = _task(plan, components).evaluate(on)
        return None if result is None else result.score

    return judge


def _pretraining(plan: RunPlan, model: VideoTextModel) -> str:
    """Where the weights came from before the run's own data set; those that the backbone's own
    recipe made are called after that."""
    if plan.init_from:
        first = f"init:{Path(plan.init_from).name}"
    else:
        first = plan.pretraining.name if plan.pretraining else model.backbone.pretraining
    later = dict.fromkeys(source.shown for source in plan.sources.values())
    return " + ".join([first, *later])


def _announce(
    plan: RunPlan, stage: str, dataset: str, usable: Sequence[Sample], unusable: dict[str, str], batch: int
) -> None:
    which = f"{plan.method} on {dataset}" + (f", stage {stage}" if len(plan.recipe.stages) > 1 else "")
    say(f"{which}: {len(usable)} training samples, global batch {batch}, seed {plan.seed}")
    if unusable:
        shown = ", ".join(f"{name} ({reason})" for name, reason in list(unusable.items())[:3])
        say(f"skipping {len(unusable)} training clips: {shown}{', ...' if len(unusable) > 3 else ''}")


@dataclass
class _Log:
    """The log of a training, a line for each step, and what observers hear of it; the first worker's."""

    job: Job
    components: Registry
    steps: int = 0

    def start(self, steps: int) -> None:
        """Drop what the log says of steps after the checkpoint: they are done, and logged, again."""
        log, plan, self.steps = Path(self.job.folder) / LOG, self.job.plan, steps
        if log.exists():
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            write_atomically(log, "".join(lines[:steps]))
        _tell(self.job, self.components, "run_started", plan=plan, seed=plan.seed, steps=steps)

    def step(self, event: dict[str, Any]) -> None:
        with (Path(self.job.folder) / LOG).open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self.steps += 1
        _tell(self.job, self.components, "step", steps=self.steps, **event)


def _tell(job: Job, components: Registry, event: str, **payload: Any) -> None:
    """Tell the observers."""
    if job.observed:
        components.emit(event, {"folder": job.folder, **msgspec.json.decode(msgspec.json.encode(payload))})


def _check_versions(plan: RunPlan, components: Registry) -> None:
    """A worker on another machine has to have the plugins that the plan was made with."""
    here = {p.key: p.version for p in components.plugins if p.status == "ok"}
    for name, version in plan.versions.items():
        if name != "harness" and here.get(name) != version:
            raise HarnessError(
                f"the plan needs {name} {version}, this worker has {here.get(name, 'none')}",
                "install the same plugins on every machine",
            )


def _peak_memory_mb(workers: Workers) -> float:
    """This worker's peak: device memory where it has one, else the process's."""
    if workers.device.type == "cuda":
        mine = torch.cuda.max_memory_allocated(workers.device) / 2**20
    else:
        mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return round(mine, 1)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return platform.processor() or platform.machine()

"""The record of a run: its outcome, and everything needed to believe it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import harness
from harness.engine.worker import Outcome
from harness.plan.budget import shown
from harness.plan.packaged import own_recipe_digest
from harness.plan.recipe import describe_component
from harness.plan.run_plan import RunPlan, part_of
from harness.plugins import Registry
from harness.results.digest import recipe_digest
from harness.results.record import Missing, MissingClip, ResultRecord, TrainCount
from harness.results.resampling import resampled


def make_record(
    plan: RunPlan,
    outcome: Outcome,
    registry: Registry,
    *,
    trained_on: RunPlan | None = None,
    checkpoint_sha256: str | None = None,
) -> ResultRecord:
    """Describe a run. ``trained_on`` is the plan that an evaluated checkpoint was trained by."""
    recipe, training = plan.recipe, outcome.training
    source = trained_on or plan
    # Nobody knows what a file was trained on that was made elsewhere, and is not trained here.
    elsewhere = bool(plan.init_from) and not plan.own_stages
    foreign = trained_on is None and (outcome.foreign or elsewhere)
    last = next((source.recipe.stages[name] for name in reversed(source.own_stages)), None)
    seconds = training.seconds if training else None
    commit, dirty = _commit()
    on_gpu = seconds is not None and outcome.device not in ("", platform.processor(), platform.machine())
    return ResultRecord(
        method=plan.method,
        variant=source.recipe.variant,
        dataset=plan.dataset,
        task=plan.task,
        note=source.recipe.note,
        protocol=outcome.protocol,
        postprocess=describe_component(recipe.evaluation.postprocess, "postprocessors", registry),
        train_split="unknown" if foreign else train_split(plan, source),
        selection="unknown" if foreign else recipe.evaluation.selection,
        selected_epoch=training.selected_epoch if training else None,
        metrics=outcome.metrics,
        queries=outcome.queries,
        evidence=outcome.evidence,
        examples=outcome.examples,
        probes=outcome.probes,
        resampling=resampled(outcome.queries, "average") if outcome.queries else None,
        missing=Missing(
            train=_clips(training.unusable if training else {}),
            test=_clips(outcome.missing),
            policy=recipe.evaluation.missing if outcome.missing else "worst",
        ),
        train=TrainCount(samples=training.samples, skipped=len(training.unusable), seen=training.seen)
        if training
        else None,
        backbone=outcome.backbone,
        pretraining=outcome.pretraining,
        parameters=outcome.parameters,
        frames=recipe.data.frames,
        budget=shown(source.recipe.budget),
        resolution=outcome.resolution,
        text_length=recipe.data.text_length,
        batch_size=training.batch_size if training else last.batch_size if last and not foreign else None,
        world_size=outcome.world_size,
        train_seconds=round(seconds, 1) if seconds is not None else None,
        gpu_hours=round(training.worker_seconds / 3600, 3) if training and on_gpu else None,
        peak_memory_mb=outcome.peak_memory_mb,
        recipe_digest=recipe_digest(plan.digest, source.digest, outcome.protocol.ids_texts_hash),
        plan_digest=plan.digest,
        trained_digest=source.digest if source.digest != plan.digest else "",
        own_recipe_digest=own_recipe_digest(
            registry.find("methods", plan.method)[0], registry.find("datasets", plan.dataset)[0], plan.task
        ),
        seed=plan.seed,
        versions={
            **plan.versions,
            **{name: version(name) for name in ("torch", "open_clip_torch", "timm", "av")},
        },
        checkpoint_sha256=checkpoint_sha256 or (training.checkpoint_sha256 if training else None),
        commit=commit,
        dirty=dirty,
        environment={
            "device": outcome.device,
            "os": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "cores": str(os.cpu_count()),
            "threads": str(outcome.threads),
        },
        created=datetime.now(UTC).replace(microsecond=0).isoformat(),
    )


def train_split(plan: RunPlan, source: RunPlan) -> str:
    """The training split, with its data set where that is another one than the test's; ``none`` where
    the model was not trained on a data set of its own."""
    if source.own_stages:
        split = part_of(source.protocol.train, source.recipe.data.train_fraction)
    else:
        own = [s for s in source.sources.values() if s.dataset == source.dataset]
        if not own:
            return "none"
        split = part_of(own[0].split, own[0].fraction)
    return split if source.dataset == plan.dataset else f"{source.dataset}/{split}"


def _clips(reasons: dict[str, str]) -> tuple[MissingClip, ...]:
    return tuple(MissingClip(id=name, reason=reason) for name, reason in sorted(reasons.items()))


def _commit() -> tuple[str | None, bool]:
    """Commit of the harness's own source tree and whether it was changed; None for a wheel."""
    folder = Path(harness.__file__).parent.parent
    if not (folder / ".git").exists():
        return None, False
    try:
        asked = ["git", "-C", str(folder)]
        commit = subprocess.run(
            [*asked, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*asked, "status", "--porcelain", "--", "harness", "plugins"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None, False
    return commit, bool(changed.strip())

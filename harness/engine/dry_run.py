"""What a run would do and cost, without doing it: `harness run --dry-run`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.data import Clip, Dataset
from harness.data.reader import ClipReader
from harness.data.video import DamagedClip
from harness.engine.execute import here
from harness.engine.inputs import Batches
from harness.engine.loading import make_batches, open_dataset, open_source
from harness.engine.model_file import read_model
from harness.engine.progress import clock
from harness.engine.run import prepared_plan, pretrained_folder
from harness.engine.train import autocast
from harness.engine.worker import TRAINED_BACKBONE
from harness.listing import recipe_lines
from harness.models import VideoBatch
from harness.models.assembly import VideoTextModel, build_model
from harness.plan.plan import RunPlan, StageData
from harness.plan.recipe import Layers
from harness.plan.schema import Stage
from harness.plugins import Registry
from harness.results.table import markdown_table

#: Clips that are decoded, and samples that are trained on, to project the whole from.
TRIED_CLIPS, TRIED_SAMPLES = 4, 4


def preview(plan: RunPlan, layers: Layers, registry: Registry) -> str:
    """The resolved plan, the work that is left to do, its projected cost, and the row it makes."""
    dataset = open_dataset(plan, registry)
    plan = prepared_plan(plan, dataset, registry)
    model = build_model(plan.recipe, registry, load=False).to(here().device)
    held = read_model(Path(plan.init_from), registry) if plan.init_from else None
    if held:
        held.fill(model)  # what does not fit is said here already
    batches = make_batches(plan, model, os.cpu_count() or 1)
    lines = [f"{plan.name} (digest {plan.digest[:12]})", "", *recipe_lines(plan.recipe, layers), ""]
    if plan.init_from:
        lines.append(f"initial weights   {plan.init_from}: {'the whole model' if held else 'the backbone'}")
    if plan.pretraining:
        made = pretrained_folder(plan.pretraining) / TRAINED_BACKBONE
        state = "in the cache" if made.exists() else "to be made first"
        lines.append(f"backbone weights   {plan.pretraining.name}: {state}")
    work = _work(plan, dataset, registry)
    made = {plan.dataset, *(source.dataset for source in plan.sources.values())}
    generated = {name for name in made if registry.find("datasets", name)[0].generated}
    if any(p.dataset in generated and clip.path is None for p in work for clip in p.clips):
        lines.append(f"data               to be generated in {plan.data_root}; the rest is known after that")
        return "\n".join(lines)
    for part in work:
        reader = (batches.train_frames if part.stages else batches.frames).reader
        # Without a cache every clip is decoded once to find damage, and again whenever it is used.
        uses = sum(plan.recipe.stages[name].epochs for name in part.stages) or 1
        lines += _decoding(part.shown, part.clips, reader, passes=1 if plan.use_cache else 1 + uses)
    samples = {name: part.samples for part in work for name in part.stages}
    lines += _training(plan, model, batches, samples)
    lines += ["", "the row that would be written:", "", _row(plan, model, batches, dataset)]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Part:
    """A split that a run reads, and the stages that train on it (none: the test split)."""

    shown: str
    dataset: str
    clips: Sequence[Clip]
    stages: tuple[str, ...] = ()
    samples: int = 0


def _work(plan: RunPlan, dataset: Dataset, registry: Registry) -> list[_Part]:
    """What a run reads, each split once."""
    stages_of: list[tuple[StageData | None, list[str]]] = []
    for name in plan.recipe.stages:
        source = plan.sources.get(name)
        same = next((names for other, names in stages_of if other == source), None)
        if same is None:
            stages_of.append((source, [name]))
        else:
            same.append(name)
    parts = []
    for source, stages in stages_of:
        opened = open_source(source, registry) if source else dataset
        split = source.split if source else plan.protocol.train
        shown, name = (f"{source.dataset}/{split}", source.dataset) if source else ("train", plan.dataset)
        samples = _samples(opened, split, plan.recipe.data.captions)
        parts.append(_Part(shown, name, opened.clips(split), tuple(stages), samples))
    return [*parts, _Part("test", plan.dataset, dataset.clips(plan.protocol.test))]


def _decoding(name: str, clips: Sequence[Clip], reader: ClipReader, passes: int) -> list[str]:
    present = [clip for clip in clips if clip.path is not None]
    status = reader.status(present)
    line = f"{name + ' clips':<18} {len(clips)}, missing {len(clips) - len(present)}, cache hits {status.hits}, to decode {len(status.misses)}"
    if not status.misses:
        return [line]
    each = _decode_seconds(status.misses[:TRIED_CLIPS], reader)
    seconds = passes * each * len(status.misses) / (os.cpu_count() or 1)
    if reader.cache is not None:
        disk = f", {status.projected_bytes / 2**20:.0f} MB on disk"
    else:
        disk = f" in {passes} passes, kept nowhere (--no-cache)"
    return [line, f"{'':<18} about {clock(seconds)} of decoding{disk}"]


def _decode_seconds(clips: Sequence[Clip], reader: ClipReader) -> float:
    began = time.perf_counter()
    for clip in clips:
        try:
            reader.read(clip)
        except DamagedClip:
            continue  # it takes no less time to find out
    return (time.perf_counter() - began) / len(clips)


def _samples(dataset: Dataset, split: str, mode: str) -> int:
    present = {clip.id for clip in dataset.clips(split) if clip.path is not None}
    described = [c.clip_id for c in dataset.captions(split) if c.clip_id in present]
    return len(described) if mode == "each" else len(set(described))


def _training(plan: RunPlan, model: VideoTextModel, batches: Batches, samples: dict[str, int]) -> list[str]:
    lines, device = [], here().device
    for name, stage in plan.recipe.stages.items():
        batch = max(1, min(stage.batch_size, samples[name]))
        steps = samples[name] // batch * stage.epochs
        seconds = _step_seconds(plan, stage, model, batches) * batch / TRIED_SAMPLES * steps
        lines.append(
            f"{'stage ' + name:<18} {samples[name]} samples, {steps} steps of {batch}, about {clock(seconds)} on one {device.type}"
        )
    return lines


def _step_seconds(plan: RunPlan, stage: Stage, model: VideoTextModel, batches: Batches) -> float:
    """Seconds of a forward and backward pass over a few made-up clips, the second of two."""
    device, size, frames = here().device, batches.frames.size, plan.recipe.data.frames
    video = VideoBatch(
        ids=tuple(map(str, range(TRIED_SAMPLES))),
        frames=torch.zeros(TRIED_SAMPLES, frames, 3, size, size, dtype=torch.uint8),
        mask=torch.ones(TRIED_SAMPLES, frames, dtype=torch.bool),
        times=torch.zeros(TRIED_SAMPLES, frames),
    ).to(device)
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        with autocast(device, stage.precision):
            features = model.encode(video)
        features.tokens.float().square().sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return seconds


def _row(plan: RunPlan, model: VideoTextModel, batches: Batches, dataset: Dataset) -> str:
    test = plan.protocol.test
    clips, captions = dataset.clips(test), dataset.captions(test)
    facts = {
        "method": plan.method,
        "table": f"{plan.dataset}/{plan.protocol.name}, {len(captions)} queries x {len(clips)} clips, post-processing {plan.recipe.evaluation.postprocess['name']}",
        "train split": plan.protocol.train if plan.own_stages else "none",
        "backbone": model.backbone.name,
        "frames": plan.recipe.data.frames,
        "pixels": batches.frames.size,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "seed": plan.seed,
        "missing test clips": sum(clip.path is None for clip in clips),
    }
    return markdown_table(["column", "value"], [[name, str(value)] for name, value in facts.items()])

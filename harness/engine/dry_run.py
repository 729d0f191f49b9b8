"""What a run would do and cost, without doing it: `harness run --dry-run`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from harness.data import Clip, Dataset
from harness.data.reader import ClipReader
from harness.data.video import DamagedClip
from harness.engine.execute import here
from harness.engine.inputs import Batches
from harness.engine.length import Seconds, Steps, lengths
from harness.engine.loading import make_batches, open_dataset, open_source
from harness.engine.model_file import read_model
from harness.engine.progress import clock
from harness.engine.provenance import train_split
from harness.engine.run import pretrained_folder
from harness.engine.run_data import prepared_plan
from harness.engine.score import block_rows, tile_side
from harness.engine.train import autocast
from harness.engine.training_data import check_sources, share_of, stage_texts
from harness.engine.worker import TRAINED_BACKBONE
from harness.listing import recipe_lines
from harness.models import Features, VideoBatch
from harness.models.assembly import VideoTextModel, build_model, sources_of
from harness.plan.recipe import Layers
from harness.plan.run_plan import RunPlan, StageData
from harness.plan.schema import Stage
from harness.plugins import Registry
from harness.results.table import markdown_table

#: Clips that are decoded, samples that are trained on, and texts and clips that are scored pair by pair,
#: to project the whole from.
TRIED_CLIPS, TRIED_SAMPLES, TRIED_PAIR_SIDE = 4, 4, 8


def preview(plan: RunPlan, layers: Layers, registry: Registry, workers: int) -> str:
    """The resolved plan, the work that is left to do, its projected cost, and the row it makes.

    ``workers`` (0: this process alone) share the scoring of pairs.
    """
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
        lines.append(f"backbone weights  {plan.pretraining.name}: {state}")
    work = _work(plan, dataset, registry)
    made = {plan.dataset, *(source.dataset for source in plan.sources.values())}
    generated = {name for name in made if registry.find("datasets", name)[0].generated}
    if any(p.dataset in generated and clip.path is None for p in work for clip in p.clips):
        lines.append(f"data              to be generated in {plan.data_root}; the rest is known after that")
        return "\n".join(lines)
    for part in work:
        # Without a cache every clip is decoded once to find damage, and again whenever it is used.
        uses = sum(plan.recipe.stages[name].epochs for name in part.stages) or 1
        passes = 1 if plan.use_cache else 1 + uses
        if not part.stages:
            lines += _decoding(f"{part.shown} clips", part.clips, batches.frames.reader, passes)
            continue
        reads = {s for name in part.stages for s in sources_of(plan.recipe.stages[name], registry)}
        for source, frames in batches.readers(sorted(reads, reverse=True)).items():
            what = "clips" if source == "video" else "middles"
            lines += _decoding(f"{part.shown} {what}", part.clips, frames.reader, passes)
    samples = {name: count for part in work for name, count in part.stages.items()}
    lines += _training(plan, model, batches, samples)
    if "score" in registry.find("tasks", plan.task)[0].needs:
        lines += _scoring(plan, model, batches, dataset, max(1, workers))
    lines += ["", "the row that would be written:", "", _row(plan, model, batches, dataset)]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Part:
    """A split that a run reads, and the stages that train on it, each with its samples (none: the test
    split). ``clips`` may be a share of the split's."""

    shown: str
    dataset: str
    clips: Sequence[Clip]
    stages: Mapping[str, _Samples] = field(default_factory=dict)


class _Samples(NamedTuple):
    """How many samples a stage trains on, and how many its steps are counted on; damage is not known yet."""

    own: int
    counted_on: int


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
        clips = share_of(opened.clips(split), plan.fraction(stages[0]))
        counts = {stage: _samples(plan, stage, (name, split), opened, clips, registry) for stage in stages}
        parts.append(_Part(shown, name, clips, counts))
    return [*parts, _Part("test", plan.dataset, dataset.clips(plan.protocol.test))]


def _label(text: str) -> str:
    """The first column of the plan's lines."""
    return f"{text:<17} "


def _decoding(name: str, clips: Sequence[Clip], reader: ClipReader, passes: int) -> list[str]:
    present = [clip for clip in clips if clip.path is not None]
    status = reader.status(present)
    line = f"{_label(name)}{len(clips)}, missing {len(clips) - len(present)}, cache hits {status.hits}, to decode {len(status.misses)}"
    if not status.misses:
        return [line]
    each = _decode_seconds(status.misses[:TRIED_CLIPS], reader)
    seconds = passes * each * len(status.misses) / (os.cpu_count() or 1)
    if reader.cache is not None:
        disk = f", {status.projected_bytes / 2**20:.0f} MB on disk"
    else:
        disk = f" in {passes} passes, kept nowhere (--no-cache)"
    return [line, f"{_label('')}about {clock(seconds)} of decoding{disk}"]


def _decode_seconds(clips: Sequence[Clip], reader: ClipReader) -> float:
    began = time.perf_counter()
    for clip in clips:
        try:
            reader.read(clip)
        except DamagedClip:
            continue  # it takes no less time to find out
    return (time.perf_counter() - began) / len(clips)


def _samples(
    plan: RunPlan,
    name: str,
    which: tuple[str, str],
    dataset: Dataset,
    clips: Sequence[Clip],
    registry: Registry,
) -> _Samples:
    """Of stage ``name``, which trains on ``clips`` of the data set and split of that name."""
    data, stage = plan.recipe.data, plan.recipe.stages[name]
    reads = sources_of(stage, registry)
    check_sources(*which, dataset, stage.loss["name"], reads, data.auxiliary)
    texts = stage_texts(dataset, which[1], reads, data.auxiliary)
    own, counted_on = (
        len(texts.samples(some, data.captions, texts.lacking)) for some in (clips, dataset.clips(which[1]))
    )
    return _Samples(own, counted_on)


def _training(
    plan: RunPlan, model: VideoTextModel, batches: Batches, samples: Mapping[str, _Samples]
) -> list[str]:
    lines, device = [], here().device
    own = {name: count.own for name, count in samples.items()}
    counted_on = {name: count.counted_on for name, count in samples.items()}
    length_of = lengths(plan.recipe, own, counted_on, 1) if all(own.values()) else {}
    for name, stage in plan.recipe.stages.items():
        batch = max(1, min(stage.batch_size, own[name]))
        length, shown = length_of.get(name, Steps(0)), f"{own[name]} samples"
        if isinstance(length, Seconds):
            whole = clock(length.ends - length.begins)
            lines.append(f"{_label('stage ' + name)}{shown}, steps of {batch} for {whole}")
            continue
        steps = length.left(0)
        seconds = _step_seconds(plan, stage, model, batches) * batch / TRIED_SAMPLES * steps
        lines.append(
            f"{_label('stage ' + name)}{shown}, {steps} steps of {batch}, about {clock(seconds)} on one {device.type}"
        )
    return lines


def _step_seconds(plan: RunPlan, stage: Stage, model: VideoTextModel, batches: Batches) -> float:
    """Seconds of a forward and backward pass over a few made-up clips, the second of two."""
    device, video = here().device, _made_up(plan, batches, TRIED_SAMPLES)
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


def _made_up(plan: RunPlan, batches: Batches, count: int) -> VideoBatch:
    """Black clips on the device, as many and as large as the recipe's."""
    size, frames = batches.frames.size, plan.recipe.data.frames
    return VideoBatch(
        ids=tuple(map(str, range(count))),
        frames=torch.zeros(count, frames, 3, size, size, dtype=torch.uint8),
        mask=torch.ones(count, frames, dtype=torch.bool),
        times=torch.zeros(count, frames),
    ).to(here().device)


def _scoring(
    plan: RunPlan, model: VideoTextModel, batches: Batches, dataset: Dataset, workers: int
) -> list[str]:
    test = plan.protocol.test
    captions, clips = dataset.captions(test), [c for c in dataset.clips(test) if c.path is not None]
    if not captions or not clips:
        return []
    counts = len(captions), len(clips)
    model.eval()
    with torch.inference_mode():
        text = model.encode(batches.texts(captions[:1]).to(here().device))
        clip = model.encode(_made_up(plan, batches, 1))
        seconds = _score_seconds(model, text, clip, counts, plan.recipe.evaluation.tile_memory_mb)
    # The first worker alone multiplies cached vectors; pairs are shared.
    shared = workers if model.temporal.pairwise else 1
    kind = here().device.type
    where = f"one {kind}" if shared == 1 else f"{shared} workers, each on one {kind}"
    return [f"{'scoring':<18}{counts[0]} x {counts[1]} pairs, about {clock(seconds / shared)} on {where}"]


def _score_seconds(
    model: VideoTextModel, text: Features, clip: Features, counts: tuple[int, int], budget_mb: int
) -> float:
    """Seconds for all scores on one device, from the second of two equal pieces of them.

    ``text`` and ``clip`` are one each, taken as often as they are needed: what they hold costs nothing.
    """
    texts, clips = (_repeated(one, count) for one, count in zip((text, clip), counts, strict=True))
    if model.temporal.pairwise:
        side = min(TRIED_PAIR_SIDE, tile_side(texts, clips, budget_mb))
        texts, clips = texts[:side], clips[:side]
    else:
        texts = texts[: block_rows(texts, clips, budget_mb)]
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        model.score(texts, clips).double().cpu()
        seconds = time.perf_counter() - began
    return seconds * math.prod(counts) / (len(texts) * len(clips))


def _repeated(one: Features, count: int) -> Features:
    return one.map(lambda tensor: tensor.expand(count, *tensor.shape[1:]))


def _row(plan: RunPlan, model: VideoTextModel, batches: Batches, dataset: Dataset) -> str:
    test = plan.protocol.test
    clips, unit = dataset.clips(test), plan.protocol.query_unit
    asked = {"question": dataset.questions, "clip": dataset.clips}.get(unit, dataset.captions)(test)
    facts = {
        "method": plan.method,
        "table": f"{plan.dataset}/{plan.protocol.name}, {len(asked)} {unit}s x {len(clips)} clips, post-processing {plan.recipe.evaluation.postprocess['name']}",
        "train split": train_split(plan, plan),
        "backbone": model.backbone.name,
        "frames": plan.recipe.data.frames,
        "pixels": batches.frames.size,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "seed": plan.seed,
        "missing test clips": sum(clip.path is None for clip in clips),
    }
    return markdown_table(["column", "value"], [[name, str(value)] for name, value in facts.items()])

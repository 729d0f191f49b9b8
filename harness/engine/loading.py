"""Open what a plan names: its data set, its model, and the readers that turn clips into batches."""

from __future__ import annotations

from pathlib import Path

import torch

from harness import places
from harness.data import Dataset
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.engine.inputs import Batches, Frames
from harness.engine.model_file import read_model
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel, build_model
from harness.models.backbone import Preprocess
from harness.plan.opening import dataset_at
from harness.plan.run_plan import RunPlan, StageData
from harness.plan.schema import Recipe
from harness.plugins import Registry


def open_dataset(plan: RunPlan, components: Registry) -> Dataset:
    """The data set of a plan; reads annotation files, decodes nothing."""
    return dataset_at(Path(plan.data_root), plan.dataset, plan.recipe.data.options, components)


def open_source(source: StageData, components: Registry) -> Dataset:
    """The data set of a stage that does not train on the run's own."""
    return dataset_at(Path(source.data_root), source.dataset, source.options, components)


def new_model(
    recipe: Recipe,
    components: Registry,
    device: torch.device,
    weights: Path | None = None,
    load: bool = True,
) -> VideoTextModel:
    """As :func:`build_model`, on a device, and in the number types that the stages train it in."""
    model = build_model(recipe, components, weights, load)
    wanted = {stage.precision for stage in recipe.stages.values()}
    if "reference_fp16" in wanted:
        if len(wanted) > 1:
            raise HarnessError(
                f"train.precision reference_fp16 holds weights in half precision, and another stage wants "
                f"{', '.join(sorted(wanted - {'reference_fp16'}))}",
                "give all stages one precision: --set train.precision=...",
            )
        model.backbone.hold_in_half()
        model.temporal.hold_in_half()
    elif "fp64" in wanted:
        model.double()
    return model.to(device)


def finished_model(file: Path, recipe: Recipe, components: Registry, device: torch.device) -> VideoTextModel:
    """The model that ``file`` holds, as it was trained; the file may be of any known format."""
    held = read_model(file, components)
    if held is None:
        raise HarnessError(
            f"{file} holds no whole model: its tensors are named neither as here nor as in {_formats(components)}",
            "if it is a backbone's, train or score what starts from it: `harness run --init-from FILE`",
        )
    model = new_model(recipe, components, device, load=False)
    held.fill(model)
    return model


def initial_model(file: Path, recipe: Recipe, components: Registry, device: torch.device) -> VideoTextModel:
    """The model that a run starts from where ``file`` is to fill it.

    The weights of a backbone alone go to the backbone, so that what the temporal module adds starts
    from them.
    """
    held = read_model(file, components)
    if held is None:
        return new_model(recipe, components, device, weights=file)
    model = new_model(recipe, components, device, load=False)
    held.fill(model)
    return model


def _formats(components: Registry) -> str:
    known = [spec.name for spec, _ in components.specs("checkpoint formats")]
    return f"the formats {', '.join(known)}" if known else "any installed format"


def make_batches(plan: RunPlan, model: VideoTextModel, threads: int) -> Batches:
    """The batches of a plan, with frames as its backbone wants them."""
    data, wanted = plan.recipe.data, model.backbone.preprocess
    _check_text_length(plan, model)
    padding = model.temporal.padding

    def frames(jittered: bool) -> Frames:
        reader = make_reader(plan, wanted, jittered, threads)
        return Frames(reader, data.frames, wanted.size, padding, jittered, data.frame_order)

    train = frames(True) if data.jitter else None
    middle = Frames(make_middle_reader(plan, wanted, threads), 1, wanted.size, padding="repeat")
    return Batches(frames(False), model.tokenizers, data.text_length, train, middle)


def make_middle_reader(plan: RunPlan, wanted: Preprocess, threads: int) -> ClipReader:
    """The reader of the middle frame of a plan's clips."""
    return _reader(plan, wanted, Sampling("middle", 1), threads)


def make_reader(plan: RunPlan, wanted: Preprocess, jittered: bool, threads: int) -> ClipReader:
    """The reader of a plan's clips; ``jittered`` gives the candidates of random training frames."""
    data = plan.recipe.data
    drawn = data.sampling == "strided"
    count = max(data.candidates, data.frames) if jittered and not drawn else data.frames
    rate = None if drawn or data.sampling == "uniform" else data.fps
    sampling = Sampling(data.sampling, count, rate, short="fewer", slice=data.slice, stride=data.stride)
    return _reader(plan, wanted, sampling, threads)


def _reader(plan: RunPlan, wanted: Preprocess, sampling: Sampling, threads: int) -> ClipReader:
    data = plan.recipe.data
    geometry = Geometry(wanted.size, data.fit or wanted.fit, wanted.interpolation, data.resize)
    cache = FrameCache(places.cache_root() / "frames") if plan.use_cache else None
    return ClipReader(sampling, geometry, cache, threads, data.storage)


def _check_text_length(plan: RunPlan, model: VideoTextModel) -> None:
    length = plan.recipe.data.text_length
    for tokenizer in model.tokenizers:
        if length > tokenizer.context:
            raise HarnessError(
                f"data.text_length is {length}, the tokenizer {tokenizer.name} takes {tokenizer.context}",
                f"--set data.text_length={tokenizer.context}",
            )

"""Open what a plan names: its data set, and the readers that turn clips into batches."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness import places
from harness.data import Dataset
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.engine.inputs import Batches, Frames
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel
from harness.models.backbone import Preprocess
from harness.plan.plan import RunPlan
from harness.plugins import Registry, load_factory


def open_dataset(plan: RunPlan, components: Registry) -> Dataset:
    """The data set of a plan; reads annotation files, decodes nothing."""
    spec, plugin = components.find("datasets", plan.dataset)
    options = msgspec.convert(plan.recipe.data.options, spec.options, strict=True)
    dataset = load_factory(spec.factory, plugin)(options, Path(plan.data_root))
    if not isinstance(dataset, Dataset):
        raise HarnessError(
            f"the factory {spec.factory} of plugin {plugin.label} returned a {type(dataset).__name__}",
            "it has to return a harness.data.Dataset",
        )
    return dataset


def make_batches(plan: RunPlan, model: VideoTextModel, threads: int) -> Batches:
    """The batches of a plan, with frames as its backbone wants them."""
    data, wanted = plan.recipe.data, model.backbone.preprocess
    _check_text_length(plan, model)
    padding = model.temporal.padding

    def frames(jittered: bool) -> Frames:
        return Frames(
            make_reader(plan, wanted, jittered, threads), data.frames, wanted.size, padding, jittered
        )

    train = frames(True) if data.jitter else None
    return Batches(frames(False), model.tokenizers, data.text_length, train)


def make_reader(plan: RunPlan, wanted: Preprocess, jittered: bool, threads: int) -> ClipReader:
    """The reader of a plan's clips; ``jittered`` gives the candidates of random training frames."""
    data = plan.recipe.data
    count = max(data.candidates, data.frames) if jittered else data.frames
    sampling = Sampling(data.sampling, count, data.fps if data.sampling == "fps" else None, short="fewer")
    geometry = Geometry(wanted.size, data.fit or wanted.fit, wanted.interpolation)
    cache = FrameCache(places.cache_root() / "frames") if plan.use_cache else None
    return ClipReader(sampling, geometry, cache, threads)


def _check_text_length(plan: RunPlan, model: VideoTextModel) -> None:
    length = plan.recipe.data.text_length
    for tokenizer in model.tokenizers:
        if length > tokenizer.context:
            raise HarnessError(
                f"data.text_length is {length}, the tokenizer {tokenizer.name} takes {tokenizer.context}",
                f"--set data.text_length={tokenizer.context}",
            )

"""Encode a test split once: a fixed list of batches, shared by index, put back by index.

The batches do not depend on the number of workers and nothing is padded or repeated to make the
shares even, so neither do the features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from harness.data import Caption, Clip
from harness.engine.inputs import Batches, prefetched
from harness.engine.progress import meter
from harness.engine.workers import Workers
from harness.models import Features, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel
from harness.models.batch import concatenate
from harness.plan.schema import Evaluation as Settings

Item = TypeVar("Item", Clip, Caption)


def encode_clips(
    model: VideoTextModel, clips: Sequence[Clip], batches: Batches, workers: Workers, settings: Settings
) -> tuple[Features | None, dict[str, str]]:
    """Features of the readable clips, on the first worker; and the unreadable ones, on all."""
    readable, unreadable = readable_clips(clips, batches, workers)
    return _encode("encoding clips", model, readable, batches.videos, workers, settings), unreadable


def readable_clips(
    clips: Sequence[Clip], batches: Batches, workers: Workers
) -> tuple[list[Clip], dict[str, str]]:
    """The clips that can be read, after reading each of them once, and why the others cannot."""
    unreadable = {clip.id: "not found" for clip in clips if clip.path is None}
    present = [clip for clip in clips if clip.path is not None]
    share = workers.share(len(present))
    for part in workers.gather_objects(_damaged(present[share.start : share.stop], batches, workers)):
        unreadable.update(part)
    return [clip for clip in present if clip.id not in unreadable], unreadable


def encode_texts(
    model: VideoTextModel, captions: Sequence[Caption], batches: Batches, workers: Workers, settings: Settings
) -> Features | None:
    """Features of the texts, on the first worker."""
    return _encode("encoding texts", model, captions, batches.texts, workers, settings)


def _damaged(clips: Sequence[Clip], batches: Batches, workers: Workers) -> dict[str, str]:
    """Read every clip once, which also fills the cache, and name those that cannot be decoded."""
    with meter("reading clips", len(clips), shown=workers.first and bool(clips)) as shown:
        return batches.frames.prepare(clips, shown)


def _encode(
    what: str,
    model: VideoTextModel,
    items: Sequence[Item],
    make_batch: Callable[[Sequence[Item]], VideoBatch | TextBatch],
    workers: Workers,
    settings: Settings,
) -> Features | None:
    groups = [
        items[start : start + settings.batch_size] for start in range(0, len(items), settings.batch_size)
    ]
    mine = range(workers.rank, len(groups), workers.world)
    jobs = [lambda group=groups[index]: make_batch(group) for index in mine]
    model.eval()
    encoded: dict[int, Features] = {}
    with torch.inference_mode(), meter(what, len(jobs), shown=workers.first and bool(jobs)) as shown:
        for index, batch in zip(mine, prefetched(jobs), strict=True):
            with precision(workers.device, settings.precision):
                features = model.encode(batch.to(workers.device))
            encoded[index] = features.map(lambda t: t.cpu())
            shown.update(len(encoded))
    parts = workers.gather_objects(encoded)
    if not workers.first or not groups:
        return None
    everything = {index: features for part in parts for index, features in part.items()}
    return concatenate([everything[index] for index in range(len(groups))])


def precision(device: torch.device, wanted: str):
    """The arithmetic of an evaluation: bf16 where that is ``wanted``, else the model's own."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted == "bf16")

"""Write texts about the clips of a test split: a memory for each clip, then all of its texts at once.

Batches are shared by index and put back by clip, as in :mod:`harness.engine.encode`. A memory is kept no
longer than its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from harness.data import Caption, Clip
from harness.engine.encode import precision, readable_clips
from harness.engine.inputs import Batches, prefetched
from harness.engine.progress import meter
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.models import Encoding, GenerativeModule
from harness.models.assembly import VideoTextModel
from harness.plan.schema import Evaluation as Settings

#: ``write(module, memory [B, K, W], prompt, width)``: the texts of ``B * width`` rows.
Write = Callable[[GenerativeModule, torch.Tensor, Encoding | None, int], Sequence[str]]


def write_texts(
    model: VideoTextModel,
    clips: Sequence[Clip],
    prompts: Mapping[str, Sequence[Caption]] | None,
    write: Write,
    batches: Batches,
    workers: Workers,
    settings: Settings,
) -> tuple[dict[str, list[str]] | None, dict[str, str]]:
    """The texts of each readable clip by its id, on the first worker, and why the others cannot be read.

    ``prompts`` holds what is asked about each clip, a text for each; None: one text without a prompt.
    """
    module = model.writer
    readable, unreadable = readable_clips(clips, batches, workers)
    if prompts is not None:
        readable = [clip for clip in readable if prompts.get(clip.id)]
    groups = [
        readable[start : start + settings.batch_size]
        for start in range(0, len(readable), settings.batch_size)
    ]
    mine = range(workers.rank, len(groups), workers.world)
    jobs = [lambda group=groups[index]: batches.videos(group) for index in mine]
    model.eval()
    written: dict[str, list[str]] = {}
    with torch.inference_mode(), meter("writing", len(jobs), shown=workers.first and bool(jobs)) as shown:
        for done, (index, batch) in enumerate(zip(mine, prefetched(jobs), strict=True), start=1):
            group = groups[index]
            with precision(workers.device, settings.precision):
                memory = model.encode(batch.to(workers.device), memory=True).memory
                assert memory is not None
                if not torch.isfinite(memory).all():
                    bad = next(c.id for c, row in zip(group, memory, strict=True) if not row.isfinite().all())
                    raise HarnessError(
                        f"the features of clip {bad} are not finite",
                        "look at that clip and at the last losses in the run's log",
                    )
                asked = [tuple(prompts[clip.id]) if prompts else (None,) for clip in group]
                width = max(map(len, asked))
                prompt = _prompt(module, batches, asked, width, workers.device) if prompts else None
                texts = write(module, memory, prompt, width)
            for row, (clip, own) in enumerate(zip(group, asked, strict=True)):
                written[clip.id] = list(texts[row * width : row * width + len(own)])
            shown.update(done)
    parts = workers.gather_objects(written)
    if not workers.first:
        return None, unreadable
    return {name: texts for part in parts for name, texts in part.items()}, unreadable


def _prompt(
    module: GenerativeModule,
    batches: Batches,
    asked: Sequence[Sequence[Caption | None]],
    width: int,
    device: torch.device,
) -> Encoding:
    """``width`` prompts for each clip, the last one again where there are fewer: one shape for all."""
    rows = [own[min(place, len(own) - 1)] for own in asked for place in range(width)]
    encoding = batches.texts([row for row in rows if row is not None]).encoding(module.writes.name)
    length = int(encoding.mask.sum(dim=1).max())
    return Encoding(encoding.tokens[:, :length].to(device), encoding.mask[:, :length].to(device))

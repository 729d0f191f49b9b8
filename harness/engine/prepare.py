"""Fill the frame cache ahead of a run: `harness data prepare`.

The readers are the run's own, so what is stored is what the run will look for, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import Clip, Dataset
from harness.data.cache import jpeg
from harness.data.reader import CacheStatus, ClipReader
from harness.data.video import DamagedClip
from harness.engine.loading import make_batches, open_source
from harness.engine.progress import meter, say
from harness.engine.run_data import check_run, open_prepared
from harness.engine.training_data import share_of
from harness.errors import HarnessError
from harness.models.assembly import build_model, sources_of
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results.table import markdown_table

#: What has to stay free beside the frames: file systems slow down, and other programs fail, when full.
MARGIN_SHARE, MARGIN_BYTES = 0.02, 200 * 10**6

#: Clips that are stored to see what the pictures of this data set take.
SAMPLED_CLIPS = 16

#: Names of clips that are shown of a longer list.
_SHOWN = 20


@dataclass(frozen=True)
class Part:
    """One split of a plan and the reader that the run uses for it. ``clips`` have a file."""

    split: str
    reader: ClipReader
    clips: tuple[Clip, ...]
    missing: tuple[str, ...]
    status: CacheStatus


@dataclass(frozen=True)
class Prepared:
    """What became of a split: clips stored before and now, and those that a run will be without."""

    split: str
    clips: int
    cached: int
    decoded: int
    missing: tuple[str, ...]
    damaged: Mapping[str, str]


def prepare(plan: RunPlan, registry: Registry, jobs: int) -> list[Prepared]:
    """Decodes what the cache lacks of a plan's training and test clips, with ``jobs`` processes.

    Frames that are there are held against their checksums; what was damaged on disk is decoded again.
    Raises ``HarnessError`` before decoding where the disk has too little space.
    """
    assert plan.use_cache, "only a run can do without the cache"
    dataset = open_prepared(plan, registry)
    check_run(plan, dataset, registry)
    parts = _parts(plan, dataset, registry)
    _check_space(parts, jobs)
    return [_fill(part, jobs) for part in parts]


def summary(done: Sequence[Prepared]) -> str:
    """A table of the splits, then the clips that a run will be without, by name."""
    headers = ["split", "clips", "cached before", "decoded", "damaged", "missing"]
    rows = [[p.split, p.clips + len(p.missing), p.cached, p.decoded, len(p.damaged), len(p.missing)] for p in done]  # fmt: skip
    lines = [markdown_table(headers, [list(map(str, row)) for row in rows])]
    for part in done:
        lost = {**dict.fromkeys(part.missing, "not found"), **part.damaged}
        lines += ["", f"{part.split}, without {len(lost)} clips:"] if lost else []
        lines += [f"  {name}: {reason}" for name, reason in list(lost.items())[:_SHOWN]]
        lines += [f"  and {len(lost) - _SHOWN} more; `harness data check` lists all"] if len(lost) > _SHOWN else []  # fmt: skip
    return "\n".join(lines)


def size_text(size: float) -> str:
    """Bytes as disks are sold: ``213.3 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _parts(plan: RunPlan, dataset: Dataset, registry: Registry) -> list[Part]:
    """All splits with what the cache holds of them; each kind of clip is counted once."""
    batches = make_batches(plan, build_model(plan.recipe, registry, load=False), 1)
    test = batches.frames.reader
    splits: dict[str, tuple[ClipReader, Sequence[Clip]]] = {}
    for name, stage in plan.recipe.stages.items():
        source = plan.sources.get(name)
        opened = open_source(source, registry) if source else dataset
        split = source.split if source else plan.protocol.train
        shown = f"{source.dataset}/{split}" if source else split
        for kind, frames in batches.readers(sources_of(stage, registry)).items():
            what = shown if kind == "video" else f"{shown}, middle frames"
            splits[what] = (frames.reader, share_of(opened.clips(split), plan.fraction(name)))
    splits[plan.protocol.test] = (test, dataset.clips(plan.protocol.test))
    parts = []
    for split, (reader, clips) in splits.items():
        present = tuple(clip for clip in clips if clip.path is not None)
        missing = tuple(clip.id for clip in clips if clip.path is None)
        with meter(f"checking {split} clips in the cache", len(present)) as shown:
            status = reader.status(present, lambda done, _total, shown=shown: shown.update(done), verify=True)
        parts.append(Part(split, reader, present, missing, status))
    return parts


def _check_space(parts: Sequence[Part], jobs: int) -> None:
    """Says what storing the frames takes, and refuses where that does not fit."""
    needed, cache = 0.0, parts[0].reader.cache
    assert cache is not None, "asked for above"
    for part in parts:
        size, basis = _projection(part, jobs)
        needed += size
        status = part.status
        say(
            f"{part.split}: {len(part.clips)} clips, {status.hits} in the cache, {len(status.misses)} to decode: "
            f"{size_text(size)} {basis}"
        )
    free = shutil.disk_usage(_existing(cache.root)).free
    say(f"together {size_text(needed)}, to be stored in {cache.root}, where {size_text(free)} are free")
    margin = needed * MARGIN_SHARE + MARGIN_BYTES
    if needed + margin > free and needed:
        smaller = "--set data.storage=jpeg takes a fifth to a tenth (it changes pixels slightly: give it to the run too)"
        other = "free some space, or set HARNESS_CACHE to a folder on a larger disk"
        raise HarnessError(
            f"the frames take {size_text(needed)}, {size_text(margin)} have to stay free beside them, "
            f"and {cache.root} has {size_text(free)} free",
            other if parts[0].reader.storage == "jpeg" else f"{smaller}; or {other}",
        )


def _projection(part: Part, jobs: int) -> tuple[float, str]:
    """Bytes that storing the misses of a part takes, and how that is known.

    Pixels are counted. What pictures take depends on the videos, so a few are stored first.
    """
    reader, misses = part.reader, part.status.misses
    frames = f"({reader.sampling.frames} frames of {reader.geometry.size} x {reader.geometry.size}, {reader.storage}"
    if reader.storage == "npy" or not misses:
        return part.status.projected_bytes, f"{frames})"
    sample = misses[:: max(1, len(misses) // SAMPLED_CLIPS)][:SAMPLED_CLIPS]
    reader.prepare(sample, processes=min(jobs, len(sample)))
    sizes = [size for clip in sample if (size := _stored(reader, clip))]
    if not sizes:
        return part.status.projected_bytes, f"{frames}, taken as 1/{jpeg.ABOUT_TIMES_SMALLER} of the pixels)"
    return sum(sizes) / len(sizes) * len(misses), f"{frames}, measured on {len(sizes)} of them)"


def _stored(reader: ClipReader, clip: Clip) -> int:
    """Bytes that a clip takes in the cache; 0 if it is not there."""
    assert reader.cache is not None
    try:
        return reader.cache.stored_bytes(reader.key(clip))
    except DamagedClip:
        return 0


def _fill(part: Part, jobs: int) -> Prepared:
    """Decodes the misses of a part; what is known to be damaged is reported with what is new."""
    hits, total = part.status.hits, len(part.clips)
    with meter(f"decoding {part.split} clips", total, hits, unit="clips") as shown:
        damaged = part.reader.prepare(part.clips, lambda done, _total: shown.update(done), processes=jobs)
    new = sum(clip.id not in damaged for clip in part.status.misses)
    return Prepared(part.split, total, total - new - len(damaged), new, part.missing, damaged)


def _existing(folder: Path) -> Path:
    """The folder, or what is there of the way to it."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())

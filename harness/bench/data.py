"""How fast clips come out of a warm cache as batches, against copying the same bytes in memory.

Cache and reference take turns batch by batch on one core, so that whatever else the machine does
slows both. What has to be paid once, the first reading of a clip with its checksum, is a row of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harness.bench.place import writable
from harness.data import Clip
from harness.data.cache import FrameCache, jpeg
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.engine.inputs import Batches, Frames
from harness.results.table import markdown_table

FRAMES, SIZE = 12, 224

#: The kinds of picture in a clip: each is another mixture of coarse and fine.
_SCENES = 16


@dataclass(frozen=True)
class Way:
    """One way to a batch: samples in a second, and its time as a multiple of the plain copies' beside it."""

    name: str
    samples_per_s: float
    times_a_copy: float


@dataclass(frozen=True)
class Result:
    """All ways, with what was measured. ``copy_samples_per_s``: the reference beside the npy cache."""

    clips: int
    batch_size: int
    rounds: int
    frames: int
    size: int
    copy_samples_per_s: float
    ways: tuple[Way, ...]


def measure(folder: Path, clips: int, batch_size: int, rounds: int) -> Result:
    """Medians over the batches of ``rounds`` passes over ``clips``, which are stored under ``folder`` first."""
    with tempfile.TemporaryDirectory(dir=writable(folder), prefix="bench-") as made, _one_core():
        place, ways, copies = Path(made), [], []
        scenes = [_scene(number) for number in range(_SCENES)]
        for storage in ("npy", "jpeg"):
            stored = _store(place, storage, scenes, clips)
            for first in (True, False):
                own, copy = _compare(
                    place, storage, stored, scenes, batch_size, 1 if first else rounds, first
                )
                name = f"{storage}, first reading with its checksum" if first else f"{storage}, warm"
                ways.append(Way(name, batch_size / own, own / copy))
                copies.append(copy)
    return Result(clips, batch_size, rounds, FRAMES, SIZE, batch_size / copies[1], tuple(ways))


def to_json(result: Result) -> str:
    return json.dumps(asdict(result), indent=2)


def summary(result: Result) -> str:
    """The table, and what a row of it means."""
    rows = [["plain copy", f"{result.copy_samples_per_s:,.0f}", "1.00"]]
    rows += [[way.name, f"{way.samples_per_s:,.0f}", f"{way.times_a_copy:.2f}"] for way in result.ways]
    table = markdown_table(["cache to batch, one core", "samples/s", "time against a copy"], rows)
    shape = f"{result.batch_size} x {result.frames} x 3 x {result.size} x {result.size} uint8"
    return f"{table}\n\nbatches of {shape}, medians over {result.rounds} passes over {result.clips} clips"


def _reader(place: Path, storage: str) -> ClipReader:
    return ClipReader(
        Sampling("uniform", FRAMES), Geometry(SIZE), FrameCache(place / "frames"), storage=storage
    )


def _store(place: Path, storage: str, scenes: Sequence[np.ndarray], count: int) -> list[Clip]:
    """Clips as `harness data prepare` would leave them, without a video behind."""
    reader, times = _reader(place, storage), np.arange(FRAMES) / 2
    clips = []
    with reader.cache.writer() as writer:
        for number in range(count):
            path = place / f"{number}.mp4"
            path.write_text(str(number))
            clips.append(Clip(str(number), path))
            frames = scenes[number % len(scenes)]
            stored = [jpeg.encode(frame) for frame in frames] if storage == "jpeg" else frames
            writer.add(reader.key(clips[-1]), stored, times)
    return clips


def _compare(
    place: Path,
    storage: str,
    clips: Sequence[Clip],
    scenes: Sequence[np.ndarray],
    size: int,
    rounds: int,
    first: bool,
) -> tuple[float, float]:
    """Median seconds of a batch from the cache and of its copy; read once before unless ``first``."""
    batches = Batches(Frames(_reader(place, storage), FRAMES, SIZE, "masked"), (), 0)
    groups = [clips[start : start + size] for start in range(0, len(clips) - size + 1, size)]
    if not first:
        for group in groups:
            batches.videos(group)
    own, copy = [], []
    for _ in range(rounds):
        for group in groups:
            copy.append(_seconds(lambda group=group: _copied(scenes, len(group))))
            own.append(_seconds(lambda group=group: batches.videos(group)))
    return statistics.median(own), statistics.median(copy)


def _copied(scenes: Sequence[np.ndarray], count: int) -> np.ndarray:
    """A fresh batch filled from memory."""
    batch = np.empty((count, *scenes[0].shape), dtype=np.uint8)
    for row in range(count):
        batch[row] = scenes[row % len(scenes)]
    return batch


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    made = work()
    took = time.perf_counter() - began
    del made  # giving memory back is no part of making a batch
    return took


def _scene(seed: int) -> np.ndarray:
    """A clip uint8 ``[T, 3, H, W]`` with the detail of a photograph: noise of all scales, moving slowly."""
    rng = np.random.default_rng(seed)
    height = width = SIZE + 2 * FRAMES
    picture = np.zeros((3, height, width))
    for scale in (2, 4, 8, 16, 32, 64):
        coarse = rng.standard_normal((3, height // scale + 2, width // scale + 2))
        picture += scale * np.kron(coarse, np.ones((scale, scale)))[:, :height, :width]
    picture = np.clip(128 + 48 * picture / picture.std(), 0, 255).astype(np.uint8)
    return np.stack([picture[:, t : t + SIZE, t : t + SIZE] for t in range(FRAMES)])


@contextmanager
def _one_core() -> Iterator[None]:
    """This process on one of its cores for the length of a block, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

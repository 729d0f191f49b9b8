"""Clips in a frame cache: stored ones that were made up, and readers of real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data import Clip
from harness.data import reader as reader_module
from harness.data.cache import FrameCache, clip_key
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry

SAMPLING, GEOMETRY = Sampling("uniform", 6), Geometry(32)
#: Ten clips of six frames fill three shards of this size and start a fourth.
SMALL_SHARD = 3 * 6 * 3 * 32 * 32


def at(path: Path) -> Clip:
    """The whole of a file, as a clip of that name."""
    return Clip(str(path), path)


def reader_of(root: Path | None, **options) -> ClipReader:
    """A reader with the cache in that folder, or with none."""
    return ClipReader(SAMPLING, GEOMETRY, FrameCache(root) if root else None, **options)


def stored_clip(seed: int, count: int = 4, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Random frames uint8 ``[count, 3, size, size]`` and their times."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return frames, np.arange(count) / 7


def fill(root: Path, keys: str = "abc") -> FrameCache:
    """A cache with a :func:`stored_clip` under each key."""
    store = FrameCache(root)
    with store.writer() as writer:
        for seed, key in enumerate(keys):
            writer.add(key, *stored_clip(seed))
    return store


def flip(shard: Path, place: int = -1) -> None:
    """Changes one bit of a file."""
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(bytes(data))


def refuse_to_decode(monkeypatch):
    """From here on a reader that decodes fails the test."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("decoded although it is cached")

    monkeypatch.setattr(reader_module, "read_frames", refuse)


def assert_complete(root: Path, sound: list[Clip]) -> None:
    """Every clip is in the cache and equals a fresh decode, to the bit."""
    store, plain = FrameCache(root), reader_of(None)
    for clip in sound:
        known = store.lookup(clip_key(clip, SAMPLING.key(), GEOMETRY.key()))
        fresh = plain.read(clip)
        assert np.array_equal(known.frames, fresh.frames)
        assert np.array_equal(known.times, fresh.times)

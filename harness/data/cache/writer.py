"""Storing clips: gathered until a shard is worth a file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from harness.data.cache.shards import Entry, clean, write_shard
from harness.errors import HarnessError

#: A shard is written when this many bytes of frames have gathered: large enough to be few, small
#: enough that a killed run loses seconds of work.
SHARD_BYTES = 64 * 2**20

#: With many clip lengths at once, the fullest shard is written early beyond this total.
PENDING_BYTES = 4 * SHARD_BYTES

#: Frames uint8 ``[T, 3, H, W]``, or a JPEG picture of each.
Stored = np.ndarray | Sequence[bytes]

#: JPEG pictures of all shapes share a shard.
_JPEG = ("jpeg",)


class Writer:
    """Gathers clips by shape and writes a shard whenever enough have come together.

    ``flushed`` is called after each shard. On leaving the ``with`` block, by an exception too, all
    complete clips are stored. For one thread at a time.
    """

    def __init__(self, root: Path, flushed: Callable[[], None] = lambda: None) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(
                f"the frame cache {root} cannot be made: {error.strerror}",
                "set HARNESS_CACHE to another folder",
            ) from error
        self._root, self._flushed = root, flushed
        self._clips: dict[tuple, list[tuple[str, Stored, list[float]]]] = {}
        self._damaged: dict[str, str] = {}
        self.flushes = 0

    def __enter__(self) -> Writer:
        clean(self._root)
        return self

    def __exit__(self, *_: object) -> None:
        for shape in list(self._clips):
            self._flush(shape)
        if self._damaged:
            self._write(None, {})

    def add(self, key: str, frames: Stored, times: np.ndarray) -> None:
        """Stores ``frames`` shown at ``times [T]`` seconds under ``key``."""
        assert len(times) == len(frames)
        shape = _JPEG
        if isinstance(frames, np.ndarray):
            assert frames.dtype == np.uint8 and frames.ndim == 4
            frames = np.ascontiguousarray(frames)
            shape = frames.shape
        self._clips.setdefault(shape, []).append((key, frames, np.asarray(times).tolist()))
        if self._size(shape) >= SHARD_BYTES:
            self._flush(shape)
        elif sum(map(self._size, self._clips)) >= PENDING_BYTES:
            self._flush(max(self._clips, key=self._size))

    def add_damaged(self, key: str, reason: str) -> None:
        """Remembers that the content behind ``key`` cannot be decoded."""
        self._damaged[key] = reason

    def _size(self, shape: tuple) -> int:
        clips = self._clips[shape]
        if shape == _JPEG:
            return sum(len(picture) for _, pictures, _ in clips for picture in pictures)
        return len(clips) * int(np.prod(shape))

    def _flush(self, shape: tuple) -> None:
        clips = self._clips.pop(shape)
        if shape != _JPEG:
            entries = {
                key: Entry(row, times, zlib.crc32(frames)) for row, (key, frames, times) in enumerate(clips)
            }
            self._write(np.stack([frames for _, frames, _ in clips]), entries)
            return
        entries, parts, place = {}, [], 0
        for key, pictures, times in clips:
            parts.append(b"".join(pictures))
            sizes = tuple(map(len, pictures))
            entries[key] = Entry(place, times, zlib.crc32(parts[-1]), sizes)
            place += len(parts[-1])
        self._write(b"".join(parts), entries)

    def _write(self, shard: np.ndarray | bytes | None, entries: dict[str, Entry]) -> None:
        write_shard(self._root, shard, entries, self._damaged)
        self._damaged = {}
        self.flushes += 1
        self._flushed()

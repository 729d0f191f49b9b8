"""Reading the cache: which clips are there, and their frames."""

from __future__ import annotations

import math
import threading
import weakref
import zlib
from collections import OrderedDict
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.data.cache import jpeg
from harness.data.cache.shards import Entry, Shard, listed, read_index
from harness.data.cache.writer import Writer
from harness.data.video import raise_if_out_of_files

#: So many shards stay mapped, and at most as many again are kept alive by views that are still in use:
#: several caches in one process stay far below the usual limit of 1024 open files.
MAPPED_SHARDS = 64


#: The name of an index, and what it says of a clip.
_Place = tuple[str, Entry]


class CachedClip(NamedTuple):
    """``frames`` uint8 ``[T, 3, H, W]``, read-only: a memory-mapped view, or a copy where they are
    stored as JPEG or views into many other shards are in use. ``times`` float64 ``[T]`` in seconds;
    ``count`` the number of real frames (all ``T``)."""

    frames: np.ndarray
    times: np.ndarray
    count: int


class Damaged(NamedTuple):
    """A clip that an earlier run could not decode, and why."""

    reason: str


class FrameCache:
    """A folder of decoded clips. Cheap to send to another process, which reads the folder anew.

    Safe to use from threads. Raises ``HarnessError`` when too many files are open, since calling the
    clips absent would have them decoded for nothing.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._entries: dict[str, _Place] = {}
        self._spares: dict[str, list[_Place]] = {}
        self._damaged: dict[str, str] = {}
        self._shards: dict[str, Shard] = {}
        self._seen: set[str] = set()
        self._verified: set[tuple[str, str]] = set()
        self._mapped: OrderedDict[str, np.memmap] = OrderedDict()
        self._live: weakref.WeakSet = weakref.WeakSet()
        self._mapping, self._refreshing, self._choosing = (threading.Lock() for _ in range(3))
        self.refresh()

    def __reduce__(self):
        return type(self), (self.root,)

    def __contains__(self, key: str) -> bool:
        """Whether ``key`` is stored or remembered as damaged; :meth:`verify` checks the frames too."""
        return key in self._entries or key in self._damaged

    def lookup(self, key: str) -> CachedClip | Damaged | None:
        """What is known of ``key``; None if it must be decoded.

        The checksum is verified the first time that this object returns a clip.
        """
        found = self._sound(key)
        if found is None:
            reason = self.damage(key)
            return None if reason is None else Damaged(reason)
        stored, entry = found
        frames = _unpacked(stored, entry.sizes) if entry.sizes else self._bounded(stored)
        return CachedClip(frames, np.array(entry.times, dtype=np.float64), len(entry.times))

    def verify(self, key: str) -> bool:
        """Whether ``key`` is remembered as damaged, or stored with the bytes that were written; from
        then on ``in`` says the same."""
        return self._sound(key) is not None or key in self._damaged

    def _sound(self, key: str) -> tuple[np.ndarray, Entry] | None:
        """The bytes of ``key`` and its entry. One that turns out to be bad is forgotten, and the same
        clip in another shard takes its place."""
        while (found := self._entries.get(key)) is not None:
            shard, entry = found
            stored = self._stored(shard, entry)
            checked = (key, shard)
            if stored is not None and (checked in self._verified or zlib.crc32(stored) == entry.checksum):
                self._verified.add(checked)
                return stored, entry
            self._drop(key, found)
        return None

    def _drop(self, key: str, bad: _Place) -> None:
        """Forgets one place of ``key``, once, however many threads found it bad."""
        with self._choosing:
            if self._entries.get(key) is bad:
                spares = self._spares.get(key)
                if spares:
                    self._entries[key] = spares.pop()
                else:
                    del self._entries[key]

    def stored_bytes(self, key: str) -> int:
        """What the frames of ``key`` take on disk; 0 if they are not there."""
        if key not in self._entries:
            return 0
        shard, entry = self._entries[key]
        return sum(entry.sizes) or math.prod(self._shards[shard].shape[1:])

    def _stored(self, name: str, entry: Entry) -> np.ndarray | None:
        """The bytes of one clip, or None if its shard was deleted or cut since its index was read."""
        shard = self._shards[name]
        try:
            mapped = self._map(name, shard)
            if entry.sizes:
                return mapped[entry.place : entry.place + sum(entry.sizes)]
            return mapped[entry.place]
        except (OSError, ValueError) as error:
            raise_if_out_of_files(error, shard.path)
            return None

    def _bounded(self, frames: np.ndarray) -> np.ndarray:
        """A view keeps its shard open however long its owner holds it. Where that has happened to shards
        that are no longer kept here, further clips are copied, so the open files stay bounded."""
        if len(self._live) > MAPPED_SHARDS:
            frames = np.array(frames)
            frames.flags.writeable = False
        return frames

    def _map(self, name: str, shard: Shard) -> np.memmap:
        """The shard in memory; the one unused for longest makes room for it."""
        with self._mapping:
            mapped = self._mapped.get(name)
            if mapped is not None:
                self._mapped.move_to_end(name)
                return mapped
            while len(self._mapped) >= MAPPED_SHARDS:
                self._mapped.popitem(last=False)
            mapped = np.memmap(shard.path, np.uint8, "r", shard.offset, shard.shape)
            self._mapped[name] = mapped
            self._live.add(mapped.base)
            return mapped

    def damage(self, key: str) -> str | None:
        """Why ``key`` could not be decoded, if an earlier run found that out."""
        return self._damaged.get(key)

    def refresh(self) -> None:
        """Takes in the shards that any run has finished since the last look."""
        with self._refreshing:
            for name in sorted(listed(self.root)):
                if name.endswith(".json") and name not in self._seen:
                    self._load(name)
                    self._seen.add(name)

    def _load(self, name: str) -> None:
        """Merges one index; one that is not whole adds nothing."""
        index = read_index(self.root / name)
        if index is None:
            return
        self._damaged.update(index.damaged)
        if index.shard is not None:
            self._shards[name] = index.shard
            for key, entry in index.entries.items():
                self._keep(key, (name, entry))

    def _keep(self, key: str, place: _Place) -> None:
        """Takes in one place of ``key``; the first is used, the others wait for it to fail."""
        with self._choosing:
            if self._entries.setdefault(key, place) is not place:
                self._spares.setdefault(key, []).append(place)

    def writer(self) -> Writer:
        """A context manager that stores clips; use it from one thread at a time."""
        return Writer(self.root, self.refresh)


def _unpacked(stored: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The pictures that lie end to end in ``stored``, as read-only frames."""
    whole = stored.tobytes()
    places = pairwise(accumulate(sizes, initial=0))
    frames = jpeg.decode([whole[start:end] for start, end in places])
    frames.flags.writeable = False
    return frames

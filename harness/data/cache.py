"""Decoded frames on disk, addressed by content and shared by any number of runs.

Layout of the cache folder, all names unique to their writer::

    <shard>.npy   uint8 [n, T, 3, H, W]: n clips of one shape
    <shard>.json  which key lies in which row, with times and checksums; written after the shard
    *.tmp         a file being written

A file gets its final name only when complete and on disk, and an index only after its shard, so a
run that is killed at any point leaves at most files that nobody reads. Nobody ever changes a
finished file. Two runs that decode the same clip store it twice, which costs space and nothing
else. What does not match its own checksum is treated as absent.

A memory-mapped file keeps a file descriptor for as long as anybody holds a view into it, and a cache
has more shards than a process may have descriptors. So shards are mapped when a clip of theirs is
asked for, and only few at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
import uuid
import weakref
import zlib
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np

from harness.data.video import DECODER_VERSION, raise_if_out_of_files
from harness.errors import HarnessError

#: A shard is written when this many bytes of frames have gathered: large enough to be few, small
#: enough that a killed run loses seconds of work.
SHARD_BYTES = 64 * 2**20

#: With many clip lengths at once, the fullest shard is written early beyond this total.
PENDING_BYTES = 4 * SHARD_BYTES

#: So many shards stay mapped, and at most as many again are kept alive by views that are still in use:
#: several caches in one process stay far below the usual limit of 1024 open files.
MAPPED_SHARDS = 64

_STALE_S = 24 * 3600
_FORMAT = 1
_EDGE = 64 * 1024


class CachedClip(NamedTuple):
    """``frames`` uint8 ``[T, 3, H, W]``, read-only, a memory-mapped view unless views into many other
    shards are in use; ``times`` float64 ``[T]`` in seconds; ``count`` the number of real frames (all
    ``T``)."""

    frames: np.ndarray
    times: np.ndarray
    count: int


class Damaged(NamedTuple):
    """A clip that an earlier run could not decode, and why."""

    reason: str


class _Entry(NamedTuple):
    shard: str
    row: int
    times: list[float]
    checksum: int


class _Shard(NamedTuple):
    """Where the clips lie in a file that was whole when its index was read."""

    path: str
    shape: tuple[int, ...]
    offset: int


def clip_key(path: Path | str, sampling_key: str, geometry_key: str) -> str:
    """The address of a clip's frames: 64 hexadecimal digits.

    Made of the decoder version, the file's size, time of change and first and last 64 kB, the
    sampling and the geometry. The path is not part of it, so a data set may be moved; a file that
    is repaired or replaced gets a new address. Raises ``OSError`` if the file cannot be read.
    """
    status = os.stat(path)
    edges = _edges(str(path), status.st_size, status.st_mtime_ns)
    parts = [DECODER_VERSION, status.st_size, status.st_mtime_ns, edges, sampling_key, geometry_key]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


@lru_cache(maxsize=65536)
def _edges(path: str, size: int, _changed_ns: int) -> str:
    """Digest of a file's first and last bytes, remembered while its size and time stay."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(_EDGE))
        file.seek(max(0, size - _EDGE))
        digest.update(file.read(_EDGE))
    return digest.hexdigest()


class FrameCache:
    """A folder of decoded clips. Cheap to send to another process, which reads the folder anew.

    Safe to use from threads. Raises ``HarnessError`` when too many files are open, since calling the
    clips absent would have them decoded for nothing.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._entries: dict[str, _Entry] = {}
        self._damaged: dict[str, str] = {}
        self._shards: dict[str, _Shard] = {}
        self._seen: set[str] = set()
        self._verified: set[str] = set()
        self._mapped: OrderedDict[str, np.memmap] = OrderedDict()
        self._live: weakref.WeakSet = weakref.WeakSet()
        self._mapping, self._refreshing = threading.Lock(), threading.Lock()
        self.refresh()

    def __reduce__(self):
        return type(self), (self.root,)

    def __contains__(self, key: str) -> bool:
        """Whether ``key`` is stored or remembered as damaged; frames are not checked here."""
        return key in self._entries or key in self._damaged

    def lookup(self, key: str) -> CachedClip | Damaged | None:
        """What is known of ``key``; None if it must be decoded.

        The checksum is verified the first time that this object returns a clip.
        """
        entry = self._entries.get(key)
        if entry is None:
            reason = self.damage(key)
            return None if reason is None else Damaged(reason)
        frames = self._frames(entry)
        if frames is None or (key not in self._verified and zlib.crc32(frames) != entry.checksum):
            self._entries.pop(key, None)
            return None
        self._verified.add(key)
        return CachedClip(frames, np.array(entry.times, dtype=np.float64), len(entry.times))

    def _frames(self, entry: _Entry) -> np.ndarray | None:
        """The frames of one clip, or None if its shard was deleted or cut since its index was read.

        A view keeps its shard open however long its owner holds it. Where that has happened to shards
        that are no longer kept here, further clips are copied, so the open files stay bounded.
        """
        shard = self._shards[entry.shard]
        try:
            frames = self._map(entry.shard, shard)[entry.row]
        except (OSError, ValueError) as error:
            raise_if_out_of_files(error, shard.path)
            return None
        if len(self._live) > MAPPED_SHARDS:
            frames = np.array(frames)
            frames.flags.writeable = False
        return frames

    def _map(self, name: str, shard: _Shard) -> np.memmap:
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
            for name in sorted(self._files()):
                if name.endswith(".json") and name not in self._seen:
                    self._load(name)
                    self._seen.add(name)

    def _files(self) -> list[str]:
        """Names in the folder, which exists from the first writer on."""
        try:
            return os.listdir(self.root) if self.root.exists() else []
        except OSError as error:
            raise_if_out_of_files(error, self.root)
            raise

    def _load(self, name: str) -> None:
        """Merges one index, unless it or its shard is not what was once written."""
        try:
            index = json.loads((self.root / name).read_text(encoding="utf-8"))
            if index["digest"] != _digest(index["content"]):
                return
            content = index["content"]
            if content["format"] != _FORMAT:
                return
            self._damaged.update(content["damaged"])
            if content["entries"]:
                self._shards[name] = _inspect(self.root / content["shard"], content["shape"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise_if_out_of_files(error, self.root / name)
            # Cut off, deleted by hand or damaged on disk: its clips count as not cached.
            return
        for key, (row, times, checksum) in content["entries"].items():
            if key not in self._entries:
                self._entries[key] = _Entry(name, row, times, checksum)

    def writer(self) -> Writer:
        """A context manager that stores clips; use it from one thread at a time."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(
                f"the frame cache {self.root} cannot be made: {error.strerror}",
                "choose another folder, or run without a cache",
            ) from error
        return Writer(self)

    def clean(self) -> None:
        """Removes what killed runs left behind, once it is older than a day."""
        now = time.time()
        names = set(self._files())
        for name in names:
            orphan = name.endswith(".npy") and name[:-4] + ".json" not in names
            if not (orphan or name.endswith(".tmp")):
                continue
            path = self.root / name
            try:
                if now - path.stat().st_mtime > _STALE_S:
                    path.unlink()
            except FileNotFoundError:
                continue  # another run was faster


class Writer:
    """Gathers clips by shape and writes a shard whenever enough have come together.

    On leaving the ``with`` block, by an exception too, all complete clips are stored.
    """

    def __init__(self, cache: FrameCache) -> None:
        self._cache = cache
        self._clips: dict[tuple, list[tuple[str, np.ndarray, list[float]]]] = {}
        self._damaged: dict[str, str] = {}
        self.flushes = 0

    def __enter__(self) -> Writer:
        self._cache.clean()
        return self

    def __exit__(self, *_: object) -> None:
        for shape in list(self._clips):
            self._flush(shape)
        if self._damaged:
            self._write(None, {})

    def add(self, key: str, frames: np.ndarray, times: np.ndarray) -> None:
        """Stores ``frames`` uint8 ``[T, 3, H, W]`` shown at ``times [T]`` seconds under ``key``."""
        assert frames.dtype == np.uint8 and frames.ndim == 4 and len(times) == len(frames)
        frames = np.ascontiguousarray(frames)
        self._clips.setdefault(frames.shape, []).append((key, frames, np.asarray(times).tolist()))
        if self._size(frames.shape) >= SHARD_BYTES:
            self._flush(frames.shape)
        elif sum(map(self._size, self._clips)) >= PENDING_BYTES:
            self._flush(max(self._clips, key=self._size))

    def add_damaged(self, key: str, reason: str) -> None:
        """Remembers that the content behind ``key`` cannot be decoded."""
        self._damaged[key] = reason

    def _size(self, shape: tuple) -> int:
        return len(self._clips[shape]) * int(np.prod(shape))

    def _flush(self, shape: tuple) -> None:
        clips = self._clips.pop(shape)
        entries = {key: (row, times, zlib.crc32(frames)) for row, (key, frames, times) in enumerate(clips)}
        self._write(np.stack([frames for _, frames, _ in clips]), entries)

    def _write(self, shard: np.ndarray | None, entries: dict) -> None:
        """Shard first, index second: an index never names what is not there."""
        root, stem = self._cache.root, uuid.uuid4().hex
        if shard is not None:
            _put(root / f"{stem}.npy", lambda file: np.save(file, shard))
        content = {
            "format": _FORMAT,
            "shard": f"{stem}.npy",
            "shape": [] if shard is None else list(shard.shape),
            "entries": entries,
            "damaged": self._damaged,
        }
        text = json.dumps({"digest": _digest(content), "content": content})
        _put(root / f"{stem}.json", lambda file: file.write(text.encode()))
        self._damaged = {}
        self.flushes += 1
        self._cache.refresh()


def _inspect(path: Path, shape: list[int]) -> _Shard:
    """Finds the clips in a shard from its header; ``ValueError`` if it is not the whole of ``shape``."""
    with open(path, "rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path} is not as it was written")
        try:
            found, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        except (SyntaxError, TokenError) as error:  # numpy lets some of its parser's errors through
            raise ValueError(f"{path} is not as it was written") from error
        whole = os.fstat(file.fileno()).st_size == file.tell() + math.prod(found)
        if list(found) != shape or by_columns or dtype != np.uint8 or not whole:
            raise ValueError(f"{path} is not as it was written")
        return _Shard(str(path), tuple(found), file.tell())


def _digest(content: dict) -> str:
    """Of the content as JSON, in which tuples and lists are the same."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _put(path: Path, write) -> None:
    """Writes a file under a temporary name, waits for the disk, then gives it its own name."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise_if_out_of_files(error, path)
        raise HarnessError(
            f"the frame cache cannot be written to {path.parent}: {error.strerror}",
            "free some space, or choose another folder",
        ) from error

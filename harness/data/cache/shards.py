"""The files of the cache: a shard with the frames of some clips, and the index that describes it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np

from harness.data.video import raise_if_out_of_files
from harness.errors import HarnessError

_STALE_S = 24 * 3600
_NPY, _JPEG = 1, 2
_SUFFIXES = {_NPY: ".npy", _JPEG: ".jpegs"}


class Entry(NamedTuple):
    """Where a clip lies in its shard: the row, or with ``sizes`` (bytes of each picture) the first
    byte. ``checksum`` is the CRC-32 of its bytes."""

    place: int
    times: list[float]
    checksum: int
    sizes: tuple[int, ...] = ()


class Shard(NamedTuple):
    """Where the clips lie in a file that was whole when its index was read: an array of uint8 of
    this shape from this byte on."""

    path: str
    shape: tuple[int, ...]
    offset: int


class Index(NamedTuple):
    """One shard with its clips, and clips that could not be decoded, with the reason."""

    shard: Shard | None
    entries: dict[str, Entry]
    damaged: dict[str, str]


def read_index(path: Path) -> Index | None:
    """What an index says; None unless it and its shard are what was once written."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        content = index["content"]
        if index["digest"] != _digest(content) or content["format"] not in _SUFFIXES:
            return None
        shard = None
        if content["entries"]:
            inspect = _inspect_npy if content["format"] == _NPY else _inspect_jpegs
            shard = inspect(path.parent / content["shard"], content["shape"])
        entries = {key: Entry(*values) for key, values in content["entries"].items()}
        return Index(shard, entries, content["damaged"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise_if_out_of_files(error, path)
        # Cut off, deleted by hand or damaged on disk: its clips count as not cached.
        return None


def write_shard(root: Path, shard: np.ndarray | bytes | None, entries: Mapping[str, Entry], damaged) -> None:
    """Shard first, index second: an index never names what is not there.

    ``shard``: uint8 ``[n, T, 3, H, W]``, or pictures end to end, or None where all are damaged.
    """
    stem = uuid.uuid4().hex
    kind = _JPEG if isinstance(shard, bytes) else _NPY
    name = stem + _SUFFIXES[kind]
    if isinstance(shard, bytes):
        _put(root / name, lambda file: file.write(shard))
    elif shard is not None:
        _put(root / name, lambda file: np.save(file, shard))
    content = {
        "format": kind,
        "shard": name,
        "shape": [] if shard is None else [len(shard)] if kind == _JPEG else list(shard.shape),
        "entries": {key: entry if entry.sizes else entry[:3] for key, entry in entries.items()},
        "damaged": damaged,
    }
    text = json.dumps({"digest": _digest(content), "content": content})
    _put(root / f"{stem}.json", lambda file: file.write(text.encode()))


def clean(root: Path) -> None:
    """Removes what killed runs left behind, once it is older than a day.

    What cannot be removed stays: another run was faster, or nothing here may be written.
    """
    now = time.time()
    names = set(listed(root))
    for name in names:
        stem, suffix = os.path.splitext(name)
        orphan = suffix in _SUFFIXES.values() and f"{stem}.json" not in names
        if not (orphan or suffix == ".tmp"):
            continue
        path = root / name
        with suppress(OSError):
            if now - path.stat().st_mtime > _STALE_S:
                path.unlink()


def listed(root: Path) -> list[str]:
    """Names in the folder, which exists from the first writer on.

    Raises ``HarnessError`` where there is something that cannot be listed: to call its clips absent
    would have all of them decoded again.
    """
    try:
        return os.listdir(root) if root.exists() else []
    except OSError as error:
        raise_if_out_of_files(error, root)
        raise HarnessError(
            f"the frame cache {root} cannot be read: {error.strerror}",
            "make it readable, or set HARNESS_CACHE to another folder",
        ) from error


def _inspect_npy(path: Path, shape: list[int]) -> Shard:
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
        return Shard(str(path), tuple(found), file.tell())


def _inspect_jpegs(path: Path, shape: list[int]) -> Shard:
    """Pictures have no header of their own; what counts is that all bytes are there."""
    with open(path, "rb") as file:
        if [os.fstat(file.fileno()).st_size] != shape:
            raise ValueError(f"{path} is not as it was written")
    return Shard(str(path), tuple(shape), 0)


def _digest(content: dict[str, Any]) -> str:
    """Of the content as JSON, in which tuples and lists are the same."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _put(path: Path, write: Callable) -> None:
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
        with suppress(OSError):  # what forbids writing may forbid this too
            temporary.unlink()
        raise_if_out_of_files(error, path)
        raise HarnessError(
            f"the frame cache cannot be written to {path.parent}: {error.strerror}",
            "free some space, or set HARNESS_CACHE to another folder",
        ) from error

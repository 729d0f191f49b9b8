"""The address of a clip's frames in the cache: made of content and settings, never of places."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path

from harness.data.cache import jpeg
from harness.data.dataset import Clip
from harness.data.video import DECODER_VERSION
from harness.data.window import is_whole

_EDGE = 64 * 1024


def clip_key(clip: Clip, sampling_key: str, geometry_key: str, storage: str = "npy") -> str:
    """64 hexadecimal digits for the frames of ``clip`` (whose ``path`` is set).

    Made of the decoder version, the file's size, time of change and first and last 64 kB, the
    sampling, the geometry, the clip's window where that is not the whole file, and the storage
    where it changes pixels. The path is not part of it, so a data set may be moved; a file that
    is repaired or replaced gets a new address. A folder of pictures counts with the names, sizes
    and times of change of its files. Raises ``OSError`` if the file cannot be read.
    """
    status = os.stat(clip.path)
    if stat.S_ISDIR(status.st_mode):
        content = ["folder", _listing(clip.path)]
    else:
        edges = _edges(str(clip.path), status.st_size, status.st_mtime_ns)
        content = [status.st_size, status.st_mtime_ns, edges]
    parts = [DECODER_VERSION, *content, sampling_key, geometry_key]
    if not is_whole(clip):
        end = "end" if clip.end_s is None else repr(float(clip.end_s))
        parts.append(f"window {float(clip.start_s)!r} {end}")
    if storage == "jpeg":
        parts.append(jpeg.KEY)
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


@lru_cache(maxsize=2**20)
def _edges(path: str, size: int, _changed_ns: int) -> str:
    """Digest of a file's first and last bytes, remembered while its size and time stay."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(_EDGE))
        file.seek(max(0, size - _EDGE))
        digest.update(file.read(_EDGE))
    return digest.hexdigest()


def _listing(folder: Path) -> str:
    """Digest of what lies in a folder, with sizes and times of change."""
    with os.scandir(folder) as entries:
        found = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in entries if e.is_file())
    return hashlib.sha256(repr(found).encode()).hexdigest()

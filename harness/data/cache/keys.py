"""The address of a clip's frames in the cache: made of content and settings, never of places."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path

import av
import PIL

from harness.data.cache import jpeg
from harness.data.dataset import Clip
from harness.data.video import DECODER_VERSION, raise_if_special
from harness.data.video.pictures import number_in, rate_of
from harness.data.window import is_whole

_EDGE = 64 * 1024


def clip_key(clip: Clip, sampling_key: str, geometry_key: str, storage: str = "npy") -> str:
    """64 hexadecimal digits for the frames of ``clip`` (whose ``path`` is set).

    Made of the decoders' versions, the file's size, time of change and first and last 64 kB, the
    sampling, the geometry, the clip's window where that is not the whole file, and the storage
    where it changes pixels. The path is not part of it, so a data set may be moved; a file that
    is repaired or replaced gets a new address. A folder of pictures counts with its rate (by which
    it may be moved only under names that state the same) and the names, sizes, times of change and
    content of its pictures. Raises ``OSError`` if the file cannot be read, and ``DamagedClip`` if it
    is a pipe or a device.
    """
    raise_if_special(clip.path)
    status = os.stat(clip.path)
    if stat.S_ISDIR(status.st_mode):
        content = ["folder", rate_of(clip.path), *_pictures(clip.path)]
    else:
        edges = _edges(str(clip.path), status.st_size, status.st_mtime_ns)
        content = [status.st_size, status.st_mtime_ns, edges]
    parts = [*_decoders(), *content, sampling_key, geometry_key]
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


def _pictures(folder: Path) -> tuple[str, str]:
    """Digests of what the pictures of a folder are called, with sizes and times of change, and of
    what they hold, which is remembered while the former stays."""
    with os.scandir(folder) as entries:
        frames = (entry for entry in entries if number_in(entry.name) is not None and entry.is_file())
        found = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in frames)
    listing = hashlib.sha256(repr(found).encode()).hexdigest()
    content = _contents.get((str(folder), listing))
    if content is None:
        digest = hashlib.sha256()
        for name, size, _ in found:
            digest.update(_pieces(os.path.join(folder, name), size))
        content = _contents[str(folder), listing] = digest.hexdigest()
    return listing, content


#: What the pictures of a folder held, by the folder and the digest of its listing.
_contents: dict[tuple[str, str], str] = {}


def _pieces(path: str, size: int) -> bytes:
    """A digest of the first, middle and last 64 kB of a picture, of all of it up to three times that.

    Pictures of one size may begin and end alike: uncompressed ones between black bars do.
    """
    with open(path, "rb", buffering=0) as file:
        if size <= 3 * _EDGE:
            return hashlib.sha256(file.read()).digest()
        digest = hashlib.sha256()
        for place in (0, (size - _EDGE) // 2, size - _EDGE):
            file.seek(place)
            digest.update(file.read(_EDGE))
        return digest.digest()


def _decoders() -> tuple[object, ...]:
    """Whose work frames are: this reader, and the libraries that decode, convert and scale."""
    libav = av.library_versions
    pillow = PIL.__version__.partition(".")[0]
    return DECODER_VERSION, libav["libavcodec"][0], libav["libswscale"][0], pillow

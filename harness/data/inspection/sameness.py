"""Finds files with the same content, reading as little of them as that takes.

Files of different sizes differ; of those left, most differ at their start or end; only what is still
alike is read as a whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.data.dataset import Progress
from harness.data.video import raise_if_out_of_files

_EDGE = 64 * 1024

#: What of a file is looked at, from cheap to dear.
_Look = Callable[[Path], Hashable]


def same_content(paths: Iterable[Path], threads: int, progress: Progress) -> dict[Path, str]:
    """A common name for the files of each group that have the same content; others are left out.

    A folder of pictures counts as its files, one after the other. Files that are empty or cannot be
    read are like no other; nor are pipes and devices, which are never opened: their size is 0.
    """
    alike = {path: "" for path in paths}
    for number, (look, what) in enumerate(_LOOKS):
        alike = _regrouped(alike, look, threads, progress, what)
        if number == 0:
            alike = {path: name for path, name in alike.items() if _size(path)}
    return alike


def _regrouped(
    alike: dict[Path, str], look: _Look, threads: int, progress: Progress, what: str
) -> dict[Path, str]:
    """Parts groups by one more look; what is then alone is dropped."""
    groups: dict[tuple, list[Path]] = defaultdict(list)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="compare")
    try:
        for done, (path, seen) in enumerate(zip(alike, pool.map(look, alike)), start=1):
            if seen is not None:
                groups[alike[path], seen].append(path)
            progress(done, len(alike), what)
    finally:
        pool.shutdown(cancel_futures=True)
    return {path: str(group[0]) for group in groups.values() if len(group) > 1 for path in group}


def _size(path: Path) -> int | None:
    return _looked(path, lambda file: file.stat().st_size, sum)


def _edges(path: Path) -> bytes | None:
    def look(file: Path) -> bytes:
        with file.open("rb") as opened:
            digest = hashlib.sha256(opened.read(_EDGE))
            opened.seek(max(0, file.stat().st_size - _EDGE))
            digest.update(opened.read(_EDGE))
        return digest.digest()

    return _looked(path, look, b"".join)


def _whole(path: Path) -> bytes | None:
    def look(file: Path) -> bytes:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()

    return _looked(path, look, b"".join)


def _looked(path: Path, look: Callable, together: Callable):
    """What a look at a file, or at all files of a folder in order of their names, shows."""
    try:
        files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        return together([look(file) for file in files])
    except OSError as error:
        raise_if_out_of_files(error, path)
        return None


_LOOKS = ((_size, "looking at file sizes"), (_edges, "comparing files"), (_whole, "comparing whole files"))

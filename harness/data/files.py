"""Finds the files of a data set under a folder: videos by stem, and whatever may be an annotation file.

People keep the same videos in many layouts, so a video is found by the stem of its name, wherever it
lies below the root and whatever its container. One walk finds everything.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".gif"}
    | {".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".ogv", ".vob", ".asf", ".divx", ".f4v"}
)

ANNOTATION_SUFFIXES = frozenset({".json", ".jsonl", ".csv", ".tsv", ".txt", ".pkl"})

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

_SUFFIXES = VIDEO_SUFFIXES | ANNOTATION_SUFFIXES | PICTURE_SUFFIXES | {".gz"}

#: How many folders below the root an annotation file may lie.
ANNOTATION_DEPTH = 3


def stem_of(name: str) -> str:
    """A video's name without folder, video suffix and trailing dot.

    Only a known suffix is cut: names of film clips and of unnamed containers have dots in them.
    """
    name = name.rpartition("/")[2]
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name.removesuffix(".")


class Named(dict[str, Path]):
    """The path of each name that is preferred, and in ``further`` all others of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.further: dict[str, list[Path]] = defaultdict(list)

    def put(self, name: str, path: Path) -> None:
        """Add a path, which ranks behind those that were added before; one that is there stays as it is."""
        first = self.setdefault(name, path)
        if first is not path and first != path and path not in self.further[name]:
            self.further[name].append(path)

    def all_of(self, name: str) -> list[Path]:
        """Every path of that name, the preferred one first."""
        return [self[name], *self.further.get(name, ())] if name in self else []

    def paths(self) -> Iterator[Path]:
        """All paths of all names."""
        yield from self.values()
        for more in self.further.values():
            yield from more


@dataclass
class Tree:
    """What one walk over a folder found; of one name what lies higher, then earlier by path, is preferred.

    ``videos``: files by stem. ``others``: files of no known kind by name, some of which are videos
    without a suffix. ``pictures``: folders of pictures by name. ``annotations``: files by lower-case
    name without ``.gz``.
    """

    root: Path
    videos: Named = field(default_factory=Named)
    others: Named = field(default_factory=Named)
    pictures: Named = field(default_factory=Named)
    annotations: Named = field(default_factory=Named)
    folders: int = 0

    def video(self, *stems: str) -> Path | None:
        """The file, or folder of pictures, that is taken for these names."""
        return next(iter(self.candidates(*stems)), None)

    def candidates(self, *stems: str) -> Iterator[Path]:
        """Every file and folder of pictures that carries one of these names, the preferred one first."""
        for kind in (self.videos, self.others, self.pictures):
            for stem in stems:
                yield from kind.all_of(stem)


def scan(root: Path) -> Tree:
    """Walk ``root`` once, following linked folders.

    Raises HarnessError where it is no folder, and where a folder in it cannot be read: the videos in
    there would all count as missing. Hidden files are passed over: copying from some systems leaves
    ``._video0.mp4`` beside each video, with its stem but not its content.
    """
    if not root.is_dir():
        raise HarnessError(f"the folder {root} does not exist or is not a folder", "check the path")
    tree = Tree(root)
    for depth, folder, names in sorted(_walk(root)):
        tree.folders += 1
        for name in names:
            if not name.startswith("."):
                _sort_in(tree, depth, folder, name)
    return tree


def _sort_in(tree: Tree, depth: int, folder: Path, name: str) -> None:
    plain = name.lower().removesuffix(".gz")
    suffix = os.path.splitext(plain)[1]
    if suffix in VIDEO_SUFFIXES:
        tree.videos.put(stem_of(name), folder / name)
    elif suffix in PICTURE_SUFFIXES:
        tree.pictures.put(folder.name, folder)
    elif suffix in ANNOTATION_SUFFIXES:
        if depth <= ANNOTATION_DEPTH:
            tree.annotations.put(plain, folder / name)
    else:
        tree.others.put(name.removesuffix("."), folder / name)


def _walk(root: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """Yield (depth, folder, sorted file names), level by level.

    A folder that is linked several times or in a loop comes once, where it lies highest; of two such
    places the one that is no link.
    """
    seen = set()
    level, depth = [str(root)], 0
    while level:
        deeper: list[tuple[bool, str]] = []
        for where in level:
            try:
                status = os.stat(where)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                folders, names = _listed(where)
            except OSError as error:
                if depth and _is_nobodys(where):
                    continue
                raise HarnessError(
                    f"the folder {where} cannot be read: {error.strerror}",
                    "make it readable, or move it out of the folder that is searched",
                ) from error
            yield depth, Path(where), names
            deeper += folders
        level, depth = [path for _, path in sorted(deeper)], depth + 1


def _listed(folder: str) -> tuple[list[tuple[bool, str]], list[str]]:
    """What lies in a folder: (is a link, path) of each folder, and the sorted names of all else."""
    folders, names = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _leads_to_a_folder(entry):
                folders.append((entry.is_symlink(), entry.path))
            else:
                names.append(entry.name)
    return folders, sorted(names)


def _leads_to_a_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:  # a link to where nobody may look: it is not said what lies there
        return os.path.splitext(entry.name)[1].lower() not in _SUFFIXES
    except OSError:  # a link to itself
        return False


def _is_nobodys(folder: str) -> bool:
    """Whether a folder is the system's own, such as those in which a disk keeps what was lost or deleted."""
    name = os.path.basename(folder)
    return name.startswith((".", "$")) or name in ("lost+found", "System Volume Information")

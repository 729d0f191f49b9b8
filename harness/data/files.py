"""Finds the files of a data set under a folder: videos by stem, and whatever may be an annotation file.

People keep the same videos in many layouts, so a video is found by the stem of its name, wherever it
lies below the root and whatever its container. One walk finds everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".gif"}
    | {".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".ogv", ".vob", ".asf", ".divx", ".f4v"}
)

ANNOTATION_SUFFIXES = frozenset({".json", ".jsonl", ".csv", ".tsv", ".txt", ".pkl"})

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

#: How many folders below the root an annotation file may lie.
ANNOTATION_DEPTH = 3


def stem_of(name: str) -> str:
    """A video's name without folder, video suffix and trailing dot.

    Only a known suffix is cut: names of film clips and of unnamed containers have dots in them.
    """
    name = name.rpartition("/")[2]
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name.removesuffix(".")


@dataclass
class Tree:
    """What one walk over a folder found.

    ``videos``: files by stem; what lies higher, then earlier by path, wins. ``others``: files of no
    known kind by name, some of which are videos without a suffix. ``pictures``: folders of
    pictures by name. ``annotations``: files by lower-case name without ``.gz``. ``repeated``:
    further video files of a known stem.
    """

    root: Path
    videos: dict[str, Path] = field(default_factory=dict)
    others: dict[str, Path] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    annotations: dict[str, Path] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)
    folders: int = 0

    def video(self, *stems: str) -> Path | None:
        """The first file, or folder of pictures, that carries one of these names."""
        for kind in (self.videos, self.others, self.pictures):
            for stem in stems:
                if stem in kind:
                    return kind[stem]
        return None


def scan(root: Path) -> Tree:
    """Walk ``root`` once, following linked folders. Raises HarnessError where it is no folder.

    Hidden files are passed over: copying from some systems leaves ``._video0.mp4`` beside each
    video, with its stem but not its content.
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
        stem = stem_of(name)
        if stem in tree.videos:
            tree.repeated.append(folder / name)
        else:
            tree.videos[stem] = folder / name
    elif suffix in PICTURE_SUFFIXES:
        tree.pictures.setdefault(folder.name, folder)
    elif suffix in ANNOTATION_SUFFIXES:
        if depth <= ANNOTATION_DEPTH:
            tree.annotations.setdefault(plain, folder / name)
    else:
        tree.others.setdefault(name.removesuffix("."), folder / name)


def _walk(root: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """Yield (depth, folder, sorted file names); a folder linked twice or in a loop comes once."""
    seen = set()
    for where, folders, names in os.walk(root, followlinks=True):
        status = os.stat(where)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        folder = Path(where)
        yield len(folder.relative_to(root).parts), folder, sorted(names)

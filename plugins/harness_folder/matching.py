"""Finds the videos that captions name: by their path below the root, else by the stem of their name."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import HarnessError
from harness.data.files import VIDEO_SUFFIXES, Tree, stem_of


@dataclass(frozen=True)
class Matches:
    """``ids``: the clip of every name; ``paths``: the file of every clip, None where there is none.

    ``moved`` are names with a folder whose video was only found in another one, ``unnamed`` the
    videos that nothing names.
    """

    ids: Mapping[str, str]
    paths: Mapping[str, Path | None]
    moved: Mapping[str, Path]
    unnamed: tuple[Path, ...]


def match(tree: Tree, names: Iterable[str]) -> Matches:
    """Finds every name's video. Raises HarnessError where a name may mean several, or two mean one."""
    places = {name: _place(name, tree.root) for name in names}
    ids = {name: _without_suffix(place) for name, place in places.items()}
    found = _files_of(tree, places)
    paths = _one_file_each(ids, found)
    moved = {
        name: path
        for name, path in found.items()
        if path
        and "/" in places[name]
        and ids[name] != _without_suffix(_plain(path.relative_to(tree.root).as_posix()))
    }
    used = set(found.values())
    unnamed = tuple(sorted(path for path in tree.videos.paths() if path not in used))
    return Matches(ids, paths, moved, unnamed)


def _place(name: str, root: Path) -> str:
    """The name as a path below the root; the same on every machine for a file that lies there."""
    return posixpath.normpath(_plain(name)).removeprefix(f"{_plain(str(root.absolute()))}/").lstrip("/")


def _plain(name: str) -> str:
    """A name in the one spelling in which names are compared.

    Some systems write a backslash between folders, and some an accented letter as two characters.
    """
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _without_suffix(place: str) -> str:
    stem, suffix = posixpath.splitext(place)
    return stem if suffix.lower() in VIDEO_SUFFIXES else place


def _files_of(tree: Tree, places: Mapping[str, str]) -> dict[str, Path | None]:
    """Each name's file. A stem is only taken for a file that no other name gives the path of."""
    by_place, by_stem = _index(tree)
    found: dict[str, Path | None] = {
        name: by_place.get(name) or by_place.get(place) for name, place in places.items()
    }
    claimed = set(found.values())
    for name in [name for name, path in found.items() if path is None]:
        path = _by_stem(by_stem, name)
        found[name] = None if "/" in places[name] and path in claimed else path
    return found


def _index(tree: Tree) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Everything that may be a clip: by path below the root, with and without suffix, and by stem.

    A path as it is on disk goes before others that are only written like it.
    """
    exact: dict[str, Path] = {}
    whole, bare, by_stem = (defaultdict(list) for _ in range(3))
    for kind in (tree.videos, tree.others, tree.pictures):
        for path in kind.paths():
            below = path.relative_to(tree.root).as_posix()
            exact[below] = path
            place = _plain(below)
            whole[place].append(path)
            bare[_without_suffix(place)].append(path)
            by_stem[stem_of(posixpath.basename(place))].append(path)
    alone = [{place: paths[0] for place, paths in of.items() if len(paths) == 1} for of in (bare, whole)]
    return {**alone[0], **alone[1], **exact}, by_stem


def _by_stem(by_stem: Mapping[str, list[Path]], name: str) -> Path | None:
    found = by_stem.get(stem_of(_plain(name)), [])
    if len(found) > 1:
        raise HarnessError(
            f"the video '{name}' may be {found[0]} or {found[1]}",
            "write its path below the data root, with its suffix, into the caption file",
        )
    return found[0] if found else None


def _one_file_each(ids: Mapping[str, str], found: Mapping[str, Path | None]) -> dict[str, Path | None]:
    """The file of each clip, which is no other clip's."""
    paths: dict[str, Path | None] = {}
    owners: dict[Path, str] = {}
    for name, path in found.items():
        clip = ids[name]
        known = paths.setdefault(clip, path)
        if path is None:
            continue
        if known not in (None, path):
            raise HarnessError(
                f"two videos have one name without their suffix: {known} and {path}", "rename one of them"
            )
        if owners.setdefault(path, clip) != clip:
            raise HarnessError(
                f"'{owners[path]}' and '{clip}' in the caption files would both be {path}",
                "write the path below the data root, the same in every row",
            )
        paths[clip] = path
    return paths

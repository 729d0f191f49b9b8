"""How a split is declared: the sets of files that it can be read from, and where those are found.

A benchmark's split can be had from different files: its owner's, or those of a code base that
converted them. Each such possibility is a :class:`Route`; the first whose files are all there is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from harness.data import annotations
from harness.data.annotations import AnnotationFile
from harness.data.files import Tree
from harness.data.questions import QuestionFile, read_questions


@dataclass(frozen=True)
class Route:
    """One set of files that a split can be read from.

    File names are shell patterns, matched without regard to case and ``.gz``. All of ``texts`` are read,
    one after the other. ``ids`` is the list of the split's videos; without one, those that the
    texts name belong to it, of these only the ones that the file itself counts to ``stated`` where
    that is given. ``places`` is a pickle with the number of the one caption that counts for each
    video, ``first`` takes the first one.
    """

    texts: tuple[str, ...]
    ids: str = ""
    stated: tuple[str, ...] = ()
    places: str = ""
    first: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        return (*filter(None, (self.ids, self.places)), *self.texts)


def routes(ids: Sequence[str], texts: Sequence[tuple[str, ...]], first: bool = False) -> tuple[Route, ...]:
    """Every list of videos with every set of captions, the first ones preferred."""
    return tuple(Route(files, ids=names, first=first) for names in ids for files in texts)


@dataclass(frozen=True)
class Split:
    """One split: where it may be read from, and what it is called in files that are written.

    ``paragraph`` joins all texts of a video, in the order of the file, to one. ``without`` are
    videos that do not belong to the split though its files name them. ``written`` maps a form of
    :mod:`harness.data.convert` to the file name that other code expects. With ``questions`` its texts
    are files of questions (:mod:`harness.data.questions`), and it has no captions.
    """

    routes: tuple[Route, ...]
    paragraph: bool = False
    without: tuple[str, ...] = ()
    written: Mapping[str, str] = field(default_factory=dict)
    questions: bool = False


class AnnotationFolder:
    """The annotation files below a folder, found by the patterns of a :class:`Route`, each read once."""

    def __init__(self, tree: Tree) -> None:
        self.root, self._found = tree.root, tree.annotations
        self._captions: dict[Path, AnnotationFile] = {}
        self._questions: dict[Path, QuestionFile] = {}

    def route(self, given: Iterable[Route]) -> Route | None:
        """The first route whose files are all there."""
        return next((route for route in given if all(self.path(name) for name in route.files)), None)

    def path(self, pattern: str) -> Path | None:
        """The annotation file of that name; with a star in it the first match by name."""
        return next(iter(self.paths(pattern)), None)

    def paths(self, pattern: str) -> list[Path]:
        """Every annotation file of that name, the one that is used first."""
        found, pattern = self._found, pattern.lower()
        if pattern in found or "*" not in pattern:
            return found.all_of(pattern)
        return [path for name in sorted(found) if fnmatch(name, pattern) for path in found.all_of(name)]

    def captions(self, pattern: str) -> AnnotationFile:
        """The rows of a file of a route that was taken."""
        path = self.path(pattern)
        assert path is not None, "a route is taken only when its files are there"
        if path not in self._captions:
            self._captions[path] = annotations.read(path)
        return self._captions[path]

    def questions(self, pattern: str) -> QuestionFile:
        """The questions of a file of a route that was taken."""
        path = self.path(pattern)
        assert path is not None, "a route is taken only when its files are there"
        if path not in self._questions:
            self._questions[path] = read_questions(path)
        return self._questions[path]

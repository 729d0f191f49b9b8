"""A data set given by annotation files and a folder of videos, in any of several layouts.

Which files a split is read from is declared (:mod:`harness.data.route`), which rows they hold is
recognised by :mod:`harness.data.annotations`, and ids are the same by every route, so that the identity
of a protocol does not depend on whose files were used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from harness.data import annotations
from harness.data.contents import Contents, SplitReader
from harness.data.convert import FORMS
from harness.data.dataset import Caption, Clip, DataReport, Dataset, Question, SplitReport
from harness.data.files import Tree, scan, stem_of
from harness.data.questions import Asked
from harness.data.route import AnnotationFolder, Route, Split
from harness.errors import HarnessError
from harness.specs import Options

#: So many sets of files, or names of files, are listed in a message.
_NAMED = 3


class AnnotatedOptions(Options):
    """``annotations`` is the folder of the annotation files where they are not below the data root."""

    annotations: str = ""


class AnnotatedDataset(Dataset):
    """Clips and captions of the given splits under a data root.

    Annotation files are read when a split first needs them. ``title`` names the data set in
    messages. A subclass may say how ids are made of the names in files (:meth:`id_of`,
    :meth:`id_of_number`), under which stems a clip's file may lie (:meth:`stems_of`), which part of a
    file belongs to a clip (:meth:`window_of`), and of what kind a question is (:meth:`kind_of`).
    """

    def __init__(
        self, title: str, splits: Mapping[str, Split], options: AnnotatedOptions, root: Path
    ) -> None:
        self.title, self._splits = title, splits
        self._routes = {
            name: split.routes if split.questions else (*split.routes, *self._converted(name))
            for name, split in splits.items()
        }
        self.tree: Tree = scan(root)
        source = scan(Path(options.annotations).expanduser()) if options.annotations else self.tree
        self._annotations = AnnotationFolder(source)
        self._contents = lru_cache(maxsize=None)(self._read_split)
        if not self.splits():
            raise HarnessError(
                f"no annotation file of {title} in {self._annotations.root} or up to three folders below it; "
                f"looked for {_examples(splits)}",
                "put the annotation files into the data root, or name their folder with --annotations",
            )

    def id_of(self, name: str) -> str:
        """The clip id that a video's name in an annotation file stands for."""
        return stem_of(name)

    def id_of_number(self, number: int) -> str:
        """The clip id of a video that a file of questions calls by its number."""
        return str(number)

    def kind_of(self, asked: Asked) -> str:
        """How the data set sorts a question; as its file does, unless a subclass says otherwise."""
        return asked.kind

    def stems_of(self, clip_id: str) -> Sequence[str]:
        """Under which stems the clip's file may lie, the most likely first."""
        return (clip_id,)

    def window_of(self, clip_id: str, duration_s: float | None) -> tuple[float, float | None]:
        """From and up to which second a video file belongs to the clip; ``duration_s`` as annotated.

        A folder of pictures always is a clip as a whole.
        """
        return 0.0, None

    def splits(self) -> Sequence[str]:
        """Splits for which one route's files are all there."""
        return [name for name in self._splits if self._annotations.route(self._routes[name]) is not None]

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips in the order of the split's list; ``path`` is None where no video was found."""
        contents = self._contents(split)
        return [self._clip(name, contents.durations.get(name)) for name in contents.clips]

    def _clip(self, name: str, duration_s: float | None) -> Clip:
        path = self.tree.video(*self.stems_of(name))
        if path is not None and path in self.tree.pictures.all_of(path.name):
            return Clip(name, path)  # pictures have no times but what a folder's name may tell
        return Clip(name, path, *self.window_of(name, duration_s))

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """All texts, clip by clip; one paragraph for each clip where the split says so."""
        if source != "text":
            raise HarnessError(
                f"the data set {self.title} has no text source {source!r}", "its only source is 'text'"
            )
        contents = self._contents(split)
        if self._splits[split].paragraph:
            return [Caption(name, name, paragraph(contents.texts[name])) for name in contents.clips]
        return [
            Caption(f"{name}#{number}", name, text)
            for name in contents.clips
            for number, text in enumerate(contents.texts[name])
        ]

    def questions(self, split: str) -> Sequence[Question]:
        """All questions of a split, in the order of its files; none of a split of captions.

        An id is that of the clip and the question's place among the clip's own.
        """
        return self._contents(split).questions

    def annotation(self, name: str) -> Path | None:
        """The annotation file of that name, for a subclass that reads one of its own."""
        return self._annotations.path(name)

    def written_as(self, split: str, form: str) -> str:
        """The file name under which other code expects this split."""
        return self._splits[split].written.get(form, "") or f"{self.title}_{split}.{form}"

    def _converted(self, split: str) -> Iterator[Route]:
        """Whatever is written can be read again; questions are not written."""
        for form in FORMS:
            yield Route((self.written_as(split, form),))

    def report(self, split: str) -> SplitReport:
        """Counts of a split, with what its list and its captions do not have in common."""
        report, contents = super().report(split), self._contents(split)
        return replace(report, silent=contents.silent, unlisted=contents.unlisted)

    def check(self, splits: Sequence[str]) -> DataReport:
        """Counts of all splits, and notes on blank texts and on files of one name or stem.

        A video that another of these splits lists is not left out: one file of captions may serve all.
        """
        all_contents = [self._contents(split) for split in splits]
        listed = {clip for contents in all_contents for clip in (*contents.clips, *contents.silent)}
        reports = {
            name: replace(found, unlisted=tuple(clip for clip in found.unlisted if clip not in listed))
            for name, found in super().check(splits).splits.items()
        }
        notes = [note for contents in all_contents for note in contents.notes]
        notes += self._namesakes(splits)
        notes += self._passed_over(clip for contents in all_contents for clip in contents.clips)
        return DataReport(reports, tuple(dict.fromkeys(notes)))

    def _namesakes(self, splits: Sequence[str]) -> Iterator[str]:
        """A note on each annotation file in use that another one of its name differs from."""
        for split in splits:
            route = self._annotations.route(self._routes[split])
            for pattern in route.files if route else ():
                used, *others = self._annotations.paths(pattern)
                differing = [path for path in others if not annotations.same(used, path)]
                if differing:
                    others = _few(map(str, differing))
                    yield f"{used} is read; of the same kind and with other content there is also {others}"

    def _passed_over(self, names: Iterable[str]) -> Iterator[str]:
        """A note on what carries the name of a clip beside what is taken for it."""
        found = (list(self.tree.candidates(*self.stems_of(name))) for name in dict.fromkeys(names))
        pairs = {path: used for used, *others in filter(None, found) for path in others if path != used}
        if pairs:
            path, used = next(iter(pairs.items()))
            yield (
                f"passed over because another has their stem: {len(pairs)} files or folders, such as {path} "
                f"for {used}; a video is preferred to a file without suffix, and that to a folder of pictures, "
                "then the one higher up in the tree, then the first by path"
            )

    def _read_split(self, name: str) -> Contents:
        if name not in self._splits:
            raise HarnessError(
                f"the data set {self.title} has no split {name!r}",
                f"its splits are {', '.join(self._splits)}",
            )
        split = self._splits[name]
        route = self._annotations.route(self._routes[name])
        if route is None:
            wanted = _few([" with ".join(route.files) for route in split.routes], "; or ")
            raise HarnessError(
                f"no annotation files of {self.title}/{name} in {self._annotations.root}: looked for {wanted}",
                "add one of these sets of files, or name their folder with --annotations",
            )
        return SplitReader(self.title, name, split, route, self._annotations, self).read()


def paragraph(texts: Sequence[str]) -> str:
    """All texts as one, joined by single blanks; line breaks and runs of blanks become one blank."""
    return " ".join(" ".join(texts).split())


def _few(names: Iterable[str], between: str = ", ") -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f"{between}{len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return between.join(names[:_NAMED]) + more


def _examples(splits: Mapping[str, Split]) -> str:
    names = dict.fromkeys(name for split in splits.values() for name in split.routes[0].files)
    return ", ".join(names)

"""A data set given by annotation files and a folder of videos, in any of several layouts.

A benchmark's split can be had from different files: its owner's, or those of a code base that
converted them. Each such possibility is a :class:`Route`; the first whose files are all there is
taken. Which rows they hold is recognised by :mod:`harness.data.annotations`, and ids are the same by
every route, so that the identity of a protocol does not depend on whose files were used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from harness.data import annotations
from harness.data.annotations import AnnotationFile, Row
from harness.data.annotations.pickled import load_numbers
from harness.data.convert import FORMS
from harness.data.dataset import Caption, Clip, DataReport, Dataset, Question, SplitReport
from harness.data.files import Tree, scan, stem_of
from harness.data.questions import Asked, QuestionFile, read_questions
from harness.errors import HarnessError
from harness.specs import Options

#: So many videos of a list may lack captions before list and captions count as not of one kind: a
#: share, or a few where the list is short, but never more than half of it.
_SILENT_FEW, _SILENT_SHARE, _SILENT_MOST = 20, 0.02, 0.5

#: So many sets of files, or names of files, are listed in a message.
_NAMED = 3


class AnnotatedOptions(Options):
    """``annotations`` is the folder of the annotation files where they are not below the data root."""

    annotations: str = ""


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


@dataclass(frozen=True)
class _Contents:
    """A split as its files have it: clips in order, texts by clip, questions in the order of the file."""

    clips: tuple[str, ...]
    texts: Mapping[str, list[str]]
    durations: Mapping[str, float]
    silent: tuple[str, ...]
    unlisted: tuple[str, ...]
    notes: tuple[str, ...]
    questions: tuple[Question, ...] = ()


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
        self._source = scan(Path(options.annotations).expanduser()) if options.annotations else self.tree
        self._files: dict[Path, AnnotationFile] = {}
        self._question_files: dict[Path, QuestionFile] = {}
        self._contents = lru_cache(maxsize=None)(self._read_split)
        if not self.splits():
            raise HarnessError(
                f"no annotation file of {title} in {self._source.root} or up to three folders below it; "
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
        return [name for name in self._splits if self._route(name) is not None]

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
        return self._find(name)

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
            route = self._route(split)
            for pattern in route.files if route else ():
                used, *others = self._all(pattern)
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

    def _read_split(self, name: str) -> _Contents:
        if name not in self._splits:
            raise HarnessError(
                f"the data set {self.title} has no split {name!r}",
                f"its splits are {', '.join(self._splits)}",
            )
        split = self._splits[name]
        route = self._route(name)
        if route is None:
            wanted = _few([" with ".join(route.files) for route in split.routes], "; or ")
            raise HarnessError(
                f"no annotation files of {self.title}/{name} in {self._source.root}: looked for {wanted}",
                "add one of these sets of files, or name their folder with --annotations",
            )
        if split.questions:
            return self._asked(name, split, route)
        files = [self._file(pattern) for pattern in route.texts]
        rows = [row for file in files for row in file.rows]
        listed = self._listed(route, rows)
        contents = self._described(route, rows, [clip for clip in listed if clip not in split.without])
        self._refuse_strangers(name, route, contents)
        blank = sum(file.blank for file in files)
        if blank and route.places:
            raise HarnessError(
                f"{files[0].path} has {blank} blank texts, so the numbers in {self._find(route.places)} miss theirs",
                "get the file again",
            )
        note = f"{name}: {blank} blank texts in {files[0].path.name} are left out"
        return replace(
            contents,
            unlisted=tuple(clip for clip in contents.unlisted if clip not in split.without),
            notes=(note,) if blank else (),
        )

    def _asked(self, name: str, split: Split, route: Route) -> _Contents:
        """The questions about the clips of a list or, without one, about all that the file names."""
        found = [
            (self._asked_about(asked), asked) for file in route.texts for asked in self._question_rows(file)
        ]
        listed = self._listed(route, ()) if route.ids else [clip for clip, _ in found]
        numbers = dict.fromkeys((clip for clip in listed if clip not in split.without), 0)
        questions, unlisted = [], {}
        for clip, asked in found:
            if clip not in numbers:
                unlisted[clip] = None
                continue
            kind, place = self.kind_of(asked), numbers[clip]
            questions.append(Question(f"{clip}?{place}", clip, asked.text, asked.answer, kind))
            numbers[clip] += 1
        contents = _Contents(
            clips=tuple(clip for clip, count in numbers.items() if count),
            texts={clip: [] for clip in numbers},
            durations={},
            silent=tuple(clip for clip, count in numbers.items() if not count),
            unlisted=tuple(unlisted) if route.ids else (),
            notes=(),
            questions=tuple(questions),
        )
        self._refuse_strangers(name, route, contents)
        return contents

    def _asked_about(self, asked: Asked) -> str:
        return self.id_of_number(asked.video) if isinstance(asked.video, int) else self.id_of(asked.video)

    def _question_rows(self, pattern: str) -> tuple[Asked, ...]:
        path = self._find(pattern)
        assert path is not None, "a route is taken only when its files are there"
        if path not in self._question_files:
            self._question_files[path] = read_questions(path)
        return self._question_files[path].rows

    def _listed(self, route: Route, rows: Sequence[Row]) -> list[str]:
        """The ids of a split, each once, in order."""
        if route.ids:
            rows = self._file(route.ids).rows
        elif route.stated:
            rows = [row for row in rows if row.split in route.stated]
        return list(dict.fromkeys(self.id_of(row.video) for row in rows))

    def _described(self, route: Route, rows: Sequence[Row], listed: Sequence[str]) -> _Contents:
        """Gathers the texts of the listed clips; several names of one video come together here."""
        texts: dict[str, list[str]] = {name: [] for name in listed}
        durations: dict[str, float] = {}
        unlisted: dict[str, None] = {}
        ids: dict[str, str] = {}
        for row in rows:
            name = ids.get(row.video)
            if name is None:
                name = ids[row.video] = self.id_of(row.video)
            if name not in texts:
                if row.texts:
                    unlisted[name] = None
                continue
            texts[name].extend(row.texts)
            if row.duration_s is not None:
                durations[name] = row.duration_s
        if route.places:
            texts = self._chosen(route, texts)
        elif route.first:
            texts = {name: found[:1] for name, found in texts.items()}
        clips = tuple(name for name in listed if texts[name])
        silent = tuple(name for name in listed if not texts[name])
        # Only a list of its own leaves something out; one file of captions may serve several splits.
        left_out = tuple(unlisted) if route.ids and len(route.texts) == 1 else ()
        return _Contents(clips, texts, durations, silent, left_out, ())

    def _chosen(self, route: Route, texts: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """The one caption of each video whose number a file states."""
        path = self._find(route.places)
        assert path is not None
        numbers = load_numbers(path)
        chosen = {}
        for name, found in texts.items():
            number = numbers.get(name)
            if number is None or not 0 <= number < len(found):
                raise HarnessError(
                    f"{path} names caption {number} of {name}, which has {len(found)}",
                    "use the caption file that it belongs to",
                )
            chosen[name] = [found[number]]
        return chosen

    def _refuse_strangers(self, split: str, route: Route, contents: _Contents) -> None:
        """A list and captions of different halves of a data set would quietly make a small split."""
        listed, silent = len(contents.clips) + len(contents.silent), len(contents.silent)
        path = self._find(route.texts[0])
        if not listed:
            states = f": nothing in it states the split {' or '.join(route.stated)}" if route.stated else ""
            raise HarnessError(
                f"{self._find(route.ids) if route.ids else path} names no video of {self.title}/{split}{states}",
                "get the file again, or another that has this split",
            )
        if silent > min(max(_SILENT_FEW, _SILENT_SHARE * listed), _SILENT_MOST * listed):
            kind = "question" if self._splits[split].questions else "text"
            raise HarnessError(
                f"{path} has no {kind} for {silent} of the {listed} clips of {self.title}/{split}, "
                f"such as {', '.join(contents.silent[:3])}",
                "use the file with the texts of all videos of the split's list",
            )

    def _route(self, split: str) -> Route | None:
        return next((r for r in self._routes[split] if all(self._find(name) for name in r.files)), None)

    def _find(self, pattern: str) -> Path | None:
        """The annotation file of that name; with a star in it the first match by name."""
        return next(iter(self._all(pattern)), None)

    def _all(self, pattern: str) -> list[Path]:
        """Every annotation file of that name, the one that is used first."""
        found, pattern = self._source.annotations, pattern.lower()
        if pattern in found or "*" not in pattern:
            return found.all_of(pattern)
        return [path for name in sorted(found) if fnmatch(name, pattern) for path in found.all_of(name)]

    def _file(self, pattern: str) -> AnnotationFile:
        path = self._find(pattern)
        assert path is not None, "a route is taken only when its files are there"
        if path not in self._files:
            self._files[path] = annotations.read(path)
        return self._files[path]


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

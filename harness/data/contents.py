"""What a split has: clips, texts and questions, read from the files of a route and held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.data.annotations import Row
from harness.data.annotations.pickled import load_numbers
from harness.data.dataset import Question
from harness.data.questions import Asked
from harness.data.route import AnnotationFolder, Route, Split
from harness.errors import HarnessError

#: So many videos of a list may lack captions before list and captions count as not of one kind: a
#: share, or a few where the list is short, but never more than half of it.
_SILENT_FEW, _SILENT_SHARE, _SILENT_MOST = 20, 0.02, 0.5


class Names(Protocol):
    """What a data set says of the names in its files; see :class:`harness.data.AnnotatedDataset`."""

    def id_of(self, name: str) -> str: ...

    def id_of_number(self, number: int) -> str: ...

    def kind_of(self, asked: Asked) -> str: ...


@dataclass(frozen=True)
class Contents:
    """A split as its files have it: clips in order, texts by clip, questions in the order of the file."""

    clips: tuple[str, ...]
    texts: Mapping[str, list[str]]
    durations: Mapping[str, float]
    silent: tuple[str, ...]
    unlisted: tuple[str, ...]
    notes: tuple[str, ...]
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True)
class SplitReader:
    """Reads one split by the route that was taken; ``title`` and ``name`` say in messages which it is."""

    title: str
    name: str
    split: Split
    route: Route
    folder: AnnotationFolder
    names: Names

    def read(self) -> Contents:
        """The split's contents. Raises HarnessError where its files are not of one kind."""
        return self._asked() if self.split.questions else self._captioned()

    def _captioned(self) -> Contents:
        files = [self.folder.captions(pattern) for pattern in self.route.texts]
        rows = [row for file in files for row in file.rows]
        listed = self._listed(rows)
        contents = self._described(rows, [clip for clip in listed if clip not in self.split.without])
        self._refuse_strangers(contents)
        blank = sum(file.blank for file in files)
        if blank and self.route.places:
            raise HarnessError(
                f"{files[0].path} has {blank} blank texts, so the numbers in "
                f"{self.folder.path(self.route.places)} miss theirs",
                "get the file again",
            )
        note = f"{self.name}: {blank} blank texts in {files[0].path.name} are left out"
        return replace(
            contents,
            unlisted=tuple(clip for clip in contents.unlisted if clip not in self.split.without),
            notes=(note,) if blank else (),
        )

    def _asked(self) -> Contents:
        """The questions about the clips of a list or, without one, about all that the file names."""
        found = [
            (self._asked_about(asked), asked)
            for file in self.route.texts
            for asked in self.folder.questions(file).rows
        ]
        listed = self._listed(()) if self.route.ids else [clip for clip, _ in found]
        numbers = dict.fromkeys((clip for clip in listed if clip not in self.split.without), 0)
        questions, unlisted = [], {}
        for clip, asked in found:
            if clip not in numbers:
                unlisted[clip] = None
                continue
            kind, place = self.names.kind_of(asked), numbers[clip]
            questions.append(Question(f"{clip}?{place}", clip, asked.text, asked.answer, kind))
            numbers[clip] += 1
        contents = Contents(
            clips=tuple(clip for clip, count in numbers.items() if count),
            texts={clip: [] for clip in numbers},
            durations={},
            silent=tuple(clip for clip, count in numbers.items() if not count),
            unlisted=tuple(unlisted) if self.route.ids else (),
            notes=(),
            questions=tuple(questions),
        )
        self._refuse_strangers(contents)
        return contents

    def _asked_about(self, asked: Asked) -> str:
        video = asked.video
        return self.names.id_of_number(video) if isinstance(video, int) else self.names.id_of(video)

    def _listed(self, rows: Sequence[Row]) -> list[str]:
        """The ids of a split, each once, in order."""
        if self.route.ids:
            rows = self.folder.captions(self.route.ids).rows
        elif self.route.stated:
            rows = [row for row in rows if row.split in self.route.stated]
        return list(dict.fromkeys(self.names.id_of(row.video) for row in rows))

    def _described(self, rows: Sequence[Row], listed: Sequence[str]) -> Contents:
        """Gathers the texts of the listed clips; several names of one video come together here."""
        texts: dict[str, list[str]] = {name: [] for name in listed}
        durations: dict[str, float] = {}
        unlisted: dict[str, None] = {}
        ids: dict[str, str] = {}
        for row in rows:
            name = ids.get(row.video)
            if name is None:
                name = ids[row.video] = self.names.id_of(row.video)
            if name not in texts:
                if row.texts:
                    unlisted[name] = None
                continue
            texts[name].extend(row.texts)
            if row.duration_s is not None:
                durations[name] = row.duration_s
        if self.route.places:
            texts = self._chosen(texts)
        elif self.route.first:
            texts = {name: found[:1] for name, found in texts.items()}
        clips = tuple(name for name in listed if texts[name])
        silent = tuple(name for name in listed if not texts[name])
        # Only a list of its own leaves something out; one file of captions may serve several splits.
        left_out = tuple(unlisted) if self.route.ids and len(self.route.texts) == 1 else ()
        return Contents(clips, texts, durations, silent, left_out, ())

    def _chosen(self, texts: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """The one caption of each video whose number a file states."""
        path = self.folder.path(self.route.places)
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

    def _refuse_strangers(self, contents: Contents) -> None:
        """A list and captions of different halves of a data set would quietly make a small split."""
        listed, silent = len(contents.clips) + len(contents.silent), len(contents.silent)
        path = self.folder.path(self.route.texts[0])
        if not listed:
            file = self.folder.path(self.route.ids) if self.route.ids else path
            stated = " or ".join(self.route.stated)
            states = f": nothing in it states the split {stated}" if stated else ""
            raise HarnessError(
                f"{file} names no video of {self.title}/{self.name}{states}",
                "get the file again, or another that has this split",
            )
        if silent > min(max(_SILENT_FEW, _SILENT_SHARE * listed), _SILENT_MOST * listed):
            kind = "question" if self.split.questions else "text"
            raise HarnessError(
                f"{path} has no {kind} for {silent} of the {listed} clips of {self.title}/{self.name}, "
                f"such as {', '.join(contents.silent[:3])}",
                "use the file with the texts of all videos of the split's list",
            )

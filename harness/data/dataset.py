"""What a data set gives: clips, captions, and nothing decoded.

Plain values without torch, so that a data set can be listed, checked and hashed by any command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: ``progress(done, total, what)``: how preparation reports itself.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Clip:
    """One clip of the gallery: a video file, or a folder of numbered pictures.

    ``path`` is None where it was not found. Only what is shown from ``start_s`` on and before
    ``end_s`` belongs to the clip, in seconds from the file's first frame; None is the file's end.
    ``id`` is unique within its split.
    """

    id: str
    path: Path | None
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Caption:
    """One text and the clip it describes. ``id`` is unique within its split."""

    id: str
    clip_id: str
    text: str


@dataclass(frozen=True)
class Question(Caption):
    """A question about a clip: ``text`` is what is asked, ``answer`` the reference as the file has it.

    ``kind`` is how the data set sorts its questions (``what``, ``colour`` ...), where it does. ``foil``
    is an answer that would be right but for one thing, such as the direction of time, where there is one.
    ``id`` is unique within its split.
    """

    answer: str
    kind: str = ""
    foil: str = ""


def asked_and_answered(questions: Iterable[Question]) -> Iterator[tuple[str, str, str]]:
    """(id, text, clip id) of questions and of their answers, for the hash of a protocol."""
    for question in questions:
        yield question.id, question.text, question.clip_id
        yield f"{question.id}=", question.answer, question.clip_id


@dataclass(frozen=True)
class Contrast:
    """A text with its own clip and one that differs from it in a single respect."""

    caption_id: str
    clip_id: str
    foil_id: str


@dataclass(frozen=True)
class SplitReport:
    """What the annotation files and the folder say of one split, by name.

    ``missing``: clips without a file. ``silent``: videos that the split's list names and no
    annotation describes; they are not part of the split. ``unlisted``: videos that the split's
    annotations describe and its list leaves out.
    """

    clips: int
    captions: int
    missing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    questions: int = 0

    @property
    def found(self) -> int:
        return self.clips - len(self.missing)


@dataclass(frozen=True)
class DataReport:
    """Every split that was asked for, and what concerns the whole folder."""

    splits: Mapping[str, SplitReport]
    notes: Sequence[str] = field(default_factory=tuple)


class Dataset(ABC):
    """A data set under one root folder.

    Construction may read annotation files and list folders; it never decodes. A root that holds
    no annotation file or no video at all is a :class:`harness.HarnessError` that says where it
    looked. Single missing files are not errors: their clips have ``path=None``.
    """

    def prepare(self, progress: Progress) -> None:  # noqa: B027 - most data sets have nothing to do
        """Make the files of a generated data set; safe to call again and by two runs at once."""

    @abstractmethod
    def splits(self) -> Sequence[str]:
        """The splits whose annotation files are there, training splits first."""

    @abstractmethod
    def clips(self, split: str) -> Sequence[Clip]:
        """All clips of a split, missing ones included, in the order of the annotation file."""

    @abstractmethod
    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """All texts of a split from one of its :meth:`sources`, grouped as the annotation file has
        them. Not every clip need have a text of every source."""

    def sources(self, split: str) -> Sequence[str]:
        """The kinds of text that a split has, as :meth:`captions` calls them."""
        return ("text",)

    def questions(self, split: str) -> Sequence[Question]:
        """All questions about the clips of a split, in the order of the annotation file; none where
        the data set has none."""
        return ()

    def contrasts(self, split: str) -> Mapping[str, Sequence[Contrast]]:
        """Named forced choices between a clip and its foil, reported beside the ranks."""
        return {}

    def written_as(self, split: str, form: str) -> str:
        """The file name of a split in a form of :mod:`harness.data.convert`."""
        return f"{split}.{form}"

    def check(self, splits: Sequence[str]) -> DataReport:
        """Count what is found and missing, split by split; decodes nothing."""
        return DataReport({split: self.report(split) for split in splits})

    def report(self, split: str) -> SplitReport:
        """One split's part of :meth:`check`."""
        clips = self.clips(split)
        missing = tuple(clip.id for clip in clips if clip.path is None)
        return SplitReport(
            len(clips), len(self.captions(split)), missing, questions=len(self.questions(split))
        )

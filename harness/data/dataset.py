"""What a data set gives: clips, captions, and nothing decoded.

Plain values without torch, so that a data set can be listed, checked and hashed by any command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: ``progress(done, total, what)``: how preparation reports itself.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Clip:
    """One clip of the gallery: a whole file. ``path`` is None where it was not found."""

    id: str
    path: Path | None


@dataclass(frozen=True)
class Caption:
    """One text and the clip it describes. ``id`` is unique within its split."""

    id: str
    clip_id: str
    text: str


@dataclass(frozen=True)
class Contrast:
    """A text with its own clip and one that differs from it in a single respect."""

    caption_id: str
    clip_id: str
    foil_id: str


@dataclass(frozen=True)
class DataReport:
    """What lies under a data root, per split: counts and the names of what is missing."""

    found: Mapping[str, int]
    missing: Mapping[str, Sequence[str]]
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
    def clips(self, split: str) -> Sequence[Clip]:
        """All clips of a split, missing ones included, in the order of the annotation file."""

    @abstractmethod
    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """All texts of a split from one source, grouped as the annotation file has them."""

    def contrasts(self, split: str) -> Mapping[str, Sequence[Contrast]]:
        """Named forced choices between a clip and its foil, reported beside the ranks."""
        return {}

    def check(self, splits: Sequence[str]) -> DataReport:
        """Count what is found and missing, split by split."""
        found, missing = {}, {}
        for split in splits:
            clips = self.clips(split)
            missing[split] = tuple(clip.id for clip in clips if clip.path is None)
            found[split] = len(clips) - len(missing[split])
        return DataReport(found, missing)

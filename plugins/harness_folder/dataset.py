"""A folder of videos with captions: its splits, clips and texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import HarnessError
from harness.data import AnnotatedOptions, Caption, Clip, DataReport, Dataset, SplitReport
from harness.data.files import scan
from harness_folder.matching import match
from harness_folder.reading import DIVIDE, Captions, read_captions


class FolderDataset(Dataset):
    """Clips and captions of a folder; several rows may describe one video.

    A clip's id is its name in the caption files, as a path below the root and without suffix.
    """

    def __init__(self, options: AnnotatedOptions, root: Path) -> None:
        self.tree = scan(root)
        self._captions: Captions = read_captions(Path(options.annotations or root).expanduser())
        names = dict.fromkeys(row.video for rows in self._captions.rows.values() for row in rows)
        self._found = match(self.tree, names)
        self._texts = {split: self._gathered(split) for split in self._captions.rows}

    def splits(self) -> Sequence[str]:
        return list(self._captions.rows)

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips in the order in which the caption files first name them."""
        return [Clip(name, self._found.paths[name]) for name, texts in self._of(split).items() if texts]

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """All texts, clip by clip."""
        if source != "text":
            raise HarnessError(f"a folder has no text source {source!r}", "its only source is 'text'")
        return [
            Caption(f"{name}#{number}", name, text)
            for name, texts in self._of(split).items()
            for number, text in enumerate(texts)
        ]

    def report(self, split: str) -> SplitReport:
        """Counts of a split, with the videos that have nothing but blank captions."""
        report = super().report(split)
        silent = tuple(name for name, texts in self._of(split).items() if not texts)
        return SplitReport(report.clips, report.captions, report.missing, silent)

    def check(self, splits: Sequence[str]) -> DataReport:
        """Counts of all splits, and notes on what looks like an oversight."""
        return DataReport(super().check(splits).splits, tuple(self._notes()))

    def _notes(self) -> list[str]:
        captions, found, notes = self._captions, self._found, []
        if captions.undivided:
            notes.append(f"{captions.undivided.name} states no split, so all of it is for testing")
        if captions.blank:
            notes.append(f"{captions.blank} blank captions are left out")
        if found.moved:
            name, path = next(iter(found.moved.items()))
            notes.append(
                f"found by name in another folder: {len(found.moved)} videos, such as {name} as {path}"
            )
        if found.unnamed:
            notes.append(f"without a caption: {len(found.unnamed)} videos, such as {found.unnamed[0]}")
        return notes

    def _of(self, split: str) -> dict[str, list[str]]:
        if split in self._texts:
            return self._texts[split]
        captions = self._captions
        if captions.undivided and split == "train":
            raise HarnessError(
                f"{captions.undivided} does not say which videos are for training and which for testing",
                DIVIDE,
            )
        raise HarnessError(
            f"no caption file in {captions.folder} has videos of the split {split!r}, only of "
            f"{', '.join(captions.rows)}",
            DIVIDE,
        )

    def _gathered(self, split: str) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {}
        for row in self._captions.rows[split]:
            texts.setdefault(self._found.ids[row.video], []).extend(row.texts)
        return texts


def build(options: AnnotatedOptions, root: Path) -> FolderDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return FolderDataset(options, Path(root))

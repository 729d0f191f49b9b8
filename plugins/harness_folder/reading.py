"""The caption files of a folder: which there are, and to which split each of their rows belongs.

Every csv, tsv, JSON and JSON-lines file that lies directly in the folder counts, gzipped or not. A row
belongs to the split that its file states for it, else to the one that the file's name says. A single
file that says neither is a test set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import HarnessError
from harness.data import annotations
from harness.data.annotations import AnnotationFile, Row

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl")

SPLITS = ("train", "val", "test")
_CALLED = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}

#: What to do with a file that is no caption file.
_APART = "if it is no caption file, keep those in a folder of their own and name that with --annotations"

DIVIDE = "add a column 'split' with train, val or test, or call the files train.* and test.*"


@dataclass(frozen=True)
class Captions:
    """The rows of each split in the order of the files, which come by name.

    ``undivided`` is the one file that states no split, where there is but one; ``blank`` counts the
    texts that were left out.
    """

    folder: Path
    rows: dict[str, list[Row]]
    undivided: Path | None
    blank: int


def read_captions(folder: Path) -> Captions:
    """All caption files of a folder. Raises HarnessError with the file, and the place where there is one."""
    paths = _files(folder)
    if not paths:
        raise HarnessError(
            f"no caption file in {folder}: looked for {', '.join('*' + suffix for suffix in SUFFIXES)}",
            "put a csv with the columns video and caption there, or name the folder of the captions with "
            "--annotations",
        )
    rows: dict[str, list[Row]] = {}
    undivided, blank = [], 0
    for path in paths:
        file = _read(path)
        blank += file.blank
        splits = _splits_of(file)
        if splits is None:
            undivided.append(path)
            splits = ["test"] * len(file.rows)
        for split, row in zip(splits, file.rows):
            rows.setdefault(split, []).append(row)
    if undivided and len(paths) > 1:
        raise HarnessError(f"{undivided[0]} does not say to which split its videos belong", DIVIDE)
    ordered = {split: rows[split] for split in SPLITS if split in rows}
    return Captions(folder, ordered, undivided[0] if undivided else None, blank)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise HarnessError(f"the folder {folder} does not exist or is not a folder", "check the path")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise HarnessError(
            f"the folder {folder} cannot be read: {error.strerror}", "make it readable"
        ) from error
    return [
        path
        for path in entries
        if path.name.lower().removesuffix(".gz").endswith(SUFFIXES)
        and not path.name.startswith(".")
        and path.is_file()
    ]


def _read(path: Path) -> AnnotationFile:
    try:
        file = annotations.read(path)
    except HarnessError as error:
        raise HarnessError(error.message, f"{error.hint}; {_APART}") from error
    if file.is_list:
        raise HarnessError(
            f"{path} holds no captions: its form is a {file.form}",
            f"it needs a column or key 'caption' beside 'video'; {_APART}",
        )
    for row in file.rows:
        for text in row.texts:
            if re.fullmatch(r"\[\s*(['\"]).*\1\s*\]", text, re.DOTALL):
                raise HarnessError(
                    f"{path}: the caption of {row.video} is a list written as one text: {text[:60]}",
                    "give each caption a row of its own, or use JSON lines, where lists are lists",
                )
    return file


def _splits_of(file: AnnotationFile) -> Sequence[str] | None:
    """The split of each row, None where nothing tells it."""
    # A table of videos states it once, apart from their captions.
    stated = {row.video: row.split for row in file.rows if row.split}
    if not stated:
        by_name = _named(file.path)
        return by_name and [by_name] * len(file.rows)
    splits = []
    for row in file.rows:
        word = row.split or stated.get(row.video, "")
        if word.lower() not in _CALLED:
            says = f"the split {word!r}" if word else "no split"
            raise HarnessError(
                f"{file.path} gives {row.video} {says}", f"write one of {', '.join(SPLITS)} for every video"
            )
        splits.append(_CALLED[word.lower()])
    return splits


def _named(path: Path) -> str | None:
    """The split that a file's name has a word for: ``train.csv``, ``cats_test.jsonl``."""
    words = re.split(r"[^a-z]+", path.name.lower())
    found = {_CALLED[word] for word in words if word in _CALLED}
    return found.pop() if len(found) == 1 else None

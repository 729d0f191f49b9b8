"""Finds and reads the files of MSR-VTT: video files by stem, two JSON dialects, and csv lists.

Annotations of the clips that are tested come from csv files; training sentences from the JSON.
Errors name the file and the line, or for JSON, whose lines mean little, the place in the list.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness import HarnessError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg"}
    | {".wmv", ".flv", ".3gp", ".ts", ".mts", ".m2ts"}
)

#: How many folders below the root an annotation file may lie.
_ANNOTATION_DEPTH = 2


@dataclass
class Tree:
    """What one walk over a data root found. ``repeated`` counts further files of a known stem."""

    root: Path
    videos: dict[str, Path] = field(default_factory=dict)
    annotations: dict[str, Path] = field(default_factory=dict)
    folders: int = 0
    repeated: int = 0


def scan(root: Path, annotation_names: Collection[str]) -> Tree:
    """Walk ``root`` once, following linked folders; what lies higher, then earlier, wins.

    Hidden files are passed over: copying from some systems leaves ``._video0.mp4`` beside each
    video, with its stem but not its content.
    """
    if not root.is_dir():
        raise HarnessError(
            f"the MSR-VTT folder {root} does not exist or is not a folder",
            "pass the folder that holds the videos and annotation files with --data-root",
        )
    tree = Tree(root)
    for depth, folder, names in sorted(_walk(root)):
        tree.folders += 1
        for name in names:
            if name in annotation_names and depth <= _ANNOTATION_DEPTH:
                tree.annotations.setdefault(name, folder / name)
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                tree.repeated += stem in tree.videos
                tree.videos.setdefault(stem, folder / name)
    return tree


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


def read_ids(path: Path) -> list[str]:
    """Read the ``video_id`` column of a training list; an id that comes twice is an error."""
    ids: dict[str, int] = {}
    for line, row in _rows(path, ("video_id",)):
        video = row["video_id"]
        if video in ids:
            raise _malformed(path, line, f"repeats {video} of line {ids[video]}")
        ids[video] = line
    return list(ids)


def read_test(path: Path) -> list[tuple[str, str, str]]:
    """Read the test list: (key, video id, sentence) in the order of the file."""
    rows, keys = [], set()
    for line, row in _rows(path, ("key", "video_id", "sentence")):
        if row["key"] in keys:
            raise _malformed(path, line, f"repeats the key {row['key']}")
        keys.add(row["key"])
        rows.append((row["key"], row["video_id"], row["sentence"]))
    return rows


def read_sentences(path: Path) -> list[tuple[str, str]]:
    """Read (video id, sentence) pairs, in order, from either JSON in circulation.

    ``{"sentences": [{"video_id", "caption"}]}`` comes with CLIP4Clip; ``{"annotations":
    [{"image_id", "caption"}]}`` in the Oxford archive. A file may carry one's name with the
    other's content.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise _malformed(path, error.lineno, f"is not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path} is not UTF-8 text", "download the file again") from error
    for key, id_field in (("sentences", "video_id"), ("annotations", "image_id")):
        if isinstance(data, dict) and isinstance(data.get(key), list):
            return [_pair(path, key, i, item, id_field) for i, item in enumerate(data[key])]
    raise HarnessError(
        f"{path} has neither a list 'sentences' nor a list 'annotations'",
        "use MSRVTT_data.json of CLIP4Clip or MSR_VTT.json of the Oxford archive",
    )


def _pair(path: Path, key: str, index: int, item: object, id_field: str) -> tuple[str, str]:
    video, text = (item.get(id_field), item.get("caption")) if isinstance(item, dict) else (None, None)
    if not isinstance(video, str) or not isinstance(text, str) or not video or not text.strip():
        raise HarnessError(
            f"{path}: {key}[{index}] lacks a text '{id_field}' or 'caption'",
            "the file is damaged or of another data set; download it again",
        )
    return video, text.strip()


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row) of a csv file with a header, having checked the columns that are read."""
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the header.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = reader.fieldnames or []
            absent = [name for name in columns if name not in header]
            if absent:
                raise _malformed(path, 1, f"the header lacks {', '.join(absent)}")
            for row in reader:
                if None in row:
                    raise _malformed(path, reader.line_num, "more fields than the header has")
                row = {name: (row[name] or "").strip() for name in columns}
                empty = [name for name in columns if not row[name]]
                if empty:
                    raise _malformed(path, reader.line_num, f"no {', '.join(empty)}")
                yield reader.line_num, row
    except csv.Error as error:
        raise _malformed(path, reader.line_num, str(error)) from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path} is not UTF-8 text", "save the file as UTF-8") from error


def _malformed(path: Path, line: int, what: str) -> HarnessError:
    hint = "correct the line or download the file again"
    return HarnessError(f"{path}, line {line}: {what}", hint)

"""Plain text: csv with a header, six tab-separated fields of film clips, and lists of one name per line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from harness.data.annotations.rows import (
    TEXT_KEYS,
    VIDEO_KEYS,
    AnnotationFile,
    Row,
    malformed,
    row,
    text_key,
)
from harness.errors import HarnessError

#: clip id, start and end aligned, start and end extracted, sentence
_FILM_FIELDS = 6

#: The columns that are read, by lower-case name: spreadsheets begin a header with a capital letter.
_COLUMNS = {key.lower(): key for key in (*reversed(VIDEO_KEYS), *TEXT_KEYS, "split")}

# A csv field may be longer than Python's default allows; a whole file never is.
_FIELD_LIMIT = 2**24


def read(path: Path, text: str) -> AnnotationFile:
    """Rows of a text file."""
    first = text.lstrip("\n\r").split("\n", 1)[0].rstrip("\r")
    if first.count("\t") == _FILM_FIELDS - 1 and not _is_header(first.split("\t")):
        return _gather(path, "tab-separated film clips", _film_clips(path, text))
    delimiter = "\t" if "\t" in first else ","
    if _is_header(first.split(delimiter)):
        return _gather(path, "csv", _table(path, text, delimiter))
    if _is_header(first.split(";")):
        raise HarnessError(
            f"{path}, line 1: the columns are parted by semicolons",
            "save the file with commas or tabs instead",
        )
    return _gather(path, "list of names", _names(path, text))


def _is_header(fields: list[str]) -> bool:
    return any(_column(field.strip().strip('"')) in VIDEO_KEYS for field in fields)


def _column(name: str) -> str:
    """What a column is known as, empty where it is not read."""
    return _COLUMNS.get(name.strip().lower(), "")


def _header(path: Path, fields: list[str]) -> list[str]:
    """The columns as they are known. Raises HarnessError where one that is read is there twice."""
    header = [_column(name) for name in fields]
    twice = next((name for name in header if name and header.count(name) > 1), "")
    if twice:
        raise HarnessError(
            f"{path}, line 1: the column '{twice}' is there twice",
            "give each a name of its own, and several captions of a video rows of their own",
        )
    return header


def _film_clips(path: Path, text: str) -> Iterator[tuple]:
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != _FILM_FIELDS:
            raise malformed(
                path, f"line {number}", f"has {len(fields)} tab-separated fields, not {_FILM_FIELDS}"
            )
        yield f"line {number}", fields[0], fields[-1], ""


def _table(path: Path, text: str, delimiter: str) -> Iterator[tuple]:
    csv.field_size_limit(_FIELD_LIMIT)
    # Not io.StringIO, which takes four bytes for a character: some files have hundreds of megabytes.
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    number = 1
    try:
        header = _header(path, next(filter(None, reader), []))
        keys = (
            next((key for key in VIDEO_KEYS if key in header), None),
            text_key(path, "line 1", header),
            "split",
        )
        video, text_at, split = (header.index(key) if key in header else None for key in keys)
        if video is None:
            raise malformed(path, "line 1", f"the header has none of {', '.join(VIDEO_KEYS)}")
        for fields in filter(None, reader):
            number = reader.line_num
            if len(fields) > len(header):
                raise malformed(path, f"line {number}", "more fields than the header has")
            fields += [None] * (len(header) - len(fields))
            if text_at is not None and fields[text_at] is None:
                raise malformed(path, f"line {number}", f"no {keys[1]}")
            texts = () if text_at is None else fields[text_at]
            yield f"line {number}", fields[video], texts, "" if split is None else fields[split] or ""
    except csv.Error as error:
        raise malformed(path, f"line {number + 1}", str(error)) from error


def _names(path: Path, text: str) -> Iterator[tuple]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if "," in line or "\t" in line:
            raise malformed(
                path,
                f"line {number}",
                "is neither a name alone nor below a csv header such as 'video_id,sentence'",
            )
        yield f"line {number}", line.strip(), (), ""


def _gather(path: Path, form: str, found: Iterator[tuple]) -> AnnotationFile:
    rows: list[Row] = []
    blank = 0
    for place, video, texts, split in found:
        made, empty = row(path, place, video, texts, split=split)
        rows.append(made)
        blank += empty
    return AnnotationFile(path, form, tuple(rows), blank)

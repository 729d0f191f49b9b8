"""Recognises the form of an annotation file and hands it to the reader of that form."""

from __future__ import annotations

import gzip
import zlib
from filecmp import cmp
from pathlib import Path

from harness.data.annotations import json_forms, pickled, text_forms
from harness.data.annotations.rows import AnnotationFile
from harness.errors import HarnessError

_GZIP, _PICKLE = b"\x1f\x8b", b"\x80"


def read(path: Path) -> AnnotationFile:
    """All rows of a file, plain or gzipped. Raises HarnessError with file and place."""
    file = _recognised(path, content(path))
    if not file.rows:
        raise HarnessError(f"{path} names no video", "get the file again")
    return file


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same, gzipped or not. False where one cannot be read."""
    try:
        if cmp(one, other, shallow=False):
            return True
        return (_packed(one) or _packed(other)) and content(one) == content(other)
    except (HarnessError, OSError):
        return False


def _packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _recognised(path: Path, raw: bytes) -> AnnotationFile:
    if raw.startswith(_PICKLE) or path.name.lower().removesuffix(".gz").endswith(".pkl"):
        return pickled.read(path, raw)
    text = text_of(path, raw)
    if text.lstrip()[0] in "{[":
        return json_forms.read(path, text)
    return text_forms.read(path, text)


def text_of(path: Path, raw: bytes) -> str:
    """The text of a file with these bytes. Raises HarnessError where it is none, or blank."""
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise HarnessError(
            f"{path}, line {line}: is not UTF-8 text", "save the file as UTF-8, or get it again"
        ) from error
    if not text.strip():
        raise HarnessError(f"{path} is empty", "get the file again")
    return text


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzipped. Raises HarnessError where it cannot be read."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise HarnessError(f"{path} is a damaged gzip file: {error}", "get the file again") from error
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}", "check the file") from error

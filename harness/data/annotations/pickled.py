"""Pickles of plain containers, read so that they can run no code.

Two kinds are in circulation: from id to lists of words, and from id to the number of the one caption
that counts.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

from harness.data.annotations.rows import AnnotationFile, Row, row
from harness.errors import HarnessError

_HOW = pickle._Unpickler.dispatch  # type: ignore[attr-defined]


class _PlainUnpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Containers, text and numbers only.

    The implementation in Python, as the one in C reserves memory for whatever place a damaged
    file names.
    """

    # It would fill as much memory with zeros as a damaged length says.
    dispatch: ClassVar = {code: how for code, how in _HOW.items() if code != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain data is read")


def load_numbers(path: Path) -> dict[str, int]:
    """A pickled mapping from video to the number of one of its captions."""
    numbers = load(path, path.read_bytes())
    if not all(isinstance(number, int) and abs(number) < 2**31 for number in numbers.values()):
        raise HarnessError(f"{path} does not map videos to numbers of captions", "get the file again")
    return numbers


def load(path: Path, content: bytes) -> dict[str, Any]:
    """The dictionary in a pickle. Raises HarnessError for anything else, and runs no code."""
    try:
        data = _PlainUnpickler(io.BytesIO(content), encoding="utf-8").load()
    except Exception as error:  # a damaged pickle fails in any way there is
        what = " ".join(str(error).split())[:200]
        raise HarnessError(f"{path} is no pickle of plain data: {what}", "get the file again") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise HarnessError(
            f"{path} holds a {type(data).__name__}, not a mapping of video names", "get the file again"
        )
    return data


def read(path: Path, content: bytes) -> AnnotationFile:
    """Rows of a pickled mapping from video to texts."""
    rows: list[Row] = []
    blank = 0
    for name, texts in load(path, content).items():
        made, empty = row(path, repr(name), name, texts)
        rows.append(made)
        blank += empty
    return AnnotationFile(path, "pickled mapping", tuple(rows), blank)

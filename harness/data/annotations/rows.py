"""What every annotation file is read into, and the message for a place in one that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError


class Row(NamedTuple):
    """One record: a video as the file names it, with its texts (none in a mere list of videos).

    ``split`` and ``duration_s`` are given where the file states them.
    """

    video: str
    texts: tuple[str, ...] = ()
    split: str = ""
    duration_s: float | None = None


@dataclass(frozen=True)
class AnnotationFile:
    """The rows of a file in its own order; ``form`` says as what it was recognised.

    ``blank`` counts texts that hold nothing, which are left out.
    """

    path: Path
    form: str
    rows: tuple[Row, ...]
    blank: int = 0

    @property
    def is_list(self) -> bool:
        """Whether it only names videos."""
        return not any(row.texts for row in self.rows)


def malformed(path: Path, place: str, what: str) -> HarnessError:
    """The error for one place of a file, e.g. ``line 3`` or ``sentences[7]``."""
    return HarnessError(f"{path}, {place[:80]}: {what}", "correct that place or get the file again")


def row(path: Path, place: str, video: object, texts: object, **known: object) -> tuple[Row, int]:
    """A checked row and the number of blank texts that were left out of it.

    ``texts`` is a text, a list of texts, or a list of lists of words.
    """
    if isinstance(video, int) and not isinstance(video, bool):
        video = str(video)
    if not isinstance(video, str) or not video.strip():
        raise malformed(path, place, "it names no video")
    if "\n" in video or _spoiled(video):
        raise malformed(path, place, f"a video cannot be called {video[:40]!r}")
    name = video.strip()[:80]
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, list | tuple):
        raise malformed(path, place, f"the texts of {name} are no text and no list of texts")
    found = []
    for text in given:
        if isinstance(text, list | tuple) and all(isinstance(word, str) for word in text):
            text = " ".join(text)
        if not isinstance(text, str):
            raise malformed(path, place, f"a text of {name} is no text but {shown(text)!r}")
        if _spoiled(text):
            raise malformed(path, place, f"a text of {name} holds {_spoiled(text)}")
        found.append(text.strip())
    kept = tuple(text for text in found if text)
    return Row(video.strip(), kept, **known), len(found) - len(kept)  # type: ignore[arg-type]


def shown(value: object, length: int = 40) -> str:
    """A short text for a value of any size and depth, on one line."""
    if isinstance(value, int) and abs(value) > 1e30:
        return "a number without measure"
    plain = value is None or isinstance(value, str | int | float)
    return " ".join(str(value)[:length].split()) if plain else f"a {type(value).__name__}"


def _spoiled(text: str) -> str:
    """What of a text nobody wrote: zeroed blocks of a disk, and escapes that were cut in two."""
    if "\0" in text:
        return "NUL characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half a character"
    return ""

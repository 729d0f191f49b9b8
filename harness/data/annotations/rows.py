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
    return HarnessError(f"{path}, {place}: {what}", "correct that place or get the file again")


def row(path: Path, place: str, video: object, texts: object, **known: object) -> tuple[Row, int]:
    """A checked row and the number of blank texts that were left out of it.

    ``texts`` is a text, a list of texts, or a list of lists of words.
    """
    if isinstance(video, int) and not isinstance(video, bool):
        video = str(video)
    if not isinstance(video, str) or not video.strip():
        raise malformed(path, place, "it names no video")
    if "\n" in video or "\0" in video:
        raise malformed(path, place, f"a video cannot be called {video[:40]!r}")
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, list | tuple):
        raise malformed(path, place, f"the texts of {video} are no text and no list of texts")
    found = []
    for text in given:
        if isinstance(text, list | tuple) and all(isinstance(word, str) for word in text):
            text = " ".join(text)
        if not isinstance(text, str):
            raise malformed(path, place, f"a text of {video} is no text but {str(text)[:40]!r}")
        found.append(text.strip())
    kept = tuple(text for text in found if text)
    return Row(video.strip(), kept, **known), len(found) - len(kept)  # type: ignore[arg-type]

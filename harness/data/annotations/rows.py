"""What every annotation file is read into, and the message for a place in one that is wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError

#: What a video and a text are called, in headers and as keys; of several that are there the first counts.
VIDEO_KEYS = ("video_id", "clip_id", "videoID", "videoid", "video", "image_id", "image", "file", "vid")
TEXT_KEYS = (
    *("caption", "captions", "desc", "description", "text", "texts", "sentence", "sentences"),
    *("enCap", "name"),
)

#: What may as well be the title of a video: a text only where nothing else is (WebVid).
_TITLE = "name"


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


def text_key(path: Path, place: str, keys: Collection[str]) -> str | None:
    """Which of these columns or keys holds the texts; None where none does.

    Raises HarnessError where several do: the texts of all but one would be lost.
    """
    found = [key for key in TEXT_KEYS if key in keys]
    if len(found) > 1 and _TITLE in found:
        found.remove(_TITLE)
    if len(found) > 1:
        raise HarnessError(
            f"{path}, {place[:80]}: both '{found[0]}' and '{found[1]}' may hold the captions",
            "keep them under one of the two, and call the other something else",
        )
    return found[0] if found else None


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

"""JSON in all its dialects, recognised by their keys.

Tables:  ``{"videos": [...], "sentences": [{"video_id", "caption"}]}``,
         ``{"annotations": [{"image_id", "caption"}]}`` (COCO)
Records: a list, or one object per line, of ``{"video_id" | "video" | "clip_id" | ...: name,
         "desc" | "caption" | "description" | "text" | ...: a text or a list of texts}``
Mapping: ``{name: text | [texts] | [[words]]}``, or ``{name: {"duration", "sentences"}}``,
         or with another key of a text in place of ``sentences``
List:    ``[name, ...]``
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.data.annotations.rows import (
    TEXT_KEYS,
    VIDEO_KEYS,
    AnnotationFile,
    Row,
    malformed,
    row,
    shown,
    text_key,
)
from harness.errors import HarnessError

#: (key of the list, key of the video in each of its records)
_TABLES = (("sentences", "video_id"), ("annotations", "image_id"))


def read(path: Path, text: str) -> AnnotationFile:
    """Rows of a JSON or JSON-lines file."""
    data = whole(path, text)
    if data is None:
        found = (_record(path, place, item) for place, item in lines(path, text))
        return _gather(path, "json lines", found)
    if isinstance(data, dict):
        return _of_object(path, data)
    if data and all(isinstance(item, str) for item in data):
        return _gather(path, "json list", ((f"[{i}]", item, (), {}) for i, item in enumerate(data)))
    return _gather(path, "json records", _records(path, data))


def whole(path: Path, text: str) -> Any:
    """The one value of a JSON file that begins with a bracket; None where it is JSON lines instead."""
    try:
        return parse(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Extra data") and text.lstrip().startswith("{"):
            return None
        raise malformed(path, f"line {error.lineno}", f"is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # digits by the thousand, endless nesting, a name twice
        raise HarnessError(f"{path} is not JSON: {error}", "get the file again") from error


def parse(text: str) -> Any:
    """The JSON in ``text``. Of a name that occurs twice in one object the first value would be lost."""

    def named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"the name {twice[:40]!r} occurs twice in one object")
        return made

    return json.loads(text, object_pairs_hook=named)


def _of_object(path: Path, data: dict[str, Any]) -> AnnotationFile:
    for key, video_key in _TABLES:
        if isinstance(data.get(key), list):
            return _gather(path, f"json table of {key}", _table(path, data, key, video_key))
    if any(isinstance(value, dict) and _says(value) for value in data.values()):
        return _gather(path, "json mapping to records", _mapped(path, data))
    if _names_a_video(data) and _says(data):  # a single line of JSON lines
        return _gather(path, "json lines", _records(path, [data]))
    if data and all(isinstance(value, str | list) for value in data.values()):
        return _gather(path, "json mapping", ((repr(name), name, value, {}) for name, value in data.items()))
    raise HarnessError(
        f"{path} is JSON of no known form: its first keys are {_first(data)}",
        "see the documentation for the annotation files that can be read",
    )


def _table(path: Path, data: dict[str, Any], key: str, video_key: str) -> Iterator[tuple]:
    """Sentences, after the videos of the same file, which know their split."""
    videos = data.get("videos")
    for index, item in enumerate(videos if isinstance(videos, list) else []):
        place = f"videos[{index}]"
        if not isinstance(item, dict):
            raise malformed(path, place, "is no record")
        split = item.get("split", "")
        yield place, item.get("video_id"), (), {"split": split if isinstance(split, str) else ""}
    for index, item in enumerate(data[key]):
        place = f"{key}[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("caption"), str):
            raise malformed(path, place, f"lacks a text '{video_key}' or 'caption'")
        yield place, item.get(video_key), item["caption"], {}


def _mapped(path: Path, data: dict[str, Any]) -> Iterator[tuple]:
    for name, value in data.items():
        if not isinstance(value, dict) or not _says(value):
            raise malformed(path, repr(name), "has no text")
        duration = value.get("duration")
        if duration is not None and (
            not isinstance(duration, int | float) or isinstance(duration, bool) or not 0 < duration < 1e7
        ):
            raise malformed(path, repr(name), f"its duration is {shown(duration)}")
        known = {} if duration is None else {"duration_s": float(duration)}
        yield repr(name), name, _texts(path, repr(name), value), known


def _records(path: Path, items: Iterable[Any], place: str = "[{}]") -> Iterator[tuple]:
    for index, item in enumerate(items):
        yield _record(path, place.format(index), item)


def _record(path: Path, place: str, item: Any) -> tuple:
    if not isinstance(item, dict):
        raise malformed(path, place, "is no record")
    video = next((item[key] for key in VIDEO_KEYS if key in item), None)
    texts = _texts(path, place, item)
    if video is None or texts is None:
        raise malformed(path, place, f"has no video or no text; its keys are {shown(', '.join(item), 80)}")
    split = item.get("split", "")
    return place, video, texts, {"split": split if isinstance(split, str) else ""}


def lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The place and the value of every line of JSON lines that is not blank."""
    # Not splitlines(): it also breaks at characters that JSON allows within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parse(line)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise malformed(path, f"line {number}", f"is not JSON: {what}") from error


def _says(item: dict[str, Any]) -> bool:
    return any(item.get(key) is not None for key in TEXT_KEYS)


def _texts(path: Path, place: str, item: dict[str, Any]) -> Any:
    """What stands under the key of the texts; a key with null, as whoever joins tables leaves it, is none."""
    return item.get(text_key(path, place, [key for key, value in item.items() if value is not None]))


def _first(item: dict[str, Any]) -> str:
    return ", ".join(repr(shown(key)) for key in list(item)[:4]) or "none"


def _names_a_video(item: dict[str, Any]) -> bool:
    return any(isinstance(item.get(key), str) for key in VIDEO_KEYS)


def _gather(path: Path, form: str, found: Iterable[tuple]) -> AnnotationFile:
    rows: list[Row] = []
    blank = 0
    for place, video, texts, known in found:
        made, empty = row(path, place, video, texts, **known)
        rows.append(made)
        blank += empty
    return AnnotationFile(path, form, tuple(rows), blank)

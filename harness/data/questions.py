"""Reads files of questions about videos, whatever form they come in, as rows of (video, question, answer).

Recognised by their content, plain or gzipped:

Records:  a JSON list, or one object per line, of ``{"question", "answer", "video_id" | "video" | "gif_name"
          | ...}``; a video may be a name or a whole number (as owners write them, ClipBERT,
          LAVIS, mmaction2), and a record may hold lists of as many questions as answers (VAST)
Mapping:  ``{video: [{"question", "answer"}, ...]}`` (VALOR)
Table:    tab- or comma-separated columns below a header with ``question`` and ``answer`` (called csv by its owners)

Answers are kept as they are written: what counts as the same answer is the scoring's affair. Numbers that
some files give to questions are not read, for other files of the same questions lack them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.annotations import json_forms
from harness.data.annotations.reading import content, text_of
from harness.data.annotations.rows import VIDEO_KEYS, malformed, row, shown
from harness.errors import HarnessError

_VIDEO_KEYS = ("gif_name", *VIDEO_KEYS)

#: How files sort their questions: by a word (``what``) or a number that their owner explains.
_KIND_KEYS = ("answer_type", "type")

_NEEDED = ("question", "answer")


class Asked(NamedTuple):
    """One question as a file has it.

    ``video`` is the name, or the number, by which the file calls the video; ``kind`` what it states of
    the question's kind, empty where it states none.
    """

    video: str | int
    text: str
    answer: str
    kind: str = ""


@dataclass(frozen=True)
class QuestionFile:
    """The questions of a file in its own order; ``form`` says as what it was recognised."""

    path: Path
    form: str
    rows: tuple[Asked, ...]


def read_questions(path: Path) -> QuestionFile:
    """All questions of a file. Raises HarnessError with file and place."""
    text = text_of(path, content(path))
    if text.lstrip()[0] in "{[":
        form, found = _json(path, text)
    else:
        form, found = "table", _table(path, text)
    rows = tuple(found)
    if not rows:
        raise HarnessError(f"{path} asks no question", "get the file again")
    return QuestionFile(path, form, rows)


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Two names for each line, parted by blanks, such as a video's own and another that files call it by.

    Raises HarnessError with file and line.
    """
    pairs = []
    for number, line in enumerate(text_of(path, content(path)).split("\n"), start=1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise malformed(path, f"line {number}", f"has {len(names)} names, not two parted by a blank")
        pairs.append((names[0], names[1]))
    return pairs


def _json(path: Path, text: str) -> tuple[str, Iterator[Asked]]:
    data = json_forms.whole(path, text)
    if data is None:
        return "json lines", _records(path, json_forms.lines(path, text))
    if isinstance(data, list):
        return "json records", _records(path, ((f"[{i}]", item) for i, item in enumerate(data)))
    if "question" in data:  # a single line of JSON lines
        return "json lines", _records(path, iter([("line 1", data)]))
    return "json mapping", _records(path, _mapped(path, data))


def _mapped(path: Path, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, items in data.items():
        if not isinstance(items, list):
            raise malformed(path, repr(name), f"holds no list of questions but {shown(items)!r}")
        for number, item in enumerate(items):
            place = f"{name!r}[{number}]"
            yield place, {**item, "video_id": name} if isinstance(item, dict) else item


def _records(path: Path, items: Iterator[tuple[str, Any]]) -> Iterator[Asked]:
    for place, item in items:
        if not isinstance(item, dict):
            raise malformed(path, place, "is no record")
        key = next((key for key in _VIDEO_KEYS if item.get(key) is not None), None)
        lacking = [name for name in _NEEDED if item.get(name) is None]
        if key is None or lacking:
            what = "video" if key is None else lacking[0]
            raise malformed(path, place, f"has no {what}; its keys are {shown(', '.join(item), 80)}")
        kind = next((item[key] for key in _KIND_KEYS if item.get(key) is not None), "")
        asked, answers = item["question"], item["answer"]
        if not isinstance(asked, list):
            yield _asked(path, place, item[key], asked, answers, kind)
            continue
        if not isinstance(answers, list) or len(answers) != len(asked):
            raise malformed(path, place, "has not as many answers as questions")
        for number, (question, answer) in enumerate(zip(asked, answers)):
            yield _asked(path, f"{place}[{number}]", item[key], question, answer, kind)


def _table(path: Path, text: str) -> Iterator[Asked]:
    delimiter = "\t" if "\t" in text.lstrip("\r\n").split("\n", 1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(filter(None, reader))]
        video = next((key for key in _VIDEO_KEYS if key.lower() in header), None)
        if video is None or any(name not in header for name in _NEEDED):
            needed = f"{', '.join(_NEEDED)} and the video, such as {_VIDEO_KEYS[0]} or {_VIDEO_KEYS[1]}"
            raise malformed(path, "line 1", f"the header does not have the columns {needed}")
        read = (video.lower(), *_NEEDED)
        twice = next((name for name in read if header.count(name) > 1), "")
        if twice:
            raise malformed(path, "line 1", f"the column '{twice}' is there twice")
        columns = [header.index(name) for name in read]
        kind = next((header.index(name) for name in _KIND_KEYS if name in header), None)
        for fields in filter(None, reader):
            place = f"line {reader.line_num}"
            if len(fields) != len(header):
                raise malformed(path, place, f"has {len(fields)} fields, the header {len(header)}")
            named = [fields[column] for column in columns]
            yield _asked(path, place, *named, "" if kind is None else fields[kind])
    except csv.Error as error:
        raise malformed(path, f"line {reader.line_num}", str(error)) from error


def _asked(path: Path, place: str, video: Any, question: Any, answer: Any, kind: Any) -> Asked:
    """A checked row. Of an answer that is a list, as where several people gave it, all must agree."""
    if not isinstance(question, str) or not question.strip():
        raise malformed(path, place, f"its question is no text but {shown(question)!r}")
    checked, _ = row(path, place, video, question)
    if isinstance(answer, list) and answer:
        if any(other != answer[0] for other in answer):
            raise malformed(path, place, f"its answers differ: {shown(', '.join(map(shown, answer)), 80)}")
        answer = answer[0]
    if not isinstance(answer, str) or not answer.strip():
        raise malformed(path, place, f"its answer is no text but {shown(answer)!r}")
    row(path, place, video, answer)  # refuses what nobody wrote
    sorted_as = str(kind) if isinstance(kind, str | int) else ""
    return Asked(video if isinstance(video, int) else checked.video, checked.texts[0], answer, sorted_as)

"""Reads damaged annotation files in a process of its own, with little memory, and says how each ended.

Started as ``python -m tests.fuzz.reading_child``; takes paths from standard input, one per line, and
answers each with one line of JSON. The sound file that a damaged one was made of lies beside it, under
its name up to the first hyphen.

What was read is held against readers that share nothing with those under test: per form a few lines
that take the file at its word, and the lines of the sound file that the damage left as they were.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from harness import HarnessError
from harness.data.annotations import AnnotationFile, read

#: Address space of the process. A sound file is a few thousand bytes, a damaged one at most some millions.
MEMORY = 600 * 2**20

Rows = list[tuple[str, tuple[str, ...]]]


def verdict(path: Path) -> dict:
    """How reading ended, ``named`` or ``rows``, and in ``wrong`` what is not as it should be."""
    try:
        file = read(path)
    except HarnessError as error:
        plain = str(path) in error.message and "\n" not in str(error) and len(str(error)) < 600
        wrong = [] if plain else [f"not one short line that names the file: {str(error)[:200]!r}"]
        return {"ends": "named", "reason": error.message, "wrong": wrong}
    except BaseException as error:
        return {"ends": "crash", "wrong": [f"{type(error).__name__}: {str(error)[:200]}"]}
    rows = [(row.video, row.texts) for row in file.rows]
    wrong = _inconsistent(file)
    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    try:
        plain, blank = _plainly(file.form, content)
    except MemoryError:
        # Python's own reader of pickles reserves room for whatever place a damaged file names.
        return {"ends": "rows", "wrong": wrong if file.form == "pickled mapping" else ["no memory"]}
    except Exception as error:
        return {"ends": "rows", "wrong": [*wrong, f"{file.form}: read, yet {type(error).__name__}: {error}"]}
    if plain != rows or blank != file.blank:
        odd = next((pair for pair in zip(plain, rows) if pair[0] != pair[1]), (len(plain), len(rows)))
        wrong.append(f"{file.form}: another reader has {odd[0]!r:.120} and not {odd[1]!r:.120}")
    sound = path.with_name(path.name.split("-")[0])
    wrong += _lost(rows, sound.read_bytes(), content)
    return {"ends": "rows", "form": file.form, "rows": len(rows), "wrong": wrong[:5]}


def _inconsistent(file: AnnotationFile) -> list[str]:
    """Rows that nothing further on could use."""
    wrong = [] if file.rows else ["no row, and no error"]
    for row in file.rows:
        for text in (row.video, *row.texts):
            if not text or text != text.strip() or "\0" in text:
                wrong.append(f"not a name or text: {text[:60]!r}")
            try:
                text.encode()
            except UnicodeEncodeError:
                wrong.append(f"cannot be written: {text[:60]!r}")
        if row.duration_s is not None and not 0 < row.duration_s < 1e7:
            wrong.append(f"lasts {row.duration_s} s")
    return wrong


def _lost(rows: Rows, sound: bytes, content: bytes) -> list[str]:
    """Lines that the damage left whole, whose row is not there; for forms of one record in a line."""
    try:
        kept = Counter(sound.split(b"\n")[1:]) & Counter(content.split(b"\n"))
        lines = [line.decode() for line in kept.elements() if line.strip(b"\r")]
    except UnicodeDecodeError:
        return []
    if sound.startswith((b'{"clip_id"', b"0000_Film", b"video0.mp4\n")):
        wanted = [_of_line(line) for line in lines]
    elif sound.startswith((b"key,", b"video_id")) and content.split(b"\n")[0] == sound.split(b"\n")[0]:
        delimiter = "\t" if b"\t" in sound.split(b"\n")[0] else ","
        fields = list(csv.reader((line.rstrip("\r") for line in lines), delimiter=delimiter))
        wanted = [(f[-2], (f[-1],)) if len(f) > 1 else (f[0], ()) for f in fields]
    else:
        return []
    gone = Counter(wanted) - Counter(rows)
    return [f"lost without a word: {row!r:.120}" for row in gone]


def _of_line(line: str) -> tuple[str, tuple[str, ...]]:
    line = line.rstrip("\r")
    if line.startswith("{"):
        record = json.loads(line)
        return record["clip_id"], tuple(record["text"])
    name, *_, text = line.split("\t") if "\t" in line else (line, None)
    return name, () if text is None else (text,)


class _Pairs(list):
    """A JSON object as it stands, repeated keys included."""

    def __getitem__(self, key: Any) -> Any:
        (value,) = (v for k, v in self if k == key)
        return value

    def __contains__(self, key: object) -> bool:
        return any(k == key for k, _ in self)

    def first(self, *keys: str) -> Any:
        return next(self[key] for key in keys if key in self)


def _plainly(form: str, content: bytes) -> tuple[Rows, int]:
    """Every (video, texts) of the file, taking it to be of that form, and the number of blank texts."""
    found: list[tuple[Any, Any]]
    if form == "pickled mapping":
        found = list(_CUnpickler(io.BytesIO(content), encoding="utf-8").load().items())
    else:
        text = content.decode("utf-8-sig")
        found = _json(form, text) if form.startswith("json") else _text(form, text)
    rows, blank = [], 0
    for video, texts in found:
        texts = [texts] if isinstance(texts, str) else texts
        joined = [(t if isinstance(t, str) else " ".join(t)).strip() for t in texts]
        rows.append((str(video).strip(), tuple(t for t in joined if t)))
        blank += joined.count("")
    return rows, blank


class _CUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError("a class in a file that was read")


def _text(form: str, text: str) -> list[tuple[Any, Any]]:
    if form == "csv":
        delimiter = "\t" if "\t" in text.lstrip("\r\n").split("\n")[0] else ","
        csv.field_size_limit(2**24)
        header, *rows = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if r]
        header = [name.strip() for name in header]
        said = next((header.index(k) for k in ("caption", "sentence") if k in header), None)
        return [(r[header.index("video_id")], [] if said is None else r[said]) for r in rows]
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if form == "list of names":
        return [(line, []) for line in lines]
    assert form == "tab-separated film clips"
    return [(line.split("\t")[0], line.split("\t")[5]) for line in lines]


def _json(form: str, text: str) -> list[tuple[Any, Any]]:
    def load(given: str) -> Any:
        return json.loads(given, object_pairs_hook=_Pairs)

    if form == "json lines":
        records = [load(line) for line in text.split("\n") if line.strip()]
        return [(r["clip_id"], r["text"]) for r in records]
    data = load(text)
    if form == "json list":
        return [(name, []) for name in data]
    if form == "json records":
        return [(r.first("video_id", "video"), r.first("caption", "desc")) for r in data]
    if form == "json mapping":
        return list(data)
    if form == "json mapping to records":
        return [(name, value["sentences"]) for name, value in data]
    key, video_key = ("sentences", "video_id") if form.endswith("sentences") else ("annotations", "image_id")
    return [(v["video_id"], []) for v in data["videos"]] + [(s[video_key], s["caption"]) for s in data[key]]


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        print(json.dumps(verdict(Path(line.rstrip("\n")))), flush=True)


if __name__ == "__main__":
    main()

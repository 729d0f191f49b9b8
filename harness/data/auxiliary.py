"""Auxiliary captions: one text for each clip, made by a captioner, beside the texts of a data set.

CLIP-ViP (arXiv 2209.06430, section 4.3) trains with a caption of each clip's middle frame beside
the clip's subtitle. Four forms are read, recognised by content: JSON lines
``{"clip_id" | "image_id" | "video_id": name, "caption" | "text": text}``, a JSON list of the same
records, a JSON object ``{name: text | [text]}``, and a folder with an LMDB database of names to UTF-8 texts, as the authors released theirs.
A file is read whole. JSON lines are what is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from harness.data.annotations.reading import content
from harness.data.annotations.rows import malformed, row
from harness.data.dataset import Caption, Clip
from harness.data.files import stem_of
from harness.errors import HarnessError
from harness.results.atomic import write_atomically

#: The one file of an LMDB folder that holds data.
LMDB_FILE = "data.mdb"

#: The value of the key "harness" in the first line of a file written here.
_MARK = "captions"

_CLIP_KEYS = ("clip_id", "image_id", "video_id")
_TEXT_KEYS = ("caption", "text")


def read_captions(path: Path) -> dict[str, str]:
    """The text of each clip, by the name that the file has for it, in the order of the file.

    Blank texts count as none. Raises HarnessError, with the line, for what is no such record and for a
    name with two texts, and for a file without any text.
    """
    path = Path(path).expanduser()
    found: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, name, text in _database(path) if path.is_dir() else _file(path):
        if not text:
            continue
        if found.setdefault(name, text) != text:
            raise malformed(path, place, f"{name[:80]} has another text in {places[name]}")
        places.setdefault(name, place)
    if not found:
        raise HarnessError(
            f"{path} holds no caption", "get the file again, or make it with `harness caption`"
        )
    return found


def read_names(path: Path) -> list[str]:
    """The clips that JSON lines or a JSON list name, each once, whatever else their records hold."""
    found = {}
    for place, item in _records(path):
        checked, _ = row(path, place, item[_one(path, place, item, _CLIP_KEYS)], ())
        found[checked.video] = None
    return list(found)


def write_captions(path: Path, rows: Iterable[tuple[str, str]], header: Mapping[str, str]) -> None:
    """Write (clip id, text) as JSON lines, after a line that says where they come from; all or nothing.

    ``header`` names, for example, ``captioner``, ``dataset`` and ``split``.
    """
    records = chain(
        [{"harness": _MARK, **header}], ({"clip_id": name, "caption": text} for name, text in rows)
    )
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(path, lines, "name another file")


def captions_for(clips: Sequence[Clip], texts: Mapping[str, str], source: str = "caption") -> list[Caption]:
    """A row for each clip that has a text, in the order of the clips.

    A clip is meant by its id, and by a file name that has the id as its stem.
    """
    by_stem = {stem_of(name): text for name, text in texts.items()}
    found = ((clip.id, texts.get(clip.id, by_stem.get(clip.id))) for clip in clips)
    return [Caption(f"{name}#{source}", name, text) for name, text in found if text is not None]


def _file(path: Path) -> Iterator[tuple[str, str, str]]:
    """(place, clip, text) of a file; the text may be blank."""
    for place, item in _records(path):
        text = item[_one(path, place, item, _TEXT_KEYS)]
        if not isinstance(text, str):
            raise malformed(path, place, "its text is none")
        yield place, *_checked(path, place, item[_one(path, place, item, _CLIP_KEYS)], text)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of a JSON list or of JSON lines, but for the line that says where they come from."""
    raw = content(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise malformed(path, f"line {line}", "is not UTF-8 text") from error
    if (named := _object(text)) is not None:
        yield from named
        return
    for place, item in _list(path, text) if text.lstrip().startswith("[") else _lines(path, text):
        if not isinstance(item, dict):
            raise malformed(path, place, "is no record")
        if item.get("harness") != _MARK:
            yield place, item


def _object(text: str) -> Iterator[tuple[str, dict[str, Any]]] | None:
    """(place, record) of one JSON object of names; None for any other content."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):  # JSON lines, or damaged: their reader says where
        return None
    if not isinstance(whole, dict) or any(key in whole for key in (*_CLIP_KEYS, "harness")):
        return None  # the only line of JSON lines
    return (
        (f"{name!r}", {"clip_id": name, "text": one})
        for name, said in whole.items()
        for one in (said if isinstance(said, list) else [said])
    )


def _one(path: Path, place: str, item: Mapping[str, Any], known: Sequence[str]) -> str:
    keys = [key for key in known if key in item]
    if len(keys) != 1:
        what = f"has both {keys[0]} and {keys[1]}" if keys else f"has none of {', '.join(known)}"
        raise malformed(path, place, what)
    return keys[0]


def _list(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise malformed(path, f"line {error.lineno}", f"is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # digits by the thousand, endless nesting
        raise HarnessError(f"{path} is not JSON: {error}", "get the file again") from error
    for index, item in enumerate(items):
        yield f"[{index}]", item


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): it also breaks at characters that JSON allows within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise malformed(path, f"line {number}", f"is not JSON: {what}") from error
        yield f"line {number}", item


def _database(path: Path) -> Iterator[tuple[str, str, str]]:
    """(place, clip, text) of an LMDB folder."""
    if not (path / LMDB_FILE).is_file():
        raise HarnessError(
            f"the folder {path} is no LMDB database: there is no {LMDB_FILE} in it",
            "name a file of captions, or the folder that holds this one",
        )
    try:
        import lmdb
    except ImportError as error:
        raise HarnessError(
            f"{path} is an LMDB database, and the package lmdb is not installed", "pip install lmdb"
        ) from error
    try:
        # Unlocked, since a data set may lie where nothing can be written.
        with lmdb.open(str(path), readonly=True, lock=False, readahead=False) as base, base.begin() as view:
            _check_length(path, base.stat())
            for number, (key, value) in enumerate(view.cursor(), start=1):
                place = f"entry {number}"
                try:
                    name, text = key.decode(), value.decode()
                except UnicodeDecodeError as error:
                    raise malformed(path, place, "is not UTF-8 text") from error
                yield place, *_checked(path, place, name, text)
    except lmdb.Error as error:
        raise HarnessError(f"{path} is no sound LMDB database: {error}", "get the folder again") from error


def _check_length(path: Path, stat: Mapping[str, int]) -> None:
    """Refuse a file that was cut short: reading a page behind its end would kill the process."""
    pages = 2 + sum(stat[kind] for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
    needed, size = pages * stat["psize"], (path / LMDB_FILE).stat().st_size
    if size < needed:
        raise HarnessError(
            f"{path / LMDB_FILE} is cut short: {size:,} bytes of at least {needed:,}", "get the folder again"
        )


def _checked(path: Path, place: str, name: object, text: str) -> tuple[str, str]:
    checked, _ = row(path, place, name, text)
    return checked.video, "".join(checked.texts)

"""Auxiliary captions: three forms with one content, written as one of them, and errors with their place."""

from __future__ import annotations

import gzip
import json
import os
import sys

import pytest

from harness import HarnessError
from harness.data import Clip, captions_for, read_captions, write_captions

CAPTIONS = {"a.mp4": 'a dog, "running"', "b.7": "ein Hund läuft\u2028weg", "c": "three"}


def lines(records) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


FORMS = {
    "clip_id": lambda c: lines({"clip_id": k, "caption": v} for k, v in c.items()),
    "image_id": lambda c: lines({"image_id": k, "text": v, "score": 0.5} for k, v in c.items()),
    "video_id": lambda c: "\ufeff" + lines({"text": v, "video_id": k} for k, v in c.items()) + "\n",
    "list": lambda c: json.dumps([{"image_id": k, "caption": v} for k, v in c.items()], indent=1),
    "object": lambda c: json.dumps({k: [v] for k, v in c.items()}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same(tmp_path, form):
    """Lines by any of the names, and a list, and an object, give the same captions in the same order."""
    path = tmp_path / "captions"
    path.write_text(FORMS[form](CAPTIONS), encoding="utf-8")
    assert list(read_captions(path).items()) == list(CAPTIONS.items())
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_captions(path) == CAPTIONS


def test_a_database_is_read(tmp_path):
    """A folder with an LMDB database gives the text of each key."""
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "db")) as base, base.begin(write=True) as change:
        for name, text in CAPTIONS.items():
            change.put(name.encode(), text.encode())
    assert read_captions(tmp_path / "db") == CAPTIONS
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data.mdb").write_bytes(b"x" * 9000)
    with pytest.raises(HarnessError, match="no sound LMDB database"):
        read_captions(tmp_path / "bad")


def test_a_database_that_was_cut_short_is_refused(tmp_path):
    """A file that ends before its last page is an error with both sizes, not the death of the process."""
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path)) as base, base.begin(write=True) as change:
        for number in range(500):
            change.put(b"%d" % number, b"x" * 500)
    assert len(read_captions(tmp_path)) == 500
    file = tmp_path / "data.mdb"
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(HarnessError, match=r"data\.mdb is cut short: [\d,]+ bytes of at least "):
        read_captions(tmp_path)


def test_a_database_needs_its_package(tmp_path, monkeypatch):
    """Without lmdb the message says what to install; a folder without a database is named as such."""
    with pytest.raises(HarnessError, match=r"no LMDB database: there is no data\.mdb"):
        read_captions(tmp_path)
    (tmp_path / "data.mdb").touch()
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(HarnessError, match="package lmdb is not installed") as caught:
        read_captions(tmp_path)
    assert caught.value.hint == "pip install lmdb"


def test_what_is_written_can_be_read(tmp_path):
    """A written file begins with where it comes from, a record by the line, and gives the same captions."""
    path = tmp_path / "new" / "captions.jsonl"
    write_captions(path, CAPTIONS.items(), {"captioner": "x", "dataset": "d", "split": "train"})
    first = json.loads(path.read_text(encoding="utf-8").split("\n")[0])
    assert first == {"harness": "captions", "captioner": "x", "dataset": "d", "split": "train"}
    assert list(read_captions(path).items()) == list(CAPTIONS.items())
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_blank_captions_are_none(tmp_path):
    """A clip whose caption is blank is left out."""
    path = tmp_path / "c.jsonl"
    path.write_text(FORMS["clip_id"]({"a": "one", "b": " \n"}), encoding="utf-8")
    assert read_captions(path) == {"a": "one"}


GOOD = '{"clip_id": "a", "caption": "x"}\n'
WRONG = {
    "cut off": (GOOD + '{"clip_id": "b", "capt', "line 2: is not JSON"),
    "no record": (GOOD + "\n3\n", "line 3: is no record"),
    "no clip": (GOOD + '{"caption": "x"}', "line 2: has none of clip_id, image_id, video_id"),
    "no text": (GOOD + '{"clip_id": "b"}', "line 2: has none of caption, text"),
    "two texts": (
        GOOD + '{"clip_id": "b", "caption": "x", "text": "y"}',
        "line 2: has both caption and text",
    ),
    "a list of texts": (GOOD + '{"clip_id": "b", "caption": ["x"]}', "line 2: its text is none"),
    "a name that is none": (GOOD + '{"clip_id": null, "caption": "x"}', "line 2: it names no video"),
    "another caption": (GOOD + '{"video_id": "a", "caption": "y"}', "line 2: a has another text in line 1"),
    "a list cut off": ('[{"clip_id": "a",\n "capt', "line 2: is not JSON"),
    "a wrong item": (f"[{GOOD}, 7]", r"\[1\]: is no record"),
    "empty": ("", "holds no caption"),
    "only where from": ('{"harness": "captions"}\n', "holds no caption"),
    "half a character": (GOOD + '{"clip_id": "b", "caption": "\\ud83d"}', "line 2: a text of b holds half"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_place_is_named(tmp_path, content, message):
    """What cannot be read is one line with file and place, and what to do."""
    path = tmp_path / "c.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HarnessError, match=message) as caught:
        read_captions(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message and caught.value.hint


def test_wrong_bytes_and_missing_files_are_named(tmp_path):
    """Text of another encoding is refused with its line, a missing file by its path."""
    path = tmp_path / "c.jsonl"
    path.write_bytes(GOOD.encode() + '{"clip_id": "b", "caption": "ä"}'.encode("latin-1"))
    with pytest.raises(HarnessError, match="line 2: is not UTF-8"):
        read_captions(path)
    with pytest.raises(HarnessError, match="gone"):
        read_captions(tmp_path / "gone.jsonl")


def test_captions_find_their_clips():
    """By id first, then by the stem of a file name; in the order of the clips, without those that have none."""
    clips = [Clip(name, None) for name in ("b.7", "a", "d", "c")]
    rows = captions_for(clips, CAPTIONS | {"c.mp4": "not this one"})
    assert [(row.clip_id, row.text) for row in rows] == [
        ("b.7", CAPTIONS["b.7"]),
        ("a", CAPTIONS["a.mp4"]),
        ("c", "three"),
    ]
    assert len({row.id for row in rows}) == 3

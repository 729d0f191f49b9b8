"""HD-VILA: lines of subtitles or their database, clips in folders of their videos, captions beside them."""

from __future__ import annotations

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_hdvila.dataset import build
from tests.support.annotated import found, put, said

TRAIN = [
    {"clip_id": "--_6Nz8.14.mp4", "text": "and now we add, you know, salt"},
    {"clip_id": "--_6Nz8.2.mp4", "text": "hello everyone"},
    {"clip_id": "aB3.0", "text": "look"},
]
VAL = [{"clip_id": "zz.1.mp4", "text": "bye"}]
CAPTIONS = [{"clip_id": "aB3.0.mp4", "caption": "a dog"}, {"clip_id": "--_6Nz8.14", "caption": "a pan"}]
VIDEOS = ("elsewhere/--_6Nz8.14.mp4", "videos/--_6Nz8/--_6Nz8.14.mp4", "other/aB3.0.webm")
SUBTITLES = [("--_6Nz8.14", TRAIN[0]["text"]), ("--_6Nz8.2", TRAIN[1]["text"]), ("aB3.0", TRAIN[2]["text"])]


def open_at(root):
    return build(AnnotatedOptions(), root)


@pytest.mark.parametrize("name", ["train.jsonl", "meta/hdvila_100m.jsonl"])
def test_rows_are_clips_with_one_subtitle(tmp_path, name):
    """Each line is a clip, called by the stem of its id; its file in its video's folder is preferred."""
    files = {name: TRAIN, "hdvila_captions.jsonl": CAPTIONS, "hdvila_val.jsonl": VAL}
    data = open_at(put(tmp_path, files, VIDEOS))
    assert data.splits() == ["train", "val"]
    assert said(data, "train") == SUBTITLES and said(data, "val") == [("zz.1", "bye")]
    assert found(data, "train") == {
        "--_6Nz8.14": "videos/--_6Nz8/--_6Nz8.14.mp4",
        "--_6Nz8.2": None,
        "aB3.0": "other/aB3.0.webm",
    }


@pytest.mark.parametrize(
    ("name", "captions"),
    [
        ("captions.jsonl", CAPTIONS),
        ("hdvila_ofa_captions.json", [{"image_id": r["clip_id"], "caption": r["caption"]} for r in CAPTIONS]),
    ],
)
def test_captions_are_a_source_of_their_own(tmp_path, name, captions):
    """Where a file of captions lies, each clip in it has a row from ``caption``; the others have none."""
    data = open_at(put(tmp_path, {"train.jsonl": TRAIN, name: captions}))
    assert data.sources("train") == ("text", "caption")
    rows = data.captions("train", "caption")
    assert [(row.clip_id, row.text) for row in rows] == [("--_6Nz8.14", "a pan"), ("aB3.0", "a dog")]
    assert len({row.id for row in (*rows, *data.captions("train"))}) == 5
    assert data.check(["train"]).notes == (f"train: 2 of 3 clips have a caption in {tmp_path / name}",)


def test_without_captions_there_is_one_source(tmp_path):
    """Asking for captions that are not there says how to make them."""
    data = open_at(put(tmp_path, {"train.jsonl": TRAIN}))
    assert data.splits() == ["train"] and data.sources("train") == ("text",)
    with pytest.raises(HarnessError) as caught:
        data.captions("train", "caption")
    assert "harness caption hdvila" in caught.value.hint
    with pytest.raises(HarnessError, match=r"hdvila/val: looked for val\.jsonl"):
        data.clips("val")


def test_the_references_pair_is_read(tmp_path):
    """A list of names beside a database of its name gives what lines with subtitles give, captions too."""
    lmdb = pytest.importorskip("lmdb")
    names = [{"clip_id": row["clip_id"]} for row in TRAIN] + [{"clip_id": "mute.1.mp4"}]
    root = put(tmp_path, {"hdvila.subtitles.jsonl": names})
    for folder, key, rows in (
        ("hdvila.subtitles", "text", TRAIN + VAL),
        ("hdvila_ofa_captions_db", "caption", CAPTIONS),
    ):
        with lmdb.open(str(root / folder)) as base, base.begin(write=True) as change:
            for row in rows:
                change.put(row["clip_id"].encode(), row[key].encode())
    data = open_at(root)
    assert said(data, "train") == SUBTITLES
    assert data.check(["train"]).splits["train"].silent == ("mute.1",)
    assert [row.text for row in data.captions("train", "caption")] == ["a pan", "a dog"]


def test_wrong_files_are_refused_by_name(tmp_path):
    """No list at all, a line without a subtitle, and two subtitles of one clip are one line each."""
    with pytest.raises(HarnessError, match=r"no annotation file of hdvila .*train\.jsonl"):
        open_at(tmp_path)
    data = open_at(put(tmp_path, {"train.jsonl": [*TRAIN, {"clip_id": "new.1"}]}))
    with pytest.raises(HarnessError, match=r"train\.jsonl, line 4: has none of caption, text"):
        data.captions("train")
    data = open_at(put(tmp_path, {"train.jsonl": [*TRAIN, {"clip_id": "aB3.0.mp4", "text": "another"}]}))
    with pytest.raises(HarnessError, match=r"train\.jsonl has two texts for the clip aB3\.0"):
        data.captions("train")

"""VATEX: the two test sets of the literature, out of the owner's files and of others'."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_vatex.dataset import build
from harness_vatex.plugin import harness_datasets
from tests.support.annotated import found, identity, put, said
from tests.support.published import published

TRAIN = ("-aaaaaaaaaa_000001_000011", "_bbbbbbbbbb_000000_000010")
VAL, TEST = (
    ("cccccccccc-_000005_000015", "dddddddddd__000003_000013"),
    ("eeeeeeeeeee_000122_000132", "ffffffffff1_000000_000010"),
)
#: Half of it is in the one's test set, half in the other's validation set.
RANDOM = (TEST[1], VAL[0])

SAID = {name: [f"Sentence {k}  of {name}." for k in range(10)] for name in (*TRAIN, *VAL, *TEST)}
LISTS = {
    f"{name}.txt": "".join(f"{video}\n" for video in videos)
    for name, videos in (
        *(("train_list", TRAIN), ("val_list", VAL), ("test_list", TEST)),
        ("test1k5_sec_list", RANDOM),
    )
}


def owner(videos) -> list[dict]:
    return [{"videoID": name, "enCap": SAID[name], "chCap": ["一", "二"]} for name in videos]


OWNERS = {
    "vatex_training_v1.0.json": owner(TRAIN),
    "vatex_validation_v1.0.json": owner((TEST[1], VAL[1], VAL[0], TEST[0])),
    "vatex_public_test_english_v1.1.json": [{"videoID": "ggggggggggg_000000_000010", "enCap": ["z"]}],
}

LAYOUTS = {
    "owner": {**LISTS, **OWNERS},
    "clip2video": {**LISTS, "vatex_data.json": {r["videoID"]: r for r in owner(SAID)}},
    "mapper": {**LISTS, "txt_mapper.json": SAID},
    "lines": {
        f"{split}.jsonl": [{"clip_id": name, "text": SAID[name]} for name in videos]
        for split, videos in (("train", TRAIN), ("val", VAL), ("test", TEST), ("test1k5_sec", RANDOM))
    },
}
SPLITS = {"train": TRAIN, "val": VAL, "test": TEST, "test-clip2video": RANDOM}


def open_at(root: Path, annotations: str = ""):
    return build(AnnotatedOptions(annotations=annotations), root)


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout_gives_the_same_protocols(tmp_path, files):
    """Whosever files they are, each split has its list's clips in order, ten English sentences each."""
    data = open_at(put(tmp_path, files))
    assert data.splits() == list(SPLITS)
    for split, videos in SPLITS.items():
        assert said(data, split) == [(name, text) for name in videos for text in SAID[name]]
        assert [caption.id for caption in data.captions(split)][:10] == [
            f"{videos[0]}#{k}" for k in range(10)
        ]


def test_half_of_the_files_gives_half_of_the_splits(tmp_path):
    """With the owner's training file alone there is nothing to test on; with the other, nothing to train on."""
    put(tmp_path, {**LISTS, **OWNERS})
    (tmp_path / "vatex_validation_v1.0.json").unlink()
    assert open_at(tmp_path).splits() == ["train"]
    put(tmp_path, {"vatex_validation_v1.0.json": OWNERS["vatex_validation_v1.0.json"]})
    (tmp_path / "vatex_training_v1.0.json").unlink()
    assert open_at(tmp_path).splits() == ["val", "test", "test-clip2video"]


def test_records_of_test_and_train(tmp_path):
    """The files of VALOR and its successors hold the training split and the first of the two test sets."""
    records = {
        f"descs_ret_{split}.json": [{"video_id": v, "desc": SAID[v], "subtitle": ""} for v in videos]
        for split, videos in (("train", TRAIN), ("test", TEST))
    }
    data = open_at(put(tmp_path, records))
    assert data.splits() == ["train", "test"]
    assert said(data, "test") == [(name, text) for name in TEST for text in SAID[name]]


def test_videos_are_found_by_stem(tmp_path):
    """Names that begin with a dash or end in one are stems like any other; lost videos are named."""
    data = open_at(put(tmp_path, LAYOUTS["owner"], [f"videos/{TRAIN[0]}.mp4", f"val/{VAL[0]}.mkv"]))
    assert found(data, "train") == {TRAIN[0]: f"videos/{TRAIN[0]}.mp4", TRAIN[1]: None}
    assert data.report("test-clip2video").missing == (TEST[1],)


def test_a_list_of_other_videos_is_refused(tmp_path):
    """The owner's public test set is no test set of these protocols: its sentences are not taken for theirs."""
    put(tmp_path, {**LISTS, "vatex_data.json": {"other": {"enCap": ["x"]}}})
    with pytest.raises(HarnessError, match=r"no text for 2 of the 2 clips of vatex/test"):
        open_at(tmp_path).captions("test")


def test_published_lists_and_their_overlaps(tmp_path):
    """The published lists have 25991, 1500, 1500 and 1500 videos; the two test sets share 724."""
    lists = published("vatex")
    with gzip.open(lists / "train_list.txt.gz", "rt") as file:
        names = {"train": file.read().split()}
    for split, name in (("val", "val_list"), ("test", "test_list"), ("test-clip2video", "test1k5_sec_list")):
        names[split] = (lists / f"{name}.txt").read_text().split()
    for path in lists.glob("*list.txt*"):
        shutil.copy(path, tmp_path)
    said = {name: {"enCap": ["x"]} for videos in names.values() for name in videos}
    assert len(said) == 25991 + 3000
    data = open_at(put(tmp_path, {"vatex_data.json": said}))
    found = {split: [clip.id for clip in data.clips(split)] for split in data.splits()}
    assert found == names
    assert [len(videos) for videos in found.values()] == [25991, 1500, 1500, 1500]
    train, val, test, other = map(set, found.values())
    assert not train & (val | test) and not val & test
    assert (len(test & other), len(val & other)) == (724, 776)


def test_published_test_set(tmp_path):
    """VALOR's test file holds HGR's 1500 clips, ten sentences each, with the hash that the protocol states."""
    data = open_at(tmp_path, str(published("vatex")))
    protocol = harness_datasets()[0].default_protocol
    captions = data.captions(protocol.test)
    assert (len(captions), len(data.clips(protocol.test))) == (protocol.n_queries, protocol.n_gallery)
    assert (len(captions), len(data.clips(protocol.test))) == (15000, 1500)
    listed = (published("vatex") / "test_list.txt").read_text().split()
    assert {clip.id for clip in data.clips(protocol.test)} == set(listed)
    assert identity(data, protocol.test) == protocol.texts_hash

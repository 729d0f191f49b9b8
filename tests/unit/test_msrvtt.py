"""MSR-VTT files: lists, sentences, videos by stem, and what is said when they are wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import pytest

from harness import HarnessError
from harness_msrvtt.dataset import build
from harness_msrvtt.files import read_ids, read_test
from harness_msrvtt.options import MsrvttOptions
from tests.support.msrvtt_tree import MsrvttTree, make_tree

TEST_CSV = "MSRVTT_JSFUSION_test.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> MsrvttTree:
    """A tree with one missing, one damaged and one unreadable video."""
    return make_tree(
        tmp_path_factory.mktemp("made") / "msrvtt",
        train=8,
        test=4,
        missing=["video2", "video9771"],
        damaged=["video3"],
        unreadable=["video4"],
    )


@pytest.fixture
def tree(made, tmp_path) -> MsrvttTree:
    """A copy of the tree that a test may change."""
    shutil.copytree(made.root, tmp_path / "msrvtt")
    return MsrvttTree(tmp_path / "msrvtt", made.train_ids, made.train_7k_ids, made.test_ids)


def open_at(root: Path, annotations: str = ""):
    return build(MsrvttOptions(annotations=annotations), root)


def decode(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_splits_follow_the_lists(made):
    """Each split has the clips of its csv file, in the file's order."""
    data = open_at(made.root)
    for split, ids in (
        ("train-9k", made.train_ids),
        ("train-7k", made.train_7k_ids),
        ("test-1k-A", made.test_ids),
    ):
        assert tuple(clip.id for clip in data.clips(split)) == ids


def test_missing_videos_are_named(made):
    """A clip without a file keeps its place with no path, and the report counts and names it."""
    data = open_at(made.root)
    report = data.check(["train-9k", "test-1k-A"])
    assert report.found == {"train-9k": 7, "test-1k-A": 3}
    assert report.missing == {"train-9k": ("video2",), "test-1k-A": ("video9771",)}
    assert data.clips("train-9k")[1].path == made.video("video1")


def test_captions_come_from_json_and_csv(made):
    """Training has every sentence of the listed clips; test has exactly the csv sentences."""
    data = open_at(made.root)
    train = data.captions("train-9k")
    assert len(train) == 8 * 3
    assert len({caption.id for caption in train}) == len(train)
    assert {caption.clip_id for caption in train} == set(made.train_ids)
    assert len(data.captions("train-7k")) == 6 * 3
    test = data.captions("test-1k-A")
    assert [(caption.id, caption.clip_id) for caption in test] == [
        (f"ret{k}", name) for k, name in enumerate(made.test_ids)
    ]


def test_both_json_dialects_read_the_same(tree, made):
    """The Oxford archive's annotations/image_id gives the captions of sentences/video_id."""
    path = tree.annotation("MSRVTT_data.json")
    items = json.loads(path.read_text())["sentences"]
    oxford = [{"image_id": item["video_id"], "caption": item["caption"]} for item in items]
    path.unlink()
    tree.annotation("MSR_VTT.json").write_text(json.dumps({"annotations": oxford}))
    assert open_at(tree.root).captions("train-9k") == open_at(made.root).captions("train-9k")


def test_videos_are_found_by_stem(tree):
    """Videos may lie in any folder, also a linked one, with any usual suffix in any case."""
    deep = tree.root / "videos" / "all" / "part"
    deep.mkdir(parents=True)
    moved = tree.video("video0").rename(deep / "video0.WEBM")
    outside = tree.root.parent / "elsewhere"
    outside.mkdir()
    tree.video("video1").rename(outside / "video1.mkv")
    (tree.root / "link").symlink_to(outside)
    (outside / "back").symlink_to(tree.root)
    (tree.root / "MSRVTT_Videos" / "._video2.mp4").write_bytes(b"x")
    clips = open_at(tree.root).clips("train-9k")
    assert clips[0].path == moved
    assert clips[1].path == tree.root / "link" / "video1.mkv"
    assert clips[2].path is None


def test_two_files_of_one_stem_are_noted(tree):
    """Of two files with a clip's name the higher one is taken, and the report says so."""
    shutil.copy(tree.video("video0"), tree.root / "video0.mp4")
    data = open_at(tree.root)
    assert data.clips("train-9k")[0].path == tree.root / "video0.mp4"
    assert "another has their stem: 1;" in data.check(["train-9k"]).notes[0]


def test_annotations_may_lie_elsewhere(tree):
    """The option ``annotations`` names a folder outside the data root."""
    shutil.move(tree.annotation("any").parent, tree.root.parent / "lists")
    data = open_at(tree.root, str(tree.root.parent / "lists"))
    assert len(data.clips("test-1k-A")) == 4


def test_root_that_does_not_exist(tmp_path):
    """A data root that is not there is named in the error."""
    with pytest.raises(HarnessError, match="nowhere does not exist"):
        open_at(tmp_path / "nowhere")


def test_root_without_annotations(tree):
    """Without annotation files the error says which were looked for, and where."""
    shutil.rmtree(tree.annotation("any").parent)
    with pytest.raises(HarnessError) as caught:
        open_at(tree.root)
    assert TEST_CSV in caught.value.message and str(tree.root) in caught.value.message
    assert caught.value.hint


def test_root_without_videos(tree):
    """Without a single video the error says where was looked and for which suffixes."""
    shutil.rmtree(tree.video("any").parent)
    with pytest.raises(HarnessError, match=r"no video file in .*msrvtt.*mp4") as caught:
        open_at(tree.root)
    assert caught.value.hint


def test_one_absent_list_is_an_error_when_needed(tree):
    """A lacking train list leaves the test split usable and is named when training asks for it."""
    tree.annotation("MSRVTT_train.9k.csv").unlink()
    data = open_at(tree.root)
    assert len(data.captions("test-1k-A")) == 4
    with pytest.raises(HarnessError, match=r"MSRVTT_train\.9k\.csv is neither"):
        data.clips("train-9k")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (TEST_CSV, "key,video_id\nret0,video9770\n", "line 1: the header lacks sentence"),
        (TEST_CSV, "key,video_id,sentence\nret0,video9770,a\nret1,,b\n", "line 3: no video_id"),
        (TEST_CSV, "key,video_id,sentence\nr,v,one, two\n", "line 2: more fields"),
        (TEST_CSV, "key,video_id,sentence\nr,v,a\nr,w,b\n", "line 3: repeats the key r"),
        ("MSRVTT_train.9k.csv", "video_id\nvideo0\nvideo1\nvideo0\n", "line 4: repeats video0"),
        ("MSRVTT_data.json", '{"sentences": [\n{"video_id": }]}', "line 2: is not JSON"),
        ("MSRVTT_data.json", '{"sentences": [{"video_id": "video0"}]}', r"sentences\[0\] lacks"),
        ("MSRVTT_data.json", '{"videos": []}', "neither a list"),
        ("MSRVTT_data.json", '{"sentences": []}', "no sentence for 8 clips .* video0, video1"),
    ],
)
def test_malformed_annotations_are_located(tree, name, text, said):
    """A malformed annotation file is refused with its name and the line or place in it."""
    tree.annotation(name).write_text(text)
    data = open_at(tree.root)
    with pytest.raises(HarnessError, match=said) as caught:
        data.captions("test-1k-A" if name == TEST_CSV else "train-9k")
    assert name in caught.value.message


def test_unknown_split_and_source(made):
    """A split or text source that MSR-VTT does not have is refused with those it has."""
    data = open_at(made.root)
    with pytest.raises(HarnessError, match="train-7k"):
        data.clips("val")
    with pytest.raises(HarnessError, match="'text'"):
        data.captions("test-1k-A", "subtitle")


def test_tree_holds_real_and_broken_videos(made):
    """Made videos have B-frames; a damaged one fails on decoding, an unreadable one on opening."""
    assert decode(made.video("video0")) == 24
    with av.open(str(made.video("video0"))) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
    assert any(p.pts != p.dts for p in packets) and not all(p.is_keyframe for p in packets)
    with av.open(str(made.video("video3"))) as container:
        assert container.streams.video[0].frames == 24
    with pytest.raises(av.error.FFmpegError):
        decode(made.video("video3"))
    with pytest.raises(av.error.FFmpegError):
        decode(made.video("video4"))


def test_real_lists_have_the_published_counts():
    """The published files give 9000, 7010 and 1000 clips, 995 distinct sentences, none shared."""
    folder = os.environ.get("HARNESS_ANNOTATIONS")
    if not folder:
        pytest.skip("HARNESS_ANNOTATIONS does not name a folder with msrvtt/*.csv")
    lists = Path(folder) / "msrvtt"
    long = read_ids(lists / "MSRVTT_train.9k.csv")
    short = read_ids(lists / "MSRVTT_train.7k.csv")
    test = read_test(lists / TEST_CSV)
    assert (len(long), len(short), len(test)) == (9000, 7010, 1000)
    assert len({text for *_, text in test}) == 995
    videos = {video for _, video, _ in test}
    assert len(videos) == 1000 and not videos & set(long) and set(short) <= set(long)

"""Your own videos: captions in any of their forms, splits, and names that may mean several files."""

from __future__ import annotations

import json
import unicodedata

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_folder.dataset import build
from harness_folder.sample import write_sample
from tests.support.annotated import found, identity, put, said

ROWS = [("sub/a.mp4", "one", "train"), ("sub/a.mp4", "two", "train"), ("b.webm", "three", "test")]
VIDEOS = ["sub/a.mp4", "b.webm"]

#: Forms of the same captions: a column or key for the split, or a file for each split.
COLLECTIONS = {
    "csv": {"mine.csv": "video,caption,split\n" + "".join(",".join(row) + "\n" for row in ROWS)},
    "tsv": {"mine.tsv": "split\tvideo\tcaptions\n" + "".join(f"{s}\t{v}\t{c}\n" for v, c, s in ROWS)},
    "other words": {
        "mine.csv": "video,caption,split\nsub/a.mp4,one,Training\nsub/a.mp4,two,training\nb.webm,three,TEST\n"
    },
    "csv from another system": {
        "mine.csv": "Video,Caption,Split\n" + "".join(",".join(row).replace("/", "\\") + "\n" for row in ROWS)
    },
    "jsonl": {
        "mine.jsonl": [
            {"video": "sub/a.mp4", "captions": ["one", "two"], "split": "train"},
            {"video": "b.webm", "caption": "three", "split": "test"},
        ]
    },
    "json": {"mine.json": [{"video": video, "caption": text, "split": split} for video, text, split in ROWS]},
    "table": {
        "mine.json": {
            "videos": [{"video_id": "sub/a.mp4", "split": "train"}, {"video_id": "b.webm", "split": "test"}],
            "sentences": [{"video_id": video, "caption": text} for video, text, _ in ROWS],
        }
    },
    "two files": {
        "cats_train.csv": "video,caption\nsub/a.mp4,one\nsub/a.mp4,two\n",
        "test.json": {"b.webm": ["three"]},
    },
    "without suffixes": {
        "train.csv": "video,caption\nsub/a,one\nsub/a,two\n",
        "test.csv": "video,caption\nb,three\n",
    },
}


def open_at(root, annotations=""):
    return build(AnnotatedOptions(annotations=str(annotations)), root)


@pytest.mark.parametrize("files", COLLECTIONS.values(), ids=list(COLLECTIONS))
def test_every_form_gives_the_same_data_set(tmp_path, files):
    """Whatever the form, clips are called by their path without suffix, with the same ids and texts."""
    data = open_at(put(tmp_path, files, VIDEOS))
    assert data.splits() == ["train", "test"]
    assert said(data, "train") == [("sub/a", "one"), ("sub/a", "two")]
    assert said(data, "test") == [("b", "three")]
    assert [caption.id for caption in data.captions("train")] == ["sub/a#0", "sub/a#1"]
    assert found(data, "train") == {"sub/a": "sub/a.mp4"} and found(data, "test") == {"b": "b.webm"}


def test_a_validation_split_may_have_several_names(tmp_path):
    """val, validation and dev are one split, stated or in a file's name."""
    files = {"rest.csv": "video,caption,split\na,x,validation\nb,y,dev\n", "val.csv": "video,caption\nc,z\n"}
    assert said(open_at(put(tmp_path, files)), "val") == [("a", "x"), ("b", "y"), ("c", "z")]


def test_one_file_without_splits_is_a_test_set(tmp_path):
    """It can be tested on, with a note; to train is refused with the two ways of dividing it."""
    data = open_at(put(tmp_path, {"mine.csv": "video,caption\na.mp4,x\n"}, ["a.mp4"]))
    assert data.splits() == ["test"] and said(data, "test") == [("a", "x")]
    assert data.check(["test"]).notes == ("mine.csv states no split, so all of it is for testing",)
    with pytest.raises(HarnessError, match=r"mine\.csv does not say which videos are for training") as caught:
        data.clips("train")
    assert "column 'split'" in caught.value.hint and "train.*" in caught.value.hint


def test_a_split_that_nothing_names_is_refused(tmp_path):
    """A data set of test videos alone says so when training asks for more."""
    data = open_at(put(tmp_path, {"test.csv": "video,caption\na.mp4,x\n"}))
    with pytest.raises(HarnessError, match=r"videos of the split 'train', only of test") as caught:
        data.captions("train")
    assert "column 'split'" in caught.value.hint


def test_missing_silent_and_unnamed_videos_are_told(tmp_path):
    """A caption without a video, a video with blank captions only, and one without any are each named."""
    files = {"test.csv": "video,caption\na.mp4,x\nb.mp4,y\nc.mp4, \n"}
    data = open_at(put(tmp_path, files, ["a.mp4", "c.mp4", "new/d.mp4"]))
    report = data.check(["test"])
    assert report.splits["test"].missing == ("b",) and report.splits["test"].silent == ("c",)
    assert (report.splits["test"].clips, report.splits["test"].captions) == (2, 2)
    assert report.notes == (
        "1 blank captions are left out",
        f"without a caption: 1 videos, such as {tmp_path / 'new/d.mp4'}",
    )


def test_a_path_is_preferred_to_a_stem(tmp_path):
    """Of videos with one stem each name gets the one at its own path; a missing one gets no other's."""
    videos = ["cats/1.mp4", "dogs/1.mp4", "1.webm"]
    files = {"test.csv": "video,caption\ncats/1.mp4,x\n./dogs/1,y\n1.webm,z\n"}
    data = open_at(put(tmp_path, files, videos))
    assert found(data, "test") == {"cats/1": "cats/1.mp4", "dogs/1": "dogs/1.mp4", "1": "1.webm"}
    (tmp_path / "dogs/1.mp4").unlink()
    (tmp_path / "1.webm").unlink()
    put(tmp_path, {"test.csv": "video,caption\ncats/1.mp4,x\ndogs/1.mp4,y\n"})
    assert found(open_at(tmp_path), "test") == {"cats/1": "cats/1.mp4", "dogs/1": None}


def test_a_moved_video_is_found_by_its_stem(tmp_path):
    """Where no file has the path, the only one of that stem is taken, and a note says so."""
    files = {"test.csv": "video,caption\nold/place/a.mp4,x\nb.avi,y\n"}
    data = open_at(put(tmp_path, files, ["new/a.mkv", "new/b.avi"]))
    assert found(data, "test") == {"old/place/a": "new/a.mkv", "b": "new/b.avi"}
    assert data.check(["test"]).notes == (
        f"found by name in another folder: 1 videos, such as old/place/a.mp4 as {tmp_path / 'new/a.mkv'}",
    )


def test_an_absolute_path_below_the_root_is_as_good(tmp_path):
    """The identity of a data set does not depend on the machine's folders."""
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        root.mkdir()
        put(root, {"test.csv": f"video,caption\n{root}/sub/a.mp4,x\n"}, ["sub/a.mp4"])
    assert identity(open_at(here), "test") == identity(open_at(there), "test")
    put(there, {"test.csv": "video,caption\nsub/a.mp4,x\n"})
    assert identity(open_at(here), "test") == identity(open_at(there), "test")


def test_an_accent_may_be_written_in_two_ways(tmp_path):
    """One character or two, in the file's name or in the caption's: it is one video with one id."""
    one, two = (unicodedata.normalize(form, "caf\xe9/\xe0.mp4") for form in ("NFC", "NFD"))
    assert one != two
    for name in (one, two):
        root = put(tmp_path / str(len(name)), {"test.csv": f"video,caption\n{one},x\n{two},y\n"}, [name])
        data = open_at(root)
        assert said(data, "test") == [("caf\xe9/\xe0", "x"), ("caf\xe9/\xe0", "y")]
        assert found(data, "test") == {"caf\xe9/\xe0": name} and not data.check(["test"]).notes


def test_folders_of_pictures_with_one_name_are_told_apart(tmp_path):
    """Every folder is known by its path, not only the first of a name."""
    videos = ["cats/1/0.jpg", "dogs/1/0.jpg"]
    files = {"test.csv": "video,caption\ncats/1,x\ndogs/1,y\n"}
    assert found(open_at(put(tmp_path, files, videos)), "test") == {"cats/1": "cats/1", "dogs/1": "dogs/1"}


def test_an_unrelated_file_has_a_way_out(tmp_path):
    """Another JSON file among the captions is refused with the option that leaves it alone."""
    put(tmp_path, {"config.json": {"x": 3}, "test.csv": "video,caption\na,x\n"})
    with pytest.raises(HarnessError, match=r"config\.json is JSON of no known form") as caught:
        open_at(tmp_path)
    assert "in a folder of their own and name that with --annotations" in caught.value.hint


def test_captions_may_lie_elsewhere(tmp_path):
    """With ``annotations`` only the files of that folder count; names are paths below the data root."""
    root = put(tmp_path / "videos", {"unrelated.json": "{"}, ["sub/a.mp4"])
    lists = put(tmp_path / "lists", {"test.csv": "video,caption\nsub/a.mp4,x\n"})
    assert found(open_at(root, lists), "test") == {"sub/a": "sub/a.mp4"}


@pytest.mark.parametrize(
    ("files", "videos", "said"),
    [
        ({}, ["a.mp4"], r"no caption file in .*looked for \*\.csv, \*\.tsv, \*\.json, \*\.jsonl"),
        ({"a.csv": "video\nx\n"}, [], r"a\.csv holds no captions"),
        ({"a.csv": "clip;text\nx;y\n"}, [], r"a\.csv holds no captions: its form is a list of names"),
        ({"a.csv": "video;caption\nx;y\n"}, [], r"a\.csv, line 1: the columns are parted by semicolons"),
        ({"a.csv": "video,caption,caption\nx,y,z\n"}, [], r"the column 'caption' is there twice"),
        ({"a.csv": "clip,text\nx,y\n"}, [], r"a\.csv, line 1: is neither"),
        ({"a.json": {"x": 3}}, [], r"a\.json is JSON of no known form"),
        ({"a.csv": "video,caption,split\nx,y,holdout\n"}, [], r"a\.csv gives x the split 'holdout'"),
        ({"a.csv": "video,caption,split\nx,y,test\nz,y,\n"}, [], r"a\.csv gives z no split"),
        ({"a.csv": "video,caption\nx,y\n", "train.csv": "video,caption\nz,y\n"}, [], r"a\.csv does not say"),
        ({"train_test.csv": "video,caption\nx,y\n", "b.csv": "video,caption\nz,y\n"}, [], r"b\.csv does not"),
        ({"a.csv": "video,caption\nx,\"['a', 'b']\"\n"}, [], r"caption of x is a list written as one text"),
        (
            {"a.csv": "video,caption\na,y\n"},
            ["p/a.mp4", "q/a.mp4"],
            r"the video 'a' may be .*p/a\.mp4 or .*q/a\.mp4",
        ),
        (
            {"a.csv": "video,caption\na.mp4,y\na.webm,z\n"},
            ["a.mp4", "a.webm"],
            r"one name without their suffix: .*a\.mp4 and .*a\.webm",
        ),
        ({"a.csv": "video,caption\na,y\np/a,z\n"}, ["p/a.mp4"], r"'a' and 'p/a' .* would both be .*p/a\.mp4"),
        ({"a.csv": "video,caption\nx/a,y\nz/a,z\n"}, ["p/a.mp4"], r"'x/a' and 'z/a' .* both be .*p/a\.mp4"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path, files, videos, said):
    """Whatever could be understood in two ways is an error that names the file, and says what to do."""
    with pytest.raises(HarnessError, match=said) as caught:
        open_at(put(tmp_path, files, videos))
    assert caught.value.hint


def test_a_root_that_does_not_exist(tmp_path):
    """Neither the folder of the videos nor that of the captions may be missing."""
    with pytest.raises(HarnessError, match="nowhere does not exist"):
        open_at(tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="nowhere does not exist"):
        open_at(tmp_path, tmp_path / "nowhere")


def test_an_unknown_text_source_is_refused(tmp_path):
    """Captions are the only text source."""
    data = open_at(put(tmp_path, {"test.json": json.dumps({"a": "x"})}))
    with pytest.raises(HarnessError, match="no text source 'subtitle'"):
        data.captions("test", "subtitle")


def test_the_sample_reads_as_it_is_meant(tmp_path):
    """The miniature has 16 and 8 clips with two captions each, told apart by their folders, and nothing to note."""
    write_sample(tmp_path)
    data = open_at(tmp_path)
    report = data.check(data.splits())
    assert {name: (split.found, split.captions) for name, split in report.splits.items()} == {
        "train": (16, 32),
        "test": (8, 16),
    }
    assert not report.notes
    assert found(data, "test")["testing/clip_003"] == "testing/clip_003.avi"

"""DiDeMo: paragraphs by stem from every layout, both sizes of the test set, and the clip's window."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import annotations
from harness_didemo.dataset import SPLITS, DidemoOptions, build
from harness_didemo.plugin import harness_datasets
from harness_didemo.sample import write_sample
from tests.support.annotated import found, identity, put, said
from tests.support.published import published

#: The video that makes the difference between the two sizes of the test set.
MISSING = "50072196@N00_8494901801_2a59170218"
TWO_NAMES, NO_NAME, PLAIN = "1@N01_11_aa", "2@N02_22_bb", "3@N03_33_cc"

#: Videos as lists name them, and sentences in the file's order.
LISTED = [f"{PLAIN}.m4v", f"{TWO_NAMES}.mov", f"{NO_NAME}.", f"{MISSING}.avi"]
SENTENCES = [
    (f"{TWO_NAMES}.mov", "one."),
    (f"{NO_NAME}.", "alone"),
    (f"{TWO_NAMES}.mp4", "two"),
    (f"{PLAIN}.m4v", "first"),
    (f"{MISSING}.avi", "absent"),
    (f"{TWO_NAMES}.mov", "three,  with  blanks "),
    (f"{PLAIN}.m4v", "second"),
]
RECORDS = [{"video": name, "description": text, "num_segments": 6} for name, text in SENTENCES]
PARAGRAPHS = {
    PLAIN: "first second",
    TWO_NAMES: "one. two three, with blanks",
    NO_NAME: "alone",
    MISSING: "absent",
}


def lines(names: list[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def owners(folder: Path, split: str = "test") -> Path:
    """The owner's annotations with the usual list, and no videos."""
    return put(folder, {f"{split}_data.json": RECORDS, f"{split}_list.txt": lines(LISTED)})


def open_at(root: Path, **options: object):
    return build(DidemoOptions(**options), root)


def test_two_names_are_one_video(tmp_path):
    """Sentences under x.mov and x.mp4 make one paragraph in the file's order, blanks normalised."""
    dataset = open_at(owners(tmp_path))
    assert dict(said(dataset, "test-1004")) == PARAGRAPHS
    assert [clip.id for clip in dataset.clips("test-1004")] == [PLAIN, TWO_NAMES, NO_NAME, MISSING]


def test_test_sets_differ_by_one_video(tmp_path):
    """test-1003 is test-1004 without the video that most copies lack, and finds nothing odd in that."""
    dataset = open_at(owners(tmp_path))
    assert set(said(dataset, "test-1004")) - set(said(dataset, "test-1003")) == {(MISSING, "absent")}
    report = dataset.report("test-1003")
    assert (report.clips, report.captions, report.silent, report.unlisted) == (3, 3, (), ())


def test_videos_are_found_whatever_their_suffix(tmp_path):
    """Another container, none, a bare dot and a folder of pictures are found; a wrong name is not."""
    files = (f"{PLAIN}.mkv", f"raw/{NO_NAME}.", f"pictures/{TWO_NAMES}/0001.jpg", f"x{MISSING}.avi")
    put(owners(tmp_path), {}, files)
    assert found(open_at(tmp_path), "test-1004") == {
        PLAIN: f"{PLAIN}.mkv",
        TWO_NAMES: f"pictures/{TWO_NAMES}",
        NO_NAME: f"raw/{NO_NAME}.",
        MISSING: None,
    }


def test_only_listed_videos_count(tmp_path):
    """A described video that the list lacks is reported as such, and one without a sentence too."""
    owners(tmp_path)
    put(tmp_path, {"test_list.txt": lines([f"{PLAIN}.m4v", f"{NO_NAME}.", "9@N09_99_ee.mov"])})
    report = open_at(tmp_path).report("test-1004")
    assert (report.clips, report.captions) == (2, 2)
    assert report.silent == ("9@N09_99_ee",) and set(report.unlisted) == {TWO_NAMES, MISSING}


def _spoken() -> dict[str, list[str]]:
    """Sentences by the name in the list, as most conversions have them."""
    return {name: [t for n, t in SENTENCES if n.split(".")[0] == name.split(".")[0]] for name in LISTED}


LAYOUTS = {
    "data alone": {"{}_data.json": RECORDS},
    "CLIP-ViP, sentences": {"{}.jsonl": [{"clip_id": n, "text": t} for n, t in _spoken().items()]},
    "CLIP-ViP, paragraphs": {
        "{}.jsonl": [{"clip_id": f"videos/{n}", "text": " ".join(t)} for n, t in _spoken().items()]
    },
    "VindLU": {"didemo_ret_{}.json": [{"video": n, "caption": t} for n, t in _spoken().items()]},
    "mmaction2": {"didemo_ret_{}.json": _spoken()},
    "GRAM": {
        "descs_ret_{}.json": [
            {"video_id": n.rpartition(".")[0], "desc": " ".join(t)} for n, t in _spoken().items()
        ]
    },
    "VALOR": {
        "txt_mapper.json": {n.rpartition(".")[0]: [" ".join(t)] for n, t in _spoken().items()},
        "{}_id.json": [name.rpartition(".")[0] for name in LISTED],
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_reads_the_same(tmp_path, layout):
    """From whoever's files, training and test set have the same ids, paragraphs and hash."""
    expected = open_at(owners(owners(tmp_path / "owner", "train")))
    for split in ("train", "test"):
        put(tmp_path / "other", {name.format(split): content for name, content in LAYOUTS[layout].items()})
    dataset = open_at(tmp_path / "other")
    for split in ("train", "test-1003"):
        assert dict(said(dataset, split)) == dict(said(expected, split))
        assert identity(dataset, split) == identity(expected, split)


def test_clips_end_with_what_was_annotated(tmp_path):
    """A file's first 30 s are its clip, or as many as are asked for; pictures have no seconds."""
    put(owners(tmp_path), {}, [f"{PLAIN}.mp4", f"{TWO_NAMES}/0001.jpg"])
    for options, end in (({}, 30.0), ({"first_seconds": 31.0}, 31.0), ({"first_seconds": 0.0}, None)):
        windows = {c.id: (c.start_s, c.end_s) for c in open_at(tmp_path, **options).clips("test-1004")}
        assert windows[PLAIN] == (0.0, end)
        assert windows[TWO_NAMES] == (0.0, None)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_window_is_a_length(tmp_path, seconds):
    """Anything but a length in seconds is refused by the option's name."""
    with pytest.raises(HarnessError, match="first_seconds"):
        open_at(owners(tmp_path), first_seconds=seconds)


def test_a_list_of_other_videos_is_refused(tmp_path):
    """A list and sentences of different splits are an error, not a small split."""
    put(owners(tmp_path), {"test_list.txt": lines([f"{n}@N00_0_0.mov" for n in range(30)])})
    with pytest.raises(HarnessError, match=r"test_data\.json has no text for 30 of the 30 clips"):
        open_at(tmp_path).clips("test-1004")


def test_half_of_a_short_list_may_be_silent_and_no_more(tmp_path):
    """Where most of a list has no text, list and texts are not of one kind, however short the list is."""
    strangers = [f"{n}@N00_0_0.mov" for n in range(5)]
    put(owners(tmp_path), {"test_list.txt": lines([*LISTED, *strangers[:4]])})
    assert len(open_at(tmp_path).report("test-1004").silent) == 4
    put(tmp_path, {"test_list.txt": lines([*LISTED, *strangers])})
    with pytest.raises(HarnessError, match="no text for 5 of the 9 clips"):
        open_at(tmp_path).clips("test-1004")


def test_a_namesake_with_other_content_is_told(tmp_path):
    """Of two annotation files of one name both are named, but only where they differ."""
    root = put(owners(tmp_path), {"copy/test_data.json": RECORDS, "copy/test_list.txt": lines(LISTED)})
    assert open_at(root).check(["test-1004"]).notes == ()
    other = put(root, {"old/test_data.json": RECORDS[:-1]}) / "old/test_data.json"
    assert open_at(root).check(["test-1003", "test-1004"]).notes == (
        f"{root / 'test_data.json'} is read; of the same kind and with other content there is also {other}",
    )


def test_everything_of_a_clips_stem_is_told(tmp_path):
    """A second video, a file without a suffix and a folder of pictures beside a clip's video are counted."""
    others = (
        f"z/{PLAIN}.mp4",
        f"z/{PLAIN}",
        f"z/pictures/{PLAIN}/0001.jpg",
        "z/stranger.mp4",
        "a/stranger.mp4",
    )
    root = put(owners(tmp_path), {}, (f"{PLAIN}.m4v", *others))
    (note,) = open_at(root).check(["test-1004"]).notes
    assert note.startswith(
        "passed over because another has their stem: 3 files or folders, such as "
        f"{root / others[0]} for {root / PLAIN}.m4v; "
    )


def test_a_split_without_files_names_a_few_that_would_do(tmp_path):
    """Of many sets of files three are named and the others counted."""
    with pytest.raises(HarnessError, match=r"looked for train_list.txt with train_data.json; or ") as caught:
        open_at(owners(tmp_path)).clips("train")
    assert caught.value.message.endswith("; or train.jsonl; or 3 more")


def test_the_sample_is_complete(tmp_path):
    """Every split of the miniature has its clips, all found, and a paragraph for each."""
    write_sample(tmp_path)
    dataset = open_at(tmp_path)
    assert set(dataset.splits()) == set(SPLITS)
    for name, report in dataset.check(dataset.splits()).splits.items():
        assert report.clips == report.captions == report.found > 0, name


def test_protocols_name_splits():
    """Each protocol trains and tests on splits that the data set has."""
    for protocol in harness_datasets()[0].protocols:
        assert {protocol.train, protocol.test} <= set(SPLITS)


@pytest.mark.parametrize(("split", "names", "videos", "sentences", "dots"), [
    ("test-1004", 33, 1004, 4021, 27), ("val", 29, 1065, 4180, 12),
])  # fmt: skip
def test_published_names(split, names, videos, sentences, dots):
    """In the published files 33 test and 29 validation videos have two names; no sentence is lost."""
    folder, part = published("didemo"), split.partition("-")[0]
    rows = annotations.read(folder / f"{part}_data.json.gz").rows
    listed = [row.video for row in annotations.read(folder / f"{part}_list.txt").rows]
    assert len({row.video for row in rows}) == len(listed) + names == videos + names
    assert sum(name.endswith(".") for name in listed) == dots
    dataset = open_at(folder)
    report = dataset.report(split)
    assert (report.clips, report.captions, report.silent, report.unlisted) == (videos, videos, (), ())
    texts = [text for row in rows for text in row.texts]
    assert len(texts) == sentences
    assert sum(len(text.split()) for text in texts) == sum(len(t.split()) for _, t in said(dataset, split))


def test_published_copies(tmp_path):
    """GRAM's 1003 test videos are test-1003, with the same words; 241 paragraphs in the same order."""
    folder = published("didemo")
    shutil.copy(folder / "valor_descs_ret_test.json.gz", tmp_path)
    theirs, ours = open_at(tmp_path), open_at(folder)
    assert len(theirs.clips("test-1003")) == 1003 and "test-1004" not in theirs.splits()
    said_there, said_here = dict(said(theirs, "test-1003")), dict(said(ours, "test-1003"))
    assert said_there.keys() == said_here.keys()
    assert all(sorted(said_there[name].split()) == sorted(said_here[name].split()) for name in said_here)
    assert sum(said_there[name] == said_here[name] for name in said_here) == 241
    assert identity(theirs, "test-1003") != identity(ours, "test-1003")
    assert len(ours.clips("train")) == 8363


def test_published_owner_needs_no_list(tmp_path):
    """The owner's file alone, without a list of videos, is the same test set."""
    folder = published("didemo")
    shutil.copy(folder / "test_data.json.gz", tmp_path)
    assert identity(open_at(tmp_path), "test-1004") == identity(open_at(folder), "test-1004")

"""ActivityNet Captions: ids in every spelling, paragraphs from every layout, ids that nobody described."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import annotations, paragraph
from harness_activitynet.dataset import SPLITS, ActivityNetOptions, build
from harness_activitynet.plugin import harness_datasets
from harness_activitynet.sample import write_sample
from tests.support.annotated import found, identity, put, said
from tests.support.published import published

DASH, UNDERSCORE, VEE, SILENT = "v_-abcdefghij", "v__bcdefghijk", "v_v_cdefghijk", "v_nobodysaidx"
DESCRIBED = {
    DASH: {"duration": 55.15, "timestamps": [[0, 5], [5, 9]], "sentences": ["A man runs.", "  He\nstops. "]},
    UNDERSCORE: {"duration": 82, "timestamps": [[0, 5]], "sentences": ["She sings."]},
    VEE: {"duration": 10.01, "timestamps": [[9, 3]], "sentences": [" A dog   barks. "]},
}
PARAGRAPHS = {DASH: "A man runs. He stops.", UNDERSCORE: "She sings.", VEE: "A dog barks."}
SECOND = {
    DASH: {"duration": 55.15, "timestamps": [[0, 5]], "sentences": ["Someone runs."]},
    VEE: {"duration": 10.01, "timestamps": [[0, 5]], "sentences": ["An animal."]},
}
IDS = [VEE, DASH, SILENT, UNDERSCORE]


def owners(folder: Path) -> Path:
    """The owner's files; the list of ids serves both annotations of the validation videos."""
    return put(
        folder,
        {
            "train.json": DESCRIBED,
            "train_ids.json": IDS,
            "val_1.json": DESCRIBED,
            "val_2.json": SECOND,
            "val_ids.json": IDS,
        },
    )


def open_at(root: Path, annotations: str = "", **options: object):
    return build(ActivityNetOptions(annotations=annotations, **options), root)


def bare(name: str) -> str:
    """The id that YouTube gave."""
    return name.removeprefix("v_")


def test_ids_without_a_text_are_reported(tmp_path):
    """A listed video without sentences is no query; the report names it, and the order is the list's."""
    dataset = open_at(owners(tmp_path))
    report = dataset.report("val_1")
    assert (report.clips, report.captions, report.silent) == (3, 3, (SILENT,))
    assert [clip.id for clip in dataset.clips("val_1")] == [VEE, DASH, UNDERSCORE]


def test_paragraphs_have_single_blanks(tmp_path):
    """Leading blanks, runs of blanks and line breaks of the sentences become one blank."""
    assert dict(said(open_at(owners(tmp_path)), "train")) == PARAGRAPHS


def test_second_annotation_is_a_split_of_its_own(tmp_path):
    """val_2 has the other words, for those videos that have them."""
    dataset = open_at(owners(tmp_path))
    assert said(dataset, "val_2") == [(VEE, "An animal."), (DASH, "Someone runs.")]
    assert dict(said(dataset, "val_1"))[DASH] == PARAGRAPHS[DASH]


@pytest.mark.parametrize("name", [DASH, UNDERSCORE, VEE])
def test_ids_are_the_owners(tmp_path, name):
    """YouTube's id, the owner's, and file names with either stand for one video, whatever it begins with."""
    dataset = open_at(owners(tmp_path))
    spellings = (name, bare(name), f"{name}.mp4", f"val/{bare(name)}.mkv")
    assert {dataset.id_of(spelling) for spelling in spellings} == {name}


def test_files_have_either_id(tmp_path):
    """Files and folders of pictures are found by the owner's id and by YouTube's."""
    put(owners(tmp_path), {}, [f"a/{bare(DASH)}.mkv", f"{UNDERSCORE}.webm", f"frames/{bare(VEE)}/x_000.jpg"])
    assert found(open_at(tmp_path), "val_1") == {
        VEE: f"frames/{bare(VEE)}",
        DASH: f"a/{bare(DASH)}.mkv",
        UNDERSCORE: f"{UNDERSCORE}.webm",
    }


def windows(dataset) -> dict[str, tuple[float, float | None]]:
    return {clip.id: (clip.start_s, clip.end_s) for clip in dataset.clips("val_1")}


def test_clips_may_end_with_the_annotated_length(tmp_path):
    """Asked for, the window ends at the annotated length, rounded up; pictures have no seconds."""
    put(owners(tmp_path), {}, [f"{DASH}.mp4", f"{VEE}/0.jpg"])
    assert windows(open_at(tmp_path, annotated_seconds=True)) == {
        **{VEE: (0.0, None), DASH: (0.0, 56.0), UNDERSCORE: (0.0, 82.0)}
    }


def test_lengths_that_nobody_states_are_refused(tmp_path):
    """Files of another code base have no lengths: asked for, that is an error and not a whole clip."""
    dataset = open_at(put(tmp_path, LAYOUTS["CLIP-ViP"]), annotated_seconds=True)
    with pytest.raises(HarnessError, match=f"state no length of {DASH}, and data.options.annotated_seconds"):
        dataset.clips("val_1")


_TEXTS = {name: record["sentences"] for name, record in DESCRIBED.items()}
#: Files of the training split and of val_1.
LAYOUTS = {
    "owner's, without lists": {"train.json": DESCRIBED, "val_1.json": DESCRIBED},
    "collaborative-experts": {
        "train.json": DESCRIBED,
        "train_list.txt": "".join(f"{name}\n" for name in IDS),
        "val_1.json": DESCRIBED,
        "val_1_list.txt": "".join(f"{name}\n" for name in PARAGRAPHS),
    },
    "CLIP-ViP": {
        name: [{"clip_id": n, "text": t, "num_frame": 9} for n, t in PARAGRAPHS.items()]
        for name in ("train.jsonl", "val1.jsonl")
    },
    "VindLU": {
        name: [{"video": f"{n}.mp4", "caption": t} for n, t in _TEXTS.items()]
        for name in ("anet_ret_train.json", "anet_ret_val_1.json")
    },
    "GRAM": {
        name: [{"video_id": n, "desc": " ".join(t)} for n, t in _TEXTS.items()]
        for name in ("descs_ret_train.json", "descs_ret_test.json")
    },
    "VALOR": {
        "txt_mapper.json": {bare(name): [" ".join(t)] for name, t in _TEXTS.items()},
        "train_id.json": [bare(name) for name in PARAGRAPHS],
        "val1_id.json": [bare(name) for name in PARAGRAPHS],
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_reads_the_same(tmp_path, layout):
    """From whoever's files, training and test set have the same ids, paragraphs, hash and parts of videos."""
    expected = open_at(owners(tmp_path / "owner"))
    dataset = open_at(put(tmp_path / "other", LAYOUTS[layout]))
    for split in ("train", "val_1"):
        assert dict(said(dataset, split)) == dict(said(expected, split))
        assert identity(dataset, split) == identity(expected, split)
    assert windows(dataset) == windows(expected) == dict.fromkeys(PARAGRAPHS, (0.0, None))


def test_annotations_may_lie_elsewhere(tmp_path):
    """With ``annotations`` the videos' folder need not hold a single annotation file."""
    owners(tmp_path / "texts")
    put(tmp_path / "videos", {}, [f"{DASH}.mp4"])
    assert found(open_at(tmp_path / "videos", str(tmp_path / "texts")), "val_2") == {
        **{VEE: None, DASH: f"{DASH}.mp4"}
    }


@pytest.mark.parametrize("duration", ["12", -1, 1e9, True])
def test_a_wrong_duration_has_a_place(tmp_path, duration):
    """A length that is none is refused with the file and the video."""
    put(owners(tmp_path), {"val_1.json": {**DESCRIBED, VEE: {**DESCRIBED[VEE], "duration": duration}}})
    with pytest.raises(HarnessError, match=rf"val_1\.json, '{VEE}': its duration"):
        open_at(tmp_path).clips("val_1")


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


@pytest.mark.parametrize(("split", "videos", "sentences", "silent", "longest"), [
    ("train", 10009, 37421, 15, 504), ("val_1", 4917, 17505, 9, 332), ("val_2", 4885, 17031, 0, 254),
])  # fmt: skip
def test_published_splits(split, videos, sentences, silent, longest):
    """The published files have the known numbers of videos, sentences, words and of ids without any."""
    folder = published("activitynet")
    rows = annotations.read(folder / f"{split}.json.gz").rows
    assert (len(rows), sum(len(row.texts) for row in rows)) == (videos, sentences)
    dataset = open_at(folder)
    report = dataset.report(split)
    assert (report.clips, report.captions, len(report.silent)) == (videos, videos, silent)
    texts = [text for _, text in said(dataset, split)]
    assert max(len(text.split()) for text in texts) == longest
    assert not any("  " in text or "\n" in text for text in texts)


def test_published_second_annotation_is_of_the_same_videos():
    """All videos of val_2 are in val_1, and no validation video is a training video."""
    dataset = open_at(published("activitynet"))
    train, first, second = ({clip.id for clip in dataset.clips(s)} for s in ("train", "val_1", "val_2"))
    assert second < first and not train & first


def test_published_copies(tmp_path):
    """Without id lists val_1 is the same test set, and GRAM's first 200 paragraphs are ours."""
    folder = published("activitynet")
    shutil.copy(folder / "val_1.json.gz", tmp_path)
    ours = open_at(folder)
    assert identity(open_at(tmp_path), "val_1") == identity(ours, "val_1")
    texts = dict(said(ours, "val_1"))
    theirs = annotations.read(folder / "valor_descs_ret_test.first200.json").rows
    assert len(theirs) == 200
    assert all(texts[ours.id_of(row.video)] == paragraph(row.texts) for row in theirs)
    with gzip.open(folder / "val_1.json.gz", "rt", encoding="utf-8") as file:
        first = json.load(file)[theirs[0].video]
    assert texts[theirs[0].video].split() == " ".join(first["sentences"]).split()

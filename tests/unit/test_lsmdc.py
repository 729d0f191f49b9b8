"""LSMDC: clips of films from the owner's tab-separated files and from every other layout.

All ids and sentences here are invented: the real files are given out by permission only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_lsmdc.dataset import SPLITS, build
from harness_lsmdc.plugin import harness_datasets
from harness_lsmdc.sample import write_sample
from tests.support.annotated import found, identity, put, said

DOOR = "0001_Some_Film_00.01.02.345-00.01.06.789"
LIGHT = "0001_Some_Film_00.01.06.789-00.01.09.001"
RAIN = "1007_Another_Film_01.00.00.000-01.00.03.250"
SAID = [
    (DOOR, "SOMEONE opens the door."),
    (RAIN, '"It rains", he says, slowly.'),
    (LIGHT, "The light, then."),
]
#: The clip DOOR comes again, after others.
REPEATED = [*SAID, (DOOR, "He enters.")]


def film_rows(said: list[tuple[str, str]]) -> str:
    return "".join("\t".join((clip, *["00.00.01.000"] * 4, text)) + "\n" for clip, text in said)


def owners(folder: Path) -> Path:
    return put(
        folder,
        {
            "LSMDC16_annos_training.csv": film_rows(REPEATED),
            "LSMDC16_annos_val.csv": film_rows(SAID[:2]),
            "LSMDC16_challenge_1000_publictect.csv": film_rows(SAID),
        },
    )


def open_at(root: Path):
    return build(AnnotatedOptions(), root)


def in_film(clip: str) -> str:
    """The clip with its film's folder, as CLIP-ViP's lines name it."""
    return f"{clip.rpartition('_')[0]}/{clip}"


def test_all_sentences_of_a_repeated_clip_are_kept(tmp_path):
    """An id that comes again in training is one clip with two sentences, each with an id of its own."""
    dataset = open_at(owners(tmp_path))
    assert said(dataset, "train") == [SAID[0], REPEATED[3], *SAID[1:]]
    assert [clip.id for clip in dataset.clips("train")] == [DOOR, RAIN, LIGHT]
    assert len({caption.id for caption in dataset.captions("train")}) == 4


def test_sentences_are_taken_as_they_are(tmp_path):
    """Quotation marks and commas mean nothing in these files."""
    assert said(open_at(owners(tmp_path)), "test-1000") == SAID


def test_clips_lie_in_film_folders_or_flat(tmp_path):
    """The stem, with all its dots, finds a clip in its film's folder, beside others, or as pictures."""
    put(owners(tmp_path), {}, [f"{in_film(DOOR)}.avi", f"{LIGHT}.mp4", f"frames/{RAIN}/0001.jpg"])
    assert found(open_at(tmp_path), "test-1000") == {
        DOOR: f"{in_film(DOOR)}.avi",
        RAIN: f"frames/{RAIN}",
        LIGHT: f"{LIGHT}.mp4",
    }


def test_a_clip_is_not_found_by_its_film(tmp_path):
    """Another clip of the film is not taken for one that is missing."""
    put(owners(tmp_path), {}, [f"{in_film(DOOR)}.avi"])
    assert open_at(tmp_path).report("test-1000").missing == (RAIN, LIGHT)


LAYOUTS = {
    "CLIP-ViP": {
        "train_101k_frame.jsonl": [
            {"clip_id": in_film(clip), "text": text, "num_frame": 5} for clip, text in REPEATED
        ],
        "test_1k_frame.jsonl": [
            {"clip_id": in_film(clip), "text": text, "num_frame": 5} for clip, text in SAID
        ],
    },
    "VindLU": {
        "lsmdc_ret_train.json": [
            {"video": f"{in_film(clip)}.avi", "caption": text} for clip, text in REPEATED
        ],
        "lsmdc_ret_test_1000.json": [
            {"video": f"{in_film(clip)}.avi", "caption": text} for clip, text in SAID
        ],
    },
    "GRAM": {
        "descs_ret_train.json": [{"video_id": clip, "desc": text} for clip, text in REPEATED],
        "descs_ret_test.json": [{"video_id": clip, "desc": text} for clip, text in SAID],
    },
    "VALOR": {
        "txt_mapper.json": {clip: [t for c, t in REPEATED if c == clip] for clip, _ in SAID},
        "train_id.json": [clip for clip, _ in SAID],
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_reads_the_same(tmp_path, layout):
    """From whoever's files, the splits have the same ids, sentences and hash."""
    expected = open_at(owners(tmp_path / "owner"))
    dataset = open_at(put(tmp_path / "other", LAYOUTS[layout]))
    # One file with all texts of a clip cannot serve two splits in which its texts differ.
    assert dataset.splits() == (["train"] if layout == "VALOR" else ["train", "test-1000"])
    for split in dataset.splits():
        assert said(dataset, split) == said(expected, split)
        assert identity(dataset, split) == identity(expected, split)


@pytest.mark.parametrize(("line", "what"), [
    (f"{DOOR}\tSOMEONE opens the door.", "line 2: has 2 tab-separated fields, not 6"),
    ("\t".join(("", *["00.00.01.000"] * 4, "He enters.")), "line 2: it names no video"),
])  # fmt: skip
def test_a_wrong_line_has_a_number(tmp_path, line, what):
    """A line with other fields, or without a clip, is refused with its file and number."""
    put(owners(tmp_path), {"LSMDC16_challenge_1000_publictect.csv": f"{film_rows(SAID[:1])}{line}\n"})
    with pytest.raises(HarnessError, match=what) as caught:
        open_at(tmp_path).clips("test-1000")
    assert "LSMDC16_challenge_1000_publictect.csv" in caught.value.message


def test_a_blank_sentence_is_noted(tmp_path):
    """A clip whose sentence is blank is no query, and the check says so."""
    put(owners(tmp_path), {"LSMDC16_annos_val.csv": film_rows([SAID[0], (RAIN, "  ")])})
    report = open_at(tmp_path).check(["val-7408"])
    assert report.splits["val-7408"].silent == (RAIN,)
    assert report.notes == ("val-7408: 1 blank texts in LSMDC16_annos_val.csv are left out",)


def test_the_sample_is_complete(tmp_path):
    """Every split of the miniature has its clips, all found; one training clip has two sentences."""
    write_sample(tmp_path)
    dataset = open_at(tmp_path)
    assert set(dataset.splits()) == set(SPLITS)
    for name, report in dataset.check(dataset.splits()).splits.items():
        assert report.clips == report.found == report.captions - (name == "train"), name


def test_protocols_name_splits():
    """Each protocol trains and tests on splits that the data set has."""
    for protocol in harness_datasets()[0].protocols:
        assert {protocol.train, protocol.test} <= set(SPLITS)

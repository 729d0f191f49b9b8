"""TGIF: the owner's tables of questions, and GIFs that decode frame by frame."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data import AnnotatedOptions
from harness.data.inspection import inspect
from harness.data.video import DamagedClip, probe, read_frames, read_frames_sequential
from harness_tgif.dataset import build
from harness_tgif.plugin import harness_datasets
from harness_tgif.sample import write_sample
from tests.support.annotated import put

HEADER = "gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription\r\n"
#: (GIF, question, answer, the number of its kind)
ASKED = [
    ("tumblr_b_250", "what is the cat on ?", "sofa", 3),
    ("tumblr_a_250", "how many cats sit ?", "two", 1),
    ("tumblr_b_250", "what is the color of the cat ?", "black", 2),
    ("tumblr_b_250", "what sits on the sofa ?", "cat", 0),
]


def _owner(root: Path, split: str) -> None:
    rows = [f"{g}\t{q}\t{a}\t{kind}\tFRAMEQA{i}\t{i}\ta cat .\r\n" for i, (g, q, a, kind) in enumerate(ASKED)]
    (root / f"{split.title()}_frameqa_question.csv").write_text("".join([HEADER, *rows]), newline="")


def _valor(root: Path, split: str) -> None:
    mapping = {g: [{"question": q, "answer": a} for f, q, a, _ in ASKED if f == g] for g, *_ in ASKED}
    put(root, {"txt_mapper_frameQA.json": mapping, f"{split}_id_frameQA.json": list(mapping)})


def _vast(root: Path, split: str) -> None:
    records = [{"video_id": g, "question": q, "answer": a} for g, q, a, _ in ASKED]
    put(root, {f"descs_qa_{split}.json": records})


@pytest.mark.parametrize("write", [_owner, _valor, _vast])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_layout_gives_the_same_questions(tmp_path, write, split):
    """Whosever files they are, clips, ids, texts and answers are the same."""
    write(tmp_path, split)
    data, name = build(AnnotatedOptions(), tmp_path), f"frameqa-{split}"
    assert data.splits() == [name]
    assert [clip.id for clip in data.clips(name)] == ["tumblr_b_250", "tumblr_a_250"]
    asked = {(q.clip_id, q.text, q.answer): q.id for q in data.questions(name)}
    assert set(asked) == {row[:3] for row in ASKED}
    assert asked[ASKED[2][:3]] == "tumblr_b_250?1" and asked[ASKED[1][:3]] == "tumblr_a_250?0"


def test_kinds_have_names(tmp_path):
    """The owner's numbers are told as what they mean."""
    _owner(tmp_path, "test")
    kinds = [q.kind for q in build(AnnotatedOptions(), tmp_path).questions("frameqa-test")]
    assert kinds == ["location", "number", "colour", "object"]


def test_a_sample_is_sound_but_for_its_size(tmp_path):
    """Every GIF of it decodes, none is shared by the splits, and each is asked about."""
    write_sample(tmp_path)
    data, (spec,) = build(AnnotatedOptions(), tmp_path), harness_datasets()
    found = inspect(data, data.splits(), spec.protocols, decode=True, threads=1, progress=lambda *_: None)
    judged = found.protocols["frameqa"]
    assert judged.incomplete == "8 of 7132 clips (7124 not in the annotation files)" and not judged.problems
    assert not found.overlaps
    assert not any(split.missing or split.damaged for split in found.splits.values())
    assert (judged.queries, judged.expected_queries, judged.usable) == (24, 13691, 8)
    assert {q.kind for q in data.questions("frameqa-test")} == {"colour", "object"}
    with (tmp_path / "Test_frameqa_question.csv").open(newline="") as file:
        assert next(csv.reader(file, delimiter="\t")) == HEADER.split()


# GIF files

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 0), (255, 255, 255)]
#: How long each is shown, in hundredths of a second.
SHOWN = [10, 20, 5, 10, 30, 7]


@pytest.fixture
def gif(tmp_path) -> Path:
    """One colour a frame, at an uneven pace, of odd size."""
    first, *others = (Image.new("RGB", (33, 25), colour) for colour in COLOURS)
    path = tmp_path / "clip.gif"
    first.save(path, save_all=True, append_images=others, duration=[10 * t for t in SHOWN], loop=0)
    return path


@pytest.mark.parametrize("read", [read_frames, read_frames_sequential])
def test_frames_of_a_gif_come_in_order_with_their_times(gif, read):
    """Each frame has its colour in every pixel, and the time at which its file has it shown."""
    decoded = read(gif, lambda info: np.arange(info.frames))
    starts = np.cumsum([0, *SHOWN[:-1]]) / 100
    np.testing.assert_allclose(decoded.times, starts, atol=1e-9)
    assert probe(gif).frames == len(COLOURS) and (probe(gif).width, probe(gif).height) == (33, 25)
    for colour, frame in zip(COLOURS, decoded.frames, strict=True):
        assert frame.shape == (25, 33, 3) and (frame == colour).all()


def test_some_frames_of_a_gif_are_those_of_all(gif):
    """A frame that is asked for alone is the one that stands in its place, though each builds on the last."""
    (frame,) = read_frames(gif, lambda info: np.array([3])).frames
    assert (frame == COLOURS[3]).all()


def test_a_gif_that_changes_in_part_is_shown_whole(tmp_path):
    """Of a frame that redraws one corner the rest is what was there before."""
    frames = np.zeros((4, 24, 32, 3), np.uint8)
    for number in range(4):
        frames[number:, :8, 8 * number : 8 * number + 8] = COLOURS[number]
    first, *others = map(Image.fromarray, frames)
    first.save(tmp_path / "part.gif", save_all=True, append_images=others, duration=100)
    decoded = read_frames(tmp_path / "part.gif", lambda info: np.arange(info.frames))
    assert np.array_equal(np.stack(decoded.frames), frames)


def _damaged(content: bytes, tmp_path: Path) -> str:
    """The reason for which a GIF of this content is refused; empty where it is read."""
    (tmp_path / "other.gif").write_bytes(content)
    reasons = set()
    for read in (read_frames, read_frames_sequential):
        try:
            read(tmp_path / "other.gif", lambda info: np.arange(info.frames))
            reasons.add("")
        except DamagedClip as error:
            reasons.add(error.reason)
    (reason,) = reasons
    return reason


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> bytes:
    """A GIF of six frames that each have blocks of their own."""
    random = np.random.default_rng(0)
    first, *others = (Image.fromarray(random.integers(0, 255, (24, 32, 3), np.uint8)) for _ in range(6))
    path = tmp_path_factory.mktemp("noisy") / "noisy.gif"
    first.save(path, save_all=True, append_images=others, duration=100)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.99])
def test_a_gif_that_was_cut_off_is_damaged(noisy, tmp_path, share):
    """A download that broke off is told, and not taken for a shorter clip."""
    assert not _damaged(noisy, tmp_path)
    assert "cut off" in _damaged(noisy[: int(share * len(noisy))], tmp_path)


def test_a_gif_with_a_broken_chain_of_blocks_is_damaged(noisy, tmp_path):
    """Where a block's length was overwritten the rest cannot be found, and is not left out."""
    middle = len(noisy) // 2
    assert _damaged(noisy[:middle] + b"\xff" * 40 + noisy[middle + 40 :], tmp_path)


def test_what_does_no_harm_to_a_gif_is_let_pass(noisy, tmp_path):
    """The last byte may be missing, and something may follow it."""
    assert not _damaged(noisy[:-1], tmp_path) and not _damaged(noisy + b"\0more", tmp_path)

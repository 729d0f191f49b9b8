"""`harness caption`: the middle frame of each clip that can be read, one whole file, nothing replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import HarnessError
from harness.data import AnnotatedOptions, read_captions
from harness.data.transform import Geometry
from harness.data.video import read_frames_sequential
from harness.engine.caption import caption
from harness.models import Captioner, Preprocess
from harness_webvid.dataset import build
from harness_webvid.sample import write_sample

SIZE = 24
TINY = ("--captioner", "tiny_coca", "--set", "captioner.width=16", "--set", "captioner.length=4")


class Recorder(Captioner):
    """Says the number of each frame that it has seen, and nothing of the third."""

    def __init__(self) -> None:
        super().__init__()
        self.pretraining = "none"
        self.preprocess = Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3, interpolation="bilinear", fit="squash")
        self.seen: list[torch.Tensor] = []

    def caption(self, frames: torch.Tensor) -> list[str]:
        before = len(self.seen)
        self.seen += list(frames.cpu())
        return [" " if n == 2 else f" frame\n{n} " for n in range(before, len(self.seen))]


@pytest.fixture
def root(tmp_path) -> Path:
    """A small data set with 16 training clips, of which one is missing and one damaged."""
    folder = tmp_path / "a root"
    folder.mkdir()
    write_sample(folder)
    clips = build(AnnotatedOptions(), folder).clips("train")
    clips[4].path.unlink()
    clips[7].path.write_bytes(b"no video")
    return folder


def test_the_middle_frame_is_what_is_seen(root):
    """Frame ``int(n / 2)`` in the captioner's geometry, for every clip that can be read, in their order."""
    dataset, captioner = build(AnnotatedOptions(), root), Recorder()
    clips = dataset.clips("train")
    done = caption(dataset, "train", captioner, batch=3, threads=2)
    assert done.missing == (clips[4].id,) and list(done.damaged) == [clips[7].id]
    sound = [clip for number, clip in enumerate(clips) if number not in (4, 7)]
    assert len(captioner.seen) == len(sound) == 14
    for clip, frame in zip(sound, captioner.seen, strict=True):
        every = read_frames_sequential(clip.path, lambda info: np.arange(info.frames)).frames
        expected = Geometry(SIZE, "squash", "bilinear").apply(every[int(len(every) / 2)])
        assert frame.dtype == torch.uint8 and np.array_equal(frame.numpy(), expected)
    assert done.silent == (sound[2].id,)
    assert done.texts == {clip.id: f"frame {n}" for n, clip in enumerate(sound) if n != 2}


def test_the_command_writes_and_says_what_next(cli, root, workplace):
    """The file names its makers and holds all sound clips; what was left out is named, with the next step."""
    done = cli("caption", "WebVid", *TINY, "--data-root", root)
    assert done.exit_code == 0, done.stderr
    out = Path("webvid-train-captions.jsonl")
    first, *rows = out.read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {
        "harness": "captions",
        "captioner": "tiny_coca, none (random)",
        "dataset": "webvid",
        "split": "train",
    }
    assert len(read_captions(out)) == len(rows) == 14
    head, missing, damaged, use = done.stdout.splitlines()
    assert head == f"14 captions: {out}" and use == f"to train with them: --set data.auxiliary.caption={out}"
    assert missing.startswith("1 clips not found: ") and damaged.startswith("1 clips damaged: ")
    again = cli("caption", "webvid", *TINY, "--data-root", root, "--out", "again.jsonl", "--batch", 5)
    assert again.exit_code == 0 and Path("again.jsonl").read_bytes() == out.read_bytes()


def test_an_existing_file_is_replaced_only_by_force(cli, root, workplace):
    """Without --force it stays as it is, and so it does where the work fails."""
    out = workplace / "mine.jsonl"
    out.write_text("mine")
    command = ("caption", "webvid", *TINY, "--data-root", root, "--out", out)
    done = cli(*command)
    assert done.exit_code == 2 and f"{out} exists" in done.stderr and "--force" in done.stderr
    failed = cli(*command, "--force", "--split", "train-10M")
    assert failed.exit_code == 2 and "results_10M_train.csv" in failed.stderr
    assert out.read_text() == "mine"
    assert cli(*command, "--force", "--split", "val").exit_code == 0
    assert len(read_captions(out)) == 8 and [path.name for path in workplace.iterdir()] == ["mine.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--captioner", "tiny_cocoa"), "did you mean tiny_coca"),
        ((*TINY, "--set", "captioner.lenth=3"), "recipe value 'captioner.lenth': unknown key"),
        ((*TINY, "--set", "captioner.length=long"), "recipe value 'captioner.length'"),
        ((*TINY, "--set", "train.lr=1"), "is no option of the data set"),
        ((*TINY, "--weights", "gone.pt"), "the weights file gone.pt does not exist"),
        ((*TINY, "--split", "test"), "has no split 'test'"),
        ((*TINY, "--out", "."), ". is a folder"),
        (("--captioner", "coca"), "could not be downloaded"),
    ],
)
def test_bad_input_is_one_line(cli, root, workplace, arguments, message):
    """A wrong name, option, split or place is refused with what to do, and nothing is written."""
    done = cli("caption", "webvid", "--data-root", root, *arguments)
    assert done.exit_code == 2 and message in done.stderr, done.stderr
    assert list(workplace.iterdir()) == []


def test_a_split_without_any_sound_clip_is_refused(root):
    """No caption at all is an error that says why, not an empty file."""
    from harness.engine.caption import caption_file, captioner_value
    from harness.plan.opening import open_named
    from harness.plugins import registry

    for clip in build(AnnotatedOptions(), root).clips("val"):
        clip.path.write_bytes(b"no video")
    opened = open_named("webvid", registry(), data_root=str(root))
    value = captioner_value("tiny_coca", (), "", registry())
    with pytest.raises(
        HarnessError, match=r"no clip of webvid/val has a caption: 8 clips damaged: .* 3 more"
    ):
        caption_file(opened, "val", root / "out.jsonl", value, registry(), batch=4, threads=1)
    assert not (root / "out.jsonl").exists()

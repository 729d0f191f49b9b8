"""The decoding benchmark measures equal work, and says what it found."""

from __future__ import annotations

import json
import shutil

import av
import numpy as np
import pytest

from harness.bench import decode
from harness.bench.footage import SHAPES, Shape, footage

SMALL = Shape("S", 3, 320, 240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def test_footage_is_made_once(folder):
    """A second measurement finds the clip of the first, and nothing else is left behind."""
    clip = footage(folder, SMALL)
    before = clip.stat().st_mtime_ns
    assert footage(folder, SMALL) == clip and clip.stat().st_mtime_ns == before
    assert [path.name for path in folder.iterdir()] == [clip.name]


def test_footage_is_no_still(folder):
    """Neighbouring frames differ, and there is more than one scene in a long clip: a decoder has work."""
    frames = decode.read_clip(footage(folder, SMALL)).astype(int)
    assert frames.shape == (12, 3, 224, 224)
    assert (np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)) > 2).all()
    assert footage(folder, SMALL).stat().st_size > 30_000


def test_all_ways_give_the_same_frames(folder):
    """PyAV from the start gives them to the bit. Each that ffmpeg gives, which has filters of its own,
    is closer to its counterpart than to any other."""
    clip = footage(folder, SMALL)
    mine = decode.read_clip(clip)
    assert np.array_equal(mine, decode.read_from_the_start(clip))
    command = shutil.which("ffmpeg")
    if command is None:
        pytest.skip("no ffmpeg command on the PATH")
    theirs = decode.read_with_ffmpeg(command, clip, SMALL.frames).transpose(0, 3, 1, 2)
    assert theirs.shape == mine.shape
    distance = np.abs(theirs[:, None].astype(np.float32) - mine[None]).mean(axis=(2, 3, 4))
    assert distance.argmin(axis=1).tolist() == list(range(12))


def test_rows_say_what_was_measured(folder, monkeypatch):
    """Without ffmpeg its figures are left out, in the table and in JSON; the rest is there."""
    monkeypatch.setattr(decode.shutil, "which", lambda _: None)
    (row,) = decode.measure(folder, 1, [SMALL])
    assert row.harness_s > 0 and row.pyav_s > 0 and row.two_threads > 0
    assert row.over_pyav == row.pyav_s / row.harness_s and row.over_ffmpeg is None
    said = json.loads(decode.to_json([row]))
    assert said["clips"][0]["shape"] == "S: 3 s 320x240" and said["clips"][0]["over_ffmpeg"] is None
    assert "S: 3 s 320x240" in decode.summary([row]) and "no ffmpeg" in decode.summary([row])


def test_reading_adds_less_than_150_mb(folder):
    """A fresh process that reads a clip stays within the memory that a worker is allowed."""
    peak = decode.peak_megabytes(footage(folder, SMALL))
    if peak is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 0 < peak < 150


def test_ffmpeg_is_charged_for_its_work_alone():
    """The start is taken off before the command is compared."""
    row = decode.Row(
        "X", harness_s=0.1, pyav_s=0.15, ffmpeg_s=0.2, ffmpeg_start_s=0.05, two_threads=1.8, peak_mb=20
    )
    assert row.over_ffmpeg == 2 and "net of its start, 50 ms" in decode.summary([row])


def test_key_frames_lie_as_far_apart_as_is_said(tmp_path):
    """The distance decides the gain, so the table states it, and the footage has it."""
    row = decode.Row(
        "X", harness_s=0.1, pyav_s=0.15, ffmpeg_s=None, ffmpeg_start_s=None, two_threads=1.8, peak_mb=20
    )
    assert "a key frame every 2 to 4 s" in decode.summary([row])
    assert json.loads(decode.to_json([row]))["key_frame_every_s"] == [2, 4]
    with av.open(str(footage(tmp_path, Shape("K", 15, 160, 120)))) as container:
        packets = container.demux(video=0)
        times = [float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe]
    assert len(times) > 3 and all(2 <= apart <= 4 for apart in np.diff(times))


def test_the_shapes_are_those_of_the_benchmarks():
    """15 s at 320x240, 30 s and 120 s at 640x360, 25 frames a second."""
    assert [(s.seconds, s.width, s.height) for s in SHAPES] == [
        (15, 320, 240),
        (30, 640, 360),
        (120, 640, 360),
    ]
    assert SHAPES[0].frames == 375

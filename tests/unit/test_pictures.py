"""Folders of numbered pictures are read as clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.files import scan
from harness.data.video import DamagedClip, probe, read_frames, read_frames_sequential
from harness.data.video.pictures import rate_of
from tests.support import clips
from tests.support.special import patience, pipe


def _write(folder: Path, names: list[str], size: tuple[int, int] = (96, 64)) -> Path:
    """Picture ``n`` of ``names`` is numbered ``n``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(clips.picture(number, *size)).save(folder / name)
    return folder


def _every(info):
    return np.arange(info.frames)


def _numbers(folder: Path) -> list[int]:
    return [clips.number_of(frame) for frame in read_frames(folder, _every).frames]


@pytest.mark.parametrize(
    ("place", "name", "first", "rate"),
    [
        ("video_frames_lr/v_a", "v_a_{:03d}.jpg", 0, 1),
        ("frames_fps4/video0", "img_{:04d}.jpg", 1, 4),
        ("videos_6fps/clip", "{}.png", 7, 6),
        ("data_3fps/train/clip", "frame-{}.JPG", 0, 3),
    ],
)
def test_layouts_of_extracted_frames(tmp_path, place, name, first, rate):
    """Pictures come in the order of their numbers, 9 before 10, at the rate that a folder's name
    states, else at one per second."""
    folder = _write(tmp_path / place, [name.format(first + n) for n in range(12)])
    info = probe(folder)
    assert (info.frames, info.width, info.height) == (12, 96, 64)
    assert info.times.tolist() == [n / rate for n in range(12)]
    assert info.duration_s == 12 / rate
    assert _numbers(folder) == list(range(12))


def test_pictures_are_read_as_they_are(tmp_path):
    """Lossless pictures come back to the bit; `convert` sees each wanted one once, and both readers
    agree."""
    folder = _write(tmp_path / "clip", [f"{n}.png" for n in range(5)])
    seen = []
    decoded = read_frames(folder, lambda _: np.array([1, 1, 4]), convert=lambda p: seen.append(0) or p)
    assert len(seen) == 2 and decoded.frames[0] is decoded.frames[1]
    assert np.array_equal(decoded.frames[2], clips.picture(4))
    assert decoded.times.tolist() == [1, 1, 4]
    again = read_frames_sequential(folder, lambda _: np.array([4]))
    assert np.array_equal(again.frames[0], decoded.frames[2])


def test_other_files_are_no_frames(tmp_path):
    """A cover without a number, a text file and a system's hidden files do not count."""
    folder = _write(tmp_path / "clip", [f"{n}.png" for n in range(3)])
    for name in ("cover.png", "notes_1.txt", "._2.png", ".3.png"):
        (folder / name).write_bytes(b"nothing")
    assert _numbers(folder) == [0, 1, 2]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "without numbered pictures"),
        (["1.png", "2.png", "4.png"], "missing between 2.png and 4.png"),
        (["a_1.png", "b_01.png"], "a_1.png and b_01.png have the same number"),
    ],
)
def test_a_folder_that_cannot_be_a_whole_clip_is_damaged(tmp_path, names, reason):
    """Nothing to show, a frame lost between others, one number twice: said with the names."""
    folder = _write(tmp_path / "clip", names)
    for read in (probe, lambda f: read_frames(f, _every)):
        with pytest.raises(DamagedClip, match=reason) as caught:
            read(folder)
        assert caught.value.path == folder and caught.value.lasting


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".webp", ".bmp"])
def test_every_kind_of_picture_is_found_and_read(tmp_path, suffix):
    """What a walk over a data set takes for a folder of pictures is one to the reader, and the other
    way round."""
    folder = _write(tmp_path / "videos" / "clip", [f"{n}{suffix}" for n in range(3)])
    assert scan(tmp_path).video("clip") == folder
    assert _numbers(folder) == [0, 1, 2]


def test_a_pipe_among_the_pictures_is_refused(tmp_path):
    """Nobody waits for somebody to write a frame."""
    folder = _write(tmp_path / "clip", ["0.png", "1.png"])
    pipe(folder / "2.png")
    with patience(), pytest.raises(DamagedClip, match=r"2\.png is no regular file") as caught:
        read_frames(folder, _every)
    assert caught.value.path == folder and not caught.value.lasting


def test_every_tenth_frame_kept_is_no_gap(tmp_path):
    """Numbers may be spread, as where a program kept one frame in ten under its own number."""
    assert _numbers(_write(tmp_path / "clip", [f"{n}.png" for n in range(10, 60, 10)])) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("harm", ["cut", "empty", "page", "size"])
def test_a_broken_picture_is_damage(tmp_path, harm):
    """A picture cut off, empty, no picture at all, or of another size is named."""
    folder = _write(tmp_path / "clip", [f"{n}.jpg" for n in range(4)])
    victim = folder / "2.jpg"
    if harm == "size":
        Image.fromarray(clips.picture(2, 98, 64)).save(victim)
    else:
        whole = victim.read_bytes()
        victim.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "page": b"<html>" * 99}[harm])
    with pytest.raises(DamagedClip, match=r"2\.jpg") as caught:
        read_frames(folder, _every)
    assert caught.value.lasting and "\n" not in caught.value.reason


def test_a_lost_picture_is_the_storage_s_fault(tmp_path):
    """A picture whose link leads nowhere may come back, so nobody remembers it as damaged."""
    folder = _write(tmp_path / "clip", ["0.png", "1.png"])
    (folder / "2.png").symlink_to(tmp_path / "away.png")
    with pytest.raises(DamagedClip) as caught:
        read_frames(folder, _every)
    assert not caught.value.lasting


@pytest.mark.parametrize(
    ("path", "rate"),
    [
        ("frames_fps4/video0", 4),
        ("didemo_video_2.5fps/x", 2.5),
        ("msrvtt_25_fps/x", 25),
        ("FPS12/x", 12),
        ("a_3fps/b_6fps/x", 6),
        ("maps8/x", 1),
        ("frames_fps0/x", 1),
        ("10fps/a/b/c/x", 1),
    ],
)
def test_the_rate_is_that_of_the_nearest_name(tmp_path, path, rate):
    """A folder says its rate in front of or after "fps"; far or odd names say nothing."""
    assert rate_of(tmp_path / path) == rate

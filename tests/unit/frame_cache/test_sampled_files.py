"""Real files sampled by time, by number and in windows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from harness.data import Clip
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.data.video import VideoInfo, probe
from harness.errors import HarnessError
from tests.support import clips
from tests.support.cached import GEOMETRY, SAMPLING, at, reader_of


@pytest.mark.parametrize("sampling", [SAMPLING, Sampling("fps", 6, 5.0)], ids=["uniform", "fps"])
def test_a_window_is_read_as_if_it_were_the_whole_file(tmp_path, sampling):
    """Frames are sampled from those that appear in [start, end), the border belonging to the later window."""
    path, reader = clips.write_clip(tmp_path / "clip", 50), ClipReader(sampling, Geometry(64))
    every = ClipReader(Sampling("uniform", 50), Geometry(64)).read(at(path))
    for start, end, first, past in (
        (0.4, 1.2, 10, 30),
        (0.0, 0.4, 0, 10),
        (1.2, None, 30, 50),
        (1.5, 9.0, 38, 50),
    ):
        read = reader.read(Clip("a", path, start, end))
        duration = (past - first) / 25 if end is None or end > 2 else end - start
        info = VideoInfo(past - first, duration, 96, 64, every.times[first:past], 25.0)
        chosen = first + sampling.choose(info)
        assert np.array_equal(read.times, every.times[chosen])
        assert np.array_equal(read.frames, every.frames[chosen])


def test_reference_fps_reads_a_real_file_to_the_end_of_its_window(root, tmp_path):
    """At 25 frames per second each second's first frame, the window's last second included."""
    path = clips.write_clip(tmp_path / "clip.mp4", 120)
    every = ClipReader(Sampling("uniform", 120), GEOMETRY).read(at(path))
    reader = ClipReader(Sampling("reference_fps", 8, 1), GEOMETRY, FrameCache(root))
    for clip, expected in (
        (at(path), [0, 25, 50, 75, 100]),
        (Clip("window", path, 1.0, 3.0), [25, 50, 75]),
        (Clip("widened", path, 1.9, 2.1), [25, 50, 75]),
        (Clip("long", path, 0.0, 31.0), [0, 25, 50, 75, 100]),
    ):
        assert reader.prepare([clip]) == {}
        read = reader.read(clip)
        assert np.array_equal(read.times, every.times[expected])
        assert np.array_equal(read.frames, every.frames[expected])


def test_reference_fps_drifts_where_the_rate_is_no_integer(tmp_path):
    """Of 29.97 frames per second every 29th is read, so the tenth second is looked at a third early."""
    path = clips.write_clip(tmp_path / "clip.mp4", 300, rate=Fraction(30000, 1001))
    assert probe(path).rate == 30000 / 1001
    reader = ClipReader(Sampling("reference_fps", 32, 1), Geometry(64))
    read = reader.read(at(path))
    np.testing.assert_allclose(read.times, np.arange(11) * 29 * 1001 / 30000, rtol=0, atol=1e-4)
    kept = ClipReader(Sampling("reference_fps", 4, 1, slice="tail"), Geometry(64)).read(at(path))
    assert np.array_equal(kept.times, read.times[-4:]) and np.array_equal(kept.frames, read.frames[-4:])


@pytest.mark.parametrize("kind", ["mkv", "vp9", "ts", "avi", "avi_bframes", "vp8", "gif"])
def test_the_stated_rate_is_that_of_the_pictures(tmp_path, kind):
    """Containers of every kind state 25 frames per second where 25 were written."""
    if not clips.can_write(clips.KINDS[kind]):
        pytest.skip("this PyAV cannot write it")
    path = clips.write_clip(tmp_path / "clip", **clips.KINDS[kind])
    assert probe(path).rate == pytest.approx(25, rel=1e-3)


@pytest.mark.parametrize("processes", [0, 1])
def test_a_rate_that_a_clip_does_not_have_names_the_clip(root, tmp_path, processes):
    """Thirty frames of each second of a film at 25 are the user's error, from a process too."""
    clip = Clip("dull", clips.write_clip(tmp_path / "clip.mp4", 30))
    reader = ClipReader(Sampling("reference_fps", 12, 30), GEOMETRY, FrameCache(root))
    with pytest.raises(HarnessError) as caught:
        reader.prepare([clip], processes=processes)
    assert caught.value.message == "clip dull: 30 frames per second cannot be taken from a clip of 25"
    assert "data.fps=" in caught.value.hint


def test_a_folder_of_pictures_has_the_rate_of_its_name(tmp_path):
    """Two of four pictures per second are every other one."""
    folder = tmp_path / "frames_fps4" / "clip"
    folder.mkdir(parents=True)
    for number in range(9):
        Image.fromarray(clips.picture(number)).save(folder / f"{number}.png")
    read = ClipReader(Sampling("reference_fps", 12, 2), GEOMETRY).read(at(folder))
    assert read.times.tolist() == [0, 0.5, 1, 1.5, 2]


def test_a_window_without_a_frame_is_damage_with_its_reason(root, sound):
    """A window past the end is named and remembered; the file's other windows are sound."""
    past, inside = Clip("past", sound[0].path, 5.0, 6.0), Clip("inside", sound[0].path, 0.1, 0.2)
    found = reader_of(root).prepare([past, inside])
    assert found == {"past": "no frame from 5 s to 6 s: the video has 0.32 s"}
    assert reader_of(root).status([past, inside]).hits == 2
    by_second = ClipReader(Sampling("reference_fps", 6, 1), GEOMETRY, FrameCache(root))
    assert by_second.prepare([past, inside]) == found


def test_sampling_by_time_stores_clips_of_several_lengths(root, tmp_path):
    """Clips of one, two and three seconds have as many frames, with no padding."""
    reader = ClipReader(Sampling("fps", 8, 1.0), GEOMETRY, FrameCache(root))
    lengths = [at(clips.write_clip(tmp_path / str(n), 25 * n)) for n in (1, 2, 3)]
    assert reader.prepare(lengths) == {}
    assert [len(reader.read(clip).times) for clip in lengths] == [1, 2, 3]

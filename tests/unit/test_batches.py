"""Batches of clips: each row holds the wanted frames of its clip and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data import Caption, Clip
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling, jitter
from harness.data.transform import Geometry
from harness.engine.inputs import Batches, Frames, Sample
from harness.engine.randomness import generator
from tests.support import clips

SIZE = 16


@pytest.fixture(scope="module")
def gallery(tmp_path_factory) -> list[Clip]:
    """A clip of 3 frames, one of 12, one that is damaged, and one of 20."""
    root = tmp_path_factory.mktemp("clips")
    made = [Clip(str(n), clips.write_clip(root / f"{n}.mp4", n)) for n in (3, 12, 20)]
    damaged = Clip("damaged", clips.truncate(made[1].path, root / "damaged.mp4", 0.5))
    return [made[0], made[1], damaged, made[2]]


def _frames(count: int, padding: str = "masked", root: Path | None = None, **options) -> Frames:
    sampling = Sampling("uniform", count, short="fewer")
    reader = ClipReader(sampling, Geometry(SIZE), FrameCache(root) if root else None, **options)
    return Frames(reader, 4, SIZE, padding, jittered=count > 4)


@pytest.mark.parametrize("where", ["decoded", "npy", "jpeg"])
def test_short_clips_are_padded_with_a_mask(gallery, tmp_path, where):
    """Rows hold the frames in order, then zeros where the mask is False, from wherever they come."""
    storage = "jpeg" if where == "jpeg" else "npy"
    frames = _frames(4, root=None if where == "decoded" else tmp_path, storage=storage, threads=2)
    frames.reader.prepare(gallery)
    batch = Batches(frames, (), 0).videos(gallery[:2])
    assert batch.ids == ("3", "12") and batch.mask.tolist() == [[True, True, True, False], [True] * 4]
    for row, clip in enumerate(gallery[:2]):
        read = frames.reader.read(clip)
        real = len(read.times)
        assert np.array_equal(batch.frames[row, :real].numpy(), read.frames)
        assert np.array_equal(batch.times[row, :real].numpy(), read.times.astype(np.float32))
        assert not batch.frames[row, real:].any() and not batch.times[row, real:].any()


def test_short_clips_repeat_frames_where_asked(gallery):
    """With `repeat` a clip of three frames fills four places, all of them real."""
    frames = _frames(4, "repeat")
    batch = Batches(frames, (), 0).videos(gallery[:1])
    expected = frames.reader.read(gallery[0]).frames[[0, 0, 1, 2]]
    assert batch.mask.all() and np.array_equal(batch.frames[0].numpy(), expected)


@pytest.mark.parametrize("cached", [True, False])
def test_jitter_draws_from_the_candidates_and_damage_leaves_no_hole(gallery, tmp_path, cached):
    """A training row has the frames that the sample's own random numbers choose; the damaged clip is
    named and the next one takes its place."""
    frames = _frames(10, root=tmp_path if cached else None)
    frames.reader.prepare(gallery)
    chosen = [Sample(clip, (Caption(f"c{clip.id}", clip.id, "a"),)) for clip in gallery]
    batch, damaged = Batches(_frames(4), (), 0, frames).training(chosen, 1, 2)
    video = batch.sources["video"]
    assert set(damaged) == {"damaged"} and video.ids == ("3", "12", "20")
    for row, sample in enumerate(chosen[:2] + chosen[3:]):
        draw = generator("sample", 1, 2, sample.clip.id, sample.key)
        draw.integers(1)
        read = frames.reader.read(sample.clip)
        places = jitter(len(read.times), min(4, len(read.times)), draw)
        assert np.array_equal(video.frames[row, : len(places)].numpy(), read.frames[places])
        assert video.mask[row].sum() == len(places)

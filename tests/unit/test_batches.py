"""Batches of clips: each row holds the wanted frames of its clip and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.data import Caption, Clip
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling, in_order, jitter
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


def _ordered(order: str, padding: str = "masked", cached: Path | None = None, threads: int = 1) -> Frames:
    return replace(_frames(4, padding, cached, threads=threads), order=order)


def _samples(chosen: Sequence[Clip]) -> list[Sample]:
    return [Sample(clip, (Caption(f"c{clip.id}", clip.id, "a"),)) for clip in chosen]


@pytest.mark.parametrize("padding", ["masked", "repeat"])
def test_reversed_frames_take_their_times_along(gallery, padding):
    """Real frames and their times are turned around, and padding stays behind them."""
    read = _frames(4).reader.read(gallery[0])
    batch = Batches(_ordered("reversed", padding), (), 0).videos(gallery[:1])
    places = [2, 1, 0] if padding == "masked" else [2, 2, 1, 0]
    count = len(places)
    assert batch.mask[0].tolist() == [True] * count + [False] * (4 - count)
    assert np.array_equal(batch.frames[0, :count].numpy(), read.frames[places])
    assert np.array_equal(batch.times[0, :count].numpy(), read.times[places].astype(np.float32))
    assert not batch.frames[0, count:].any() and not batch.times[0, count:].any()


def test_a_shuffle_in_the_test_depends_on_the_clip_alone(gallery, tmp_path):
    """Every way to share clips out to batches and threads gives a clip the same order."""
    sound = [clip for clip in gallery if clip.id != "damaged"]
    whole = Batches(_ordered("shuffled"), (), 0).videos(sound)
    many = Batches(_ordered("shuffled", threads=3), (), 0).videos(sound[::-1])
    for row, clip in enumerate(sound):
        alone = Batches(_ordered("shuffled", cached=tmp_path), (), 0).videos([clip])
        read = _frames(4).reader.read(clip)
        places = in_order(len(read.times), "shuffled", generator("frame_order", clip.id))
        assert np.array_equal(alone.frames[0, : len(places)].numpy(), read.frames[places])
        for other, at in ((whole, row), (many, len(sound) - 1 - row)):
            assert np.array_equal(other.frames[at].numpy(), alone.frames[0].numpy())
            assert np.array_equal(other.times[at].numpy(), alone.times[0].numpy())


def test_a_shuffle_in_training_is_that_of_seed_stage_and_epoch(gallery, tmp_path):
    """Any share of a batch has the frames of the whole one; seed, stage and epoch each change the order."""
    chosen = _samples([clip for clip in gallery if clip.id != "damaged"])
    whole = Batches(_ordered("shuffled"), (), 0).training(chosen, 7, "first", 0)[0].sources["video"]
    for row, sample in enumerate(chosen):
        batches = Batches(_ordered("shuffled", threads=2), (), 0)
        share = batches.training([sample], 7, "first", 0)[0].sources["video"]
        assert np.array_equal(share.frames[0].numpy(), whole.frames[row].numpy())
        assert np.array_equal(share.times[0].numpy(), whole.times[row].numpy())
    batches = Batches(_ordered("shuffled", cached=tmp_path), (), 0)
    batches.frames.reader.prepare(gallery)
    for keys in (
        [(n, "first", 0) for n in range(60)],
        [(7, n, 0) for n in range(60)],
        [(7, "first", n) for n in range(60)],
    ):
        orders = set()
        for key in keys:
            video = batches.training(chosen[:1], *key)[0].sources["video"]
            assert video.mask[0].tolist() == [True, True, True, False] and not video.frames[0, 3].any()
            orders.add(tuple(video.times[0, :3].tolist()))
        assert len(orders) == 6, "sixty draws hold all orders of three frames"


def test_jittered_frames_are_drawn_before_they_are_ordered(gallery):
    """The order leaves alone which frames a training sample draws."""
    forward = _frames(10)
    chosen = _samples(gallery[3:])
    plain = Batches(_frames(4), (), 0, forward).training(chosen, 1)[0].sources["video"]
    turned = replace(forward, order="reversed")
    other = Batches(_frames(4), (), 0, turned).training(chosen, 1)[0].sources["video"]
    assert np.array_equal(other.frames[0].numpy(), plain.frames[0].numpy()[::-1])

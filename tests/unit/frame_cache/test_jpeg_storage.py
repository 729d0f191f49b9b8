"""Frames stored as JPEG: smaller, near the pixels, and the same with a cache and without."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data.cache import FrameCache, jpeg
from tests.support import clips
from tests.support.cached import reader_of, stored_clip


def test_pictures_are_near_the_pixels_and_smaller(root, sound):
    """Frames stored as JPEG come back nearly as they were, from fewer bytes."""
    plain, small = reader_of(None).read(sound[0]), reader_of(root, storage="jpeg")
    assert small.prepare(sound) == {} and small.status(sound).hits == len(sound)
    read = small.read(sound[0])
    difference = np.abs(read.frames.astype(int) - plain.frames.astype(int))
    assert read.frames.shape == plain.frames.shape and 0 < difference.mean() < 8
    assert not read.frames.flags.writeable and np.array_equal(read.times, plain.times)
    kept = sum(path.stat().st_size for path in root.glob("*.jpegs"))
    assert kept < plain.frames.size * len(sound) / 2


def test_pictures_do_not_depend_on_the_cache(root, sound):
    """With JPEG storage a fresh decode without a cache gives the cached frames, to the bit."""
    stored, plain = reader_of(root, storage="jpeg"), reader_of(None, storage="jpeg")
    stored.prepare(sound)
    for clip in sound:
        assert np.array_equal(stored.read(clip).frames, plain.read(clip).frames)


def test_pixels_and_pictures_share_a_folder(root, sound):
    """Both storages of one clip are found, each under its own key."""
    for storage in ("npy", "jpeg"):
        assert reader_of(root, storage=storage).status(sound).hits == 0
        reader_of(root, storage=storage).prepare(sound)
    for storage in ("npy", "jpeg"):
        fresh = reader_of(None, storage=storage).read(sound[1])
        assert np.array_equal(reader_of(root, storage=storage).read(sound[1]).frames, fresh.frames)


def test_a_changed_byte_in_a_picture_is_noticed(root):
    """A clip whose pictures changed on disk is absent; its neighbours are unharmed."""
    made = [jpeg.encode(frame) for frame in stored_clip(0)[0]]
    with FrameCache(root).writer() as writer:
        for key in "ab":
            writer.add(key, made, np.arange(4))
    victim = next(root.glob("*.jpegs"))
    data = bytearray(victim.read_bytes())
    data[-9] ^= 1
    victim.write_bytes(bytes(data))
    store = FrameCache(root)
    assert store.lookup("b") is None and "b" not in store
    assert np.array_equal(store.lookup("a").frames, jpeg.decode(made))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_cut_pictures_are_ignored(root, sound, share):
    """A shard of pictures cut anywhere makes its clips absent, and they are decoded again."""
    reader = reader_of(root, storage="jpeg")
    reader.prepare(sound)
    victim = next(root.glob("*.jpegs"))
    clips.truncate(victim, victim, share)
    again = reader_of(root, storage="jpeg")
    assert again.status(sound).hits == 0 and again.prepare(sound) == {}
    assert reader_of(root, storage="jpeg").status(sound).hits == len(sound)

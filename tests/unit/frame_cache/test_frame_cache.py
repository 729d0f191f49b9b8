"""The frame cache: what goes in comes out, and what is not whole is absent."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

from harness.data.cache import Damaged, FrameCache
from harness.data.cache import writer as writer_module
from harness.data.cache.shards import clean
from tests.support import clips
from tests.support.cached import fill, flip, stored_clip


def test_what_goes_in_comes_out(root):
    """Frames and times are returned to the bit, memory-mapped and read-only, by a new process."""
    fill(root)
    found = FrameCache(root).lookup("b")
    frames, times = stored_clip(1)
    assert np.array_equal(found.frames, frames) and np.array_equal(found.times, times)
    assert found.count == 4 and found.times.dtype == np.float64
    assert isinstance(found.frames, np.memmap) and not found.frames.flags.writeable


def test_unknown_keys_are_none(root):
    """A key that nobody stored is None, and not contained."""
    store = fill(root)
    assert store.lookup("z") is None and "z" not in store and "a" in store


def test_shapes_do_not_mix(root):
    """Clips of different lengths go to different shards and all come back."""
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(9):
            writer.add(str(seed), *stored_clip(seed, count=1 + seed % 3))
    assert len(list(root.glob("*.npy"))) == 3
    for seed in range(9):
        assert np.array_equal(store.lookup(str(seed)).frames, stored_clip(seed, count=1 + seed % 3)[0])


def test_full_shards_are_written_at_once(root, small_shards):
    """A shard appears when it is full, while its writer goes on."""
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(5):
            writer.add(str(seed), *stored_clip(seed, count=6, size=32))
        assert FrameCache(root).lookup("2") is not None and "4" not in FrameCache(root)
    assert "4" in FrameCache(root)


def test_many_lengths_at_once_stay_within_memory(root, monkeypatch):
    """With no shard full but much pending in total, the fullest is written."""
    monkeypatch.setattr(writer_module, "PENDING_BYTES", 4000)
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(1, 9):
            writer.add(str(seed), *stored_clip(seed, count=seed))
        assert writer.flushes > 0


def test_runs_see_each_others_shards_after_refresh(root):
    """What another run finished is found once `refresh` was called."""
    mine = FrameCache(root)
    fill(root)
    assert mine.lookup("a") is None
    mine.refresh()
    assert mine.lookup("a") is not None


def test_duplicates_are_harmless(root):
    """The same clips stored by two runs are found once and equal."""
    fill(root)
    fill(root)
    assert np.array_equal(FrameCache(root).lookup("c").frames, stored_clip(2)[0])


@pytest.mark.parametrize("suffix", ["npy", "json"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_files_are_ignored(root, suffix, share):
    """A shard or an index cut anywhere makes its clips absent; others stay."""
    fill(root, "abc")
    victim = next(root.glob(f"*.{suffix}"))
    fill(root, "d")
    clips.truncate(victim, victim, share)
    store = FrameCache(root)
    assert store.lookup("a") is None and store.lookup("d") is not None


def test_a_changed_byte_in_a_shard_is_noticed(root):
    """A clip whose bytes changed on disk is absent; its neighbours are unharmed."""
    fill(root)
    victim = next(root.glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(bytes(data))
    store = FrameCache(root)
    assert store.lookup("c") is None and "c" not in store
    assert store.lookup("a") is not None


def test_a_good_copy_stands_in_for_a_bad_one(root):
    """Of a clip in several shards, any whole one will do, whichever index is read first."""
    for _ in range(3):
        fill(root)
    shards = list(root.glob("*.npy"))
    for good in shards:
        for shard in shards:
            np.save(shard, np.stack([stored_clip(seed)[0] for seed in range(3)]))
            if shard != good:
                flip(shard)
        store = FrameCache(root)
        assert store.verify("c") and np.array_equal(store.lookup("c").frames, stored_clip(2)[0])
    flip(good)
    store = FrameCache(root)
    assert not store.verify("c") and "c" not in store and store.lookup("c") is None
    assert store.verify("a")


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("place", range(0, 128, 9))
def test_a_changed_shard_header_is_noticed(root, place):
    """Whatever byte of a shard's header changed, its clips are right or absent; nothing is raised."""
    fill(root)
    victim = next(root.glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[place] = ord("(")
    victim.write_bytes(bytes(data))
    known = FrameCache(root).lookup("b")
    assert known is None or np.array_equal(known.frames, stored_clip(1)[0])


def test_a_changed_index_is_noticed(root):
    """An index that was edited, even into valid JSON, is ignored."""
    fill(root)
    victim = next(root.glob("*.json"))
    index = json.loads(victim.read_text())
    index["content"]["entries"]["a"][1][0] = 5.0
    victim.write_text(json.dumps(index))
    assert FrameCache(root).lookup("a") is None


def test_garbage_in_the_folder_is_ignored(root):
    """Files of other kinds, shapes and encodings do no harm."""
    fill(root)
    (root / "x.json").write_bytes(b"\xff\xfe\x00")
    (root / "y.json").write_text("[1, 2]")
    (root / "z.json").write_text('{"digest": 1, "content": null}')
    (root / "readme.txt").write_text("hello")
    assert FrameCache(root).lookup("a") is not None


def test_leftovers_are_cleaned_after_a_day(root):
    """Temporaries and shards without index go once old; young ones may be someone's work."""
    fill(root)
    for name, age in (("a.npy.tmp", 2), ("b.npy", 2), ("c.npy.tmp", 0), ("d.npy", 0)):
        (root / name).write_bytes(b"x")
        then = time.time() - age * 86400
        os.utime(root / name, (then, then))
    for path in [*root.glob("*.json"), *(p for p in root.glob("*.npy") if len(p.stem) > 1)]:
        os.utime(path, (0, 0))
    clean(root)
    left = {path.name for path in root.iterdir()}
    assert {"c.npy.tmp", "d.npy"} <= left and not {"a.npy.tmp", "b.npy"} & left
    assert FrameCache(root).lookup("a") is not None


def test_damage_is_remembered(root):
    """A damaged clip is known as such to later runs."""
    with FrameCache(root).writer() as writer:
        writer.add_damaged("k", "cut off")
    assert FrameCache(root).lookup("k") == Damaged("cut off")

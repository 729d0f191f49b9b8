"""Preparing and reading clips: exact through the cache and without it, damage named."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.data import reader as reader_module
from harness.data.video import DamagedClip
from tests.support import clips
from tests.support.cached import at, flip, reader_of, refuse_to_decode
from tests.support.special import patience, pipe


def test_frames_that_the_disk_has_changed_are_stored_anew(root, sound, monkeypatch):
    """A checked status counts the bad clip as a miss, `prepare` mends it, and a later process, which
    reads the old index too, finds whole frames without decoding."""
    plain = {clip.id: reader_of(None).read(clip) for clip in sound}
    reader_of(root).prepare(sound)
    flip(max(root.glob("*.npy"), key=lambda path: path.stat().st_size))
    reader = reader_of(root)
    assert reader.status(sound).hits == len(sound)
    assert len(reader.status(sound, verify=True).misses) == 1
    assert reader.prepare(sound) == {}
    refuse_to_decode(monkeypatch)
    later = reader_of(root)
    assert later.status(sound, verify=True).hits == len(sound)
    assert all(np.array_equal(later.read(clip).frames, plain[clip.id].frames) for clip in sound)


def test_prepare_then_read_decodes_nothing(root, sound, monkeypatch):
    """After `prepare`, every frame comes from the cache and equals a fresh decode."""
    plain = {clip.id: reader_of(None).read(clip) for clip in sound}
    assert reader_of(root, threads=2).prepare(sound) == {}
    refuse_to_decode(monkeypatch)
    reader = reader_of(root)
    for clip in sound:
        assert np.array_equal(reader.read(clip).frames, plain[clip.id].frames)
        assert np.array_equal(reader.read(clip).times, plain[clip.id].times)
    assert reader.prepare(sound) == {}


def test_reading_without_preparing_decodes_and_writes_nothing(root, sound):
    """A miss is decoded for this once."""
    reader = reader_of(root)
    assert reader.read(sound[0]).frames.shape == (6, 3, 32, 32)
    assert not root.exists()


def test_progress_counts_every_clip_once(root, sound, small_shards):
    """Progress starts with what is there, ends at the total, and twins count too."""
    reader_of(root).prepare(sound[:4])
    seen = []
    reader_of(root, threads=2).prepare([*sound, sound[0]], lambda *state: seen.append(state))
    assert [done for done, _ in seen] == list(range(4, 11))
    assert {total for _, total in seen} == {10}


def test_status_tells_what_is_left(root, sound):
    """Hits, misses and the bytes that decoding the misses will take, exact for uniform sampling."""
    reader = reader_of(root)
    reader.prepare(sound[:4])
    status = reader.status([*sound, at(Path("missing.mp4"))])
    assert (status.hits, len(status.misses)) == (4, 7)
    assert status.projected_bytes == 6 * (6 * 3 * 32 * 32)
    assert reader_of(None).status(sound) == (0, sound, 0)


def test_damaged_clips_are_collected_and_not_tried_again(root, sound, tmp_path, monkeypatch):
    """`prepare` names each bad clip, `read` raises, and a second run remembers without decoding."""
    bad = at(clips.truncate(sound[0].path, tmp_path / "bad", 0.5))
    missing = at(tmp_path / "missing")
    reader = reader_of(root)
    first = reader.prepare([*sound, bad, missing])
    assert set(first) == {bad.id, missing.id} and all(first.values())
    refuse_to_decode(monkeypatch)
    again = reader_of(root)
    assert again.prepare([*sound, bad, missing]) == first
    with pytest.raises(DamagedClip, match=first[bad.id]):
        again.read(bad)


def test_a_repaired_file_is_decoded_anew(root, sound, tmp_path):
    """Replacing a damaged file by a sound one needs no cleaning of the cache."""
    clip = at(clips.truncate(sound[0].path, tmp_path / "clip", 0.5))
    assert set(reader_of(root).prepare([clip])) == {clip.id}
    shutil.copy(sound[0].path, clip.path)
    reader = reader_of(root)
    assert reader.prepare([clip]) == {}
    assert reader.status([clip]).hits == 1


def test_a_corrupt_row_is_read_from_the_video(root, sound):
    """If the cached bytes changed, reading still returns the right frames."""
    reader_of(root).prepare(sound)
    for shard in root.glob("*.npy"):
        data = np.load(shard, mmap_mode="r+")
        data[:] = 0
        data.flush()
    fresh = reader_of(None).read(sound[3])
    assert np.array_equal(reader_of(root).read(sound[3]).frames, fresh.frames)


def test_without_a_cache_prepare_names_the_same_clips(root, sound, tmp_path, monkeypatch):
    """Each clip is decoded once, counted, and the damaged ones get the reasons that a cache gives."""
    bad = at(clips.truncate(sound[0].path, tmp_path / "bad", 0.5))
    missing = at(tmp_path / "missing")
    wanted, seen, decoded = [*sound, bad, missing, bad], [], []
    read_frames = reader_module.read_frames

    def counted(path, *args, **kwargs):
        decoded.append(path)
        return read_frames(path, *args, **kwargs)

    monkeypatch.setattr(reader_module, "read_frames", counted)
    found = reader_of(None, threads=2).prepare(wanted, lambda *state: seen.append(state))
    assert set(found) == {bad.id, missing.id}
    assert sorted(decoded) == sorted(clip.path for clip in [*sound, bad])
    assert seen == [(done, 12) for done in range(1, 13)]
    assert found == reader_of(root).prepare(wanted)


@pytest.mark.parametrize("cache", [True, False])
def test_what_is_no_file_is_damage_and_not_remembered(root, tmp_path, cache):
    """A pipe or a device under a video's name is named; nothing waits for it."""
    wanted = [at(pipe(tmp_path / "x.mp4")), at(Path("/dev/zero"))]
    reader = reader_of(root if cache else None)
    with patience():
        assert reader.prepare(wanted) == dict.fromkeys([c.id for c in wanted], "is no regular file")
        with pytest.raises(DamagedClip, match="no regular file"):
            reader.read(wanted[0])
    assert not list(root.glob("*.json"))


def test_readers_can_be_sent_to_workers(root, sound):
    """A pickled reader finds the same cache."""
    reader = reader_of(root)
    reader.prepare(sound)
    again = pickle.loads(pickle.dumps(reader))
    assert again.status(sound).hits == len(sound)

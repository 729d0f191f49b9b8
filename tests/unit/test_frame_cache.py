"""The frame cache: exact, shared by runs, and unharmed by whatever ends one of them."""

from __future__ import annotations

import errno
import gc
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL
import pytest
from PIL import Image

from harness.data import Clip
from harness.data import reader as reader_module
from harness.data.cache import Damaged, FrameCache, clip_key, jpeg
from harness.data.cache import keys as keys_module
from harness.data.cache import shards as shards_module
from harness.data.cache import store as store_module
from harness.data.cache import writer as writer_module
from harness.data.cache.shards import clean
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.data.video import DamagedClip, VideoInfo, probe
from harness.errors import HarnessError
from tests.support import clips
from tests.support.special import patience, pipe

SAMPLING, GEOMETRY = Sampling("uniform", 6), Geometry(32)
#: Ten clips of six frames fill three shards of this size and start a fourth.
SMALL_SHARD = 3 * 6 * 3 * 32 * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten sound clips of different lengths."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(10):
        clips.write_clip(root / f"{number}.mp4", 8 + number, options={"preset": "ultrafast"})
    return root


@pytest.fixture
def sound(folder):
    return [_at(path) for path in sorted(folder.glob("*.mp4"))]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_BYTES", SMALL_SHARD)


def _at(path: Path) -> Clip:
    """The whole of a file, as a clip of that name."""
    return Clip(str(path), path)


def _reader(root: Path | None, **options) -> ClipReader:
    return ClipReader(SAMPLING, GEOMETRY, FrameCache(root) if root else None, **options)


def _clip(seed: int, count: int = 4, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return frames, np.arange(count) / 7


def _fill(root: Path, keys: str = "abc") -> FrameCache:
    store = FrameCache(root)
    with store.writer() as writer:
        for seed, key in enumerate(keys):
            writer.add(key, *_clip(seed))
    return store


def _refuse_to_decode(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("decoded although it is cached")

    monkeypatch.setattr(reader_module, "read_frames", refuse)


def _assert_complete(root: Path, sound: list[Clip]) -> None:
    """Every clip is in the cache and equals a fresh decode, to the bit."""
    store, plain = FrameCache(root), _reader(None)
    for clip in sound:
        known = store.lookup(clip_key(clip, SAMPLING.key(), GEOMETRY.key()))
        fresh = plain.read(clip)
        assert np.array_equal(known.frames, fresh.frames)
        assert np.array_equal(known.times, fresh.times)


def test_what_goes_in_comes_out(root):
    """Frames and times are returned to the bit, memory-mapped and read-only, by a new process."""
    _fill(root)
    found = FrameCache(root).lookup("b")
    frames, times = _clip(1)
    assert np.array_equal(found.frames, frames) and np.array_equal(found.times, times)
    assert found.count == 4 and found.times.dtype == np.float64
    assert isinstance(found.frames, np.memmap) and not found.frames.flags.writeable


def test_unknown_keys_are_none(root):
    """A key that nobody stored is None, and not contained."""
    store = _fill(root)
    assert store.lookup("z") is None and "z" not in store and "a" in store


def test_shapes_do_not_mix(root):
    """Clips of different lengths go to different shards and all come back."""
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(9):
            writer.add(str(seed), *_clip(seed, count=1 + seed % 3))
    assert len(list(root.glob("*.npy"))) == 3
    for seed in range(9):
        assert np.array_equal(store.lookup(str(seed)).frames, _clip(seed, count=1 + seed % 3)[0])


def test_full_shards_are_written_at_once(root, small_shards):
    """A shard appears when it is full, while its writer goes on."""
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(5):
            writer.add(str(seed), *_clip(seed, count=6, size=32))
        assert FrameCache(root).lookup("2") is not None and "4" not in FrameCache(root)
    assert "4" in FrameCache(root)


def test_many_lengths_at_once_stay_within_memory(root, monkeypatch):
    """With no shard full but much pending in total, the fullest is written."""
    monkeypatch.setattr(writer_module, "PENDING_BYTES", 4000)
    store = FrameCache(root)
    with store.writer() as writer:
        for seed in range(1, 9):
            writer.add(str(seed), *_clip(seed, count=seed))
        assert writer.flushes > 0


def test_runs_see_each_others_shards_after_refresh(root):
    """What another run finished is found once `refresh` was called."""
    mine = FrameCache(root)
    _fill(root)
    assert mine.lookup("a") is None
    mine.refresh()
    assert mine.lookup("a") is not None


def test_duplicates_are_harmless(root):
    """The same clips stored by two runs are found once and equal."""
    _fill(root)
    _fill(root)
    assert np.array_equal(FrameCache(root).lookup("c").frames, _clip(2)[0])


@pytest.mark.parametrize("suffix", ["npy", "json"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_files_are_ignored(root, suffix, share):
    """A shard or an index cut anywhere makes its clips absent; others stay."""
    _fill(root, "abc")
    victim = next(root.glob(f"*.{suffix}"))
    _fill(root, "d")
    clips.truncate(victim, victim, share)
    store = FrameCache(root)
    assert store.lookup("a") is None and store.lookup("d") is not None


def test_a_changed_byte_in_a_shard_is_noticed(root):
    """A clip whose bytes changed on disk is absent; its neighbours are unharmed."""
    _fill(root)
    victim = next(root.glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(bytes(data))
    store = FrameCache(root)
    assert store.lookup("c") is None and "c" not in store
    assert store.lookup("a") is not None


def _flip(shard: Path, place: int = -1) -> None:
    """Changes one bit of a file."""
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(bytes(data))


def test_a_good_copy_stands_in_for_a_bad_one(root):
    """Of a clip in several shards, any whole one will do, whichever index is read first."""
    for _ in range(3):
        _fill(root)
    shards = list(root.glob("*.npy"))
    for good in shards:
        for shard in shards:
            np.save(shard, np.stack([_clip(seed)[0] for seed in range(3)]))
            if shard != good:
                _flip(shard)
        store = FrameCache(root)
        assert store.verify("c") and np.array_equal(store.lookup("c").frames, _clip(2)[0])
    _flip(good)
    store = FrameCache(root)
    assert not store.verify("c") and "c" not in store and store.lookup("c") is None
    assert store.verify("a")


def test_frames_that_the_disk_has_changed_are_stored_anew(root, sound, monkeypatch):
    """A checked status counts the bad clip as a miss, `prepare` mends it, and a later process, which
    reads the old index too, finds whole frames without decoding."""
    plain = {clip.id: _reader(None).read(clip) for clip in sound}
    _reader(root).prepare(sound)
    _flip(max(root.glob("*.npy"), key=lambda path: path.stat().st_size))
    reader = _reader(root)
    assert reader.status(sound).hits == len(sound)
    assert len(reader.status(sound, verify=True).misses) == 1
    assert reader.prepare(sound) == {}
    _refuse_to_decode(monkeypatch)
    later = _reader(root)
    assert later.status(sound, verify=True).hits == len(sound)
    assert all(np.array_equal(later.read(clip).frames, plain[clip.id].frames) for clip in sound)


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("place", range(0, 128, 9))
def test_a_changed_shard_header_is_noticed(root, place):
    """Whatever byte of a shard's header changed, its clips are right or absent; nothing is raised."""
    _fill(root)
    victim = next(root.glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[place] = ord("(")
    victim.write_bytes(bytes(data))
    known = FrameCache(root).lookup("b")
    assert known is None or np.array_equal(known.frames, _clip(1)[0])


def test_a_changed_index_is_noticed(root):
    """An index that was edited, even into valid JSON, is ignored."""
    _fill(root)
    victim = next(root.glob("*.json"))
    index = json.loads(victim.read_text())
    index["content"]["entries"]["a"][1][0] = 5.0
    victim.write_text(json.dumps(index))
    assert FrameCache(root).lookup("a") is None


def test_garbage_in_the_folder_is_ignored(root):
    """Files of other kinds, shapes and encodings do no harm."""
    _fill(root)
    (root / "x.json").write_bytes(b"\xff\xfe\x00")
    (root / "y.json").write_text("[1, 2]")
    (root / "z.json").write_text('{"digest": 1, "content": null}')
    (root / "readme.txt").write_text("hello")
    assert FrameCache(root).lookup("a") is not None


def test_leftovers_are_cleaned_after_a_day(root):
    """Temporaries and shards without index go once old; young ones may be someone's work."""
    _fill(root)
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


def test_keys_name_content_not_place(sound, tmp_path):
    """A moved copy keeps its key; another sampling, geometry, time or content has its own."""
    copy = _at(Path(shutil.copy2(sound[0].path, tmp_path / "elsewhere")))
    key = clip_key(sound[0], "s", "g")
    assert clip_key(copy, "s", "g") == key
    others = [clip_key(copy, "t", "g"), clip_key(copy, "s", "h"), clip_key(sound[1], "s", "g")]
    os.utime(copy.path, (1, 1))
    others.append(clip_key(copy, "s", "g"))
    assert len({key, *others}) == 5


def test_prepare_then_read_decodes_nothing(root, sound, monkeypatch):
    """After `prepare`, every frame comes from the cache and equals a fresh decode."""
    plain = {clip.id: _reader(None).read(clip) for clip in sound}
    assert _reader(root, threads=2).prepare(sound) == {}
    _refuse_to_decode(monkeypatch)
    reader = _reader(root)
    for clip in sound:
        assert np.array_equal(reader.read(clip).frames, plain[clip.id].frames)
        assert np.array_equal(reader.read(clip).times, plain[clip.id].times)
    assert reader.prepare(sound) == {}


def test_reading_without_preparing_decodes_and_writes_nothing(root, sound):
    """A miss is decoded for this once."""
    reader = _reader(root)
    assert reader.read(sound[0]).frames.shape == (6, 3, 32, 32)
    assert not root.exists()


def test_progress_counts_every_clip_once(root, sound, small_shards):
    """Progress starts with what is there, ends at the total, and twins count too."""
    _reader(root).prepare(sound[:4])
    seen = []
    _reader(root, threads=2).prepare([*sound, sound[0]], lambda *state: seen.append(state))
    assert [done for done, _ in seen] == list(range(4, 11))
    assert {total for _, total in seen} == {10}


def test_status_tells_what_is_left(root, sound):
    """Hits, misses and the bytes that decoding the misses will take, exact for uniform sampling."""
    reader = _reader(root)
    reader.prepare(sound[:4])
    status = reader.status([*sound, _at(Path("missing.mp4"))])
    assert (status.hits, len(status.misses)) == (4, 7)
    assert status.projected_bytes == 6 * (6 * 3 * 32 * 32)
    assert _reader(None).status(sound) == (0, sound, 0)


def test_damaged_clips_are_collected_and_not_tried_again(root, sound, tmp_path, monkeypatch):
    """`prepare` names each bad clip, `read` raises, and a second run remembers without decoding."""
    bad = _at(clips.truncate(sound[0].path, tmp_path / "bad", 0.5))
    missing = _at(tmp_path / "missing")
    reader = _reader(root)
    first = reader.prepare([*sound, bad, missing])
    assert set(first) == {bad.id, missing.id} and all(first.values())
    _refuse_to_decode(monkeypatch)
    again = _reader(root)
    assert again.prepare([*sound, bad, missing]) == first
    with pytest.raises(DamagedClip, match=first[bad.id]):
        again.read(bad)


def test_a_repaired_file_is_decoded_anew(root, sound, tmp_path):
    """Replacing a damaged file by a sound one needs no cleaning of the cache."""
    clip = _at(clips.truncate(sound[0].path, tmp_path / "clip", 0.5))
    assert set(_reader(root).prepare([clip])) == {clip.id}
    shutil.copy(sound[0].path, clip.path)
    reader = _reader(root)
    assert reader.prepare([clip]) == {}
    assert reader.status([clip]).hits == 1


def test_a_corrupt_row_is_read_from_the_video(root, sound):
    """If the cached bytes changed, reading still returns the right frames."""
    _reader(root).prepare(sound)
    for shard in root.glob("*.npy"):
        data = np.load(shard, mmap_mode="r+")
        data[:] = 0
        data.flush()
    fresh = _reader(None).read(sound[3])
    assert np.array_equal(_reader(root).read(sound[3]).frames, fresh.frames)


def test_without_a_cache_prepare_names_the_same_clips(root, sound, tmp_path, monkeypatch):
    """Each clip is decoded once, counted, and the damaged ones get the reasons that a cache gives."""
    bad = _at(clips.truncate(sound[0].path, tmp_path / "bad", 0.5))
    missing = _at(tmp_path / "missing")
    wanted, seen, decoded = [*sound, bad, missing, bad], [], []
    read_frames = reader_module.read_frames

    def counted(path, *args, **kwargs):
        decoded.append(path)
        return read_frames(path, *args, **kwargs)

    monkeypatch.setattr(reader_module, "read_frames", counted)
    found = _reader(None, threads=2).prepare(wanted, lambda *state: seen.append(state))
    assert set(found) == {bad.id, missing.id}
    assert sorted(decoded) == sorted(clip.path for clip in [*sound, bad])
    assert seen == [(done, 12) for done in range(1, 13)]
    assert found == _reader(root).prepare(wanted)


@pytest.mark.parametrize("sampling", [SAMPLING, Sampling("fps", 6, 5.0)], ids=["uniform", "fps"])
def test_a_window_is_read_as_if_it_were_the_whole_file(tmp_path, sampling):
    """Frames are sampled from those that appear in [start, end), the border belonging to the later window."""
    path, reader = clips.write_clip(tmp_path / "clip", 50), ClipReader(sampling, Geometry(64))
    every = ClipReader(Sampling("uniform", 50), Geometry(64)).read(_at(path))
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
    every = ClipReader(Sampling("uniform", 120), GEOMETRY).read(_at(path))
    reader = ClipReader(Sampling("reference_fps", 8, 1), GEOMETRY, FrameCache(root))
    for clip, expected in (
        (_at(path), [0, 25, 50, 75, 100]),
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
    read = reader.read(_at(path))
    np.testing.assert_allclose(read.times, np.arange(11) * 29 * 1001 / 30000, rtol=0, atol=1e-4)
    kept = ClipReader(Sampling("reference_fps", 4, 1, slice="tail"), Geometry(64)).read(_at(path))
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
    read = ClipReader(Sampling("reference_fps", 12, 2), GEOMETRY).read(_at(folder))
    assert read.times.tolist() == [0, 0.5, 1, 1.5, 2]


def test_windows_of_one_file_are_cached_apart(root, sound):
    """Each window has its own frames under its own key; the whole file keeps the key it always had."""
    path = sound[9].path
    parts = [Clip("whole", path), Clip("start", path, 0.0, 0.3), Clip("end", path, 0.3)]
    assert _reader(root).prepare(parts) == {}
    keys = {clip_key(part, "s", "g") for part in parts}
    assert len(keys) == 3 and clip_key(Clip("again", path, 0.0, None), "s", "g") in keys
    for part in parts:
        assert np.array_equal(_reader(root).read(part).times, _reader(None).read(part).times)
    assert _reader(root).status(parts).hits == 3


def test_a_window_without_a_frame_is_damage_with_its_reason(root, sound):
    """A window past the end is named and remembered; the file's other windows are sound."""
    past, inside = Clip("past", sound[0].path, 5.0, 6.0), Clip("inside", sound[0].path, 0.1, 0.2)
    found = _reader(root).prepare([past, inside])
    assert found == {"past": "no frame from 5 s to 6 s: the video has 0.32 s"}
    assert _reader(root).status([past, inside]).hits == 2
    by_second = ClipReader(Sampling("reference_fps", 6, 1), GEOMETRY, FrameCache(root))
    assert by_second.prepare([past, inside]) == found


def test_a_folder_of_pictures_has_a_key_of_its_content(tmp_path):
    """A moved folder keeps its key; a picture added, resized or renamed changes it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(bytes(number + 1))
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    key = clip_key(_at(folder), "s", "g")
    assert clip_key(_at(copy), "s", "g") == key
    (copy / "1.jpg").rename(copy / "4.jpg")
    renamed = clip_key(_at(copy), "s", "g")
    (copy / "5.jpg").write_bytes(b"x")
    assert len({key, renamed, clip_key(_at(copy), "s", "g")}) == 3


def _pictures(folder: Path, *contents: bytes) -> Path:
    """A folder of pictures with those contents, all changed at the same time."""
    folder.mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / f"{number}.bmp").write_bytes(content)
        os.utime(folder / f"{number}.bmp", (1, 1))
    return folder


@pytest.mark.parametrize(("size", "place"), [(9, 4), (150_000, 75_000), (900_000, 450_000)])
def test_pictures_that_only_look_the_same_have_their_own_key(tmp_path, size, place):
    """Equal names, sizes, times, beginnings and ends are not enough: content counts."""
    other = bytearray(size)
    other[place] = 1
    one = _pictures(tmp_path / "one", b"first", bytes(size))
    two = _pictures(tmp_path / "two", b"first", bytes(other))
    same = _pictures(tmp_path / "same", b"first", bytes(size))
    assert clip_key(_at(one), "s", "g") == clip_key(_at(same), "s", "g") != clip_key(_at(two), "s", "g")


def test_the_rate_of_pictures_is_part_of_their_key(tmp_path):
    """The folder's names state the rate, and the rate decides which frames sampling by time takes."""
    keys = {
        place: clip_key(_at(_pictures(tmp_path / place / "clip", b"a", b"b")), "s", "g")
        for place in ("frames_fps4", "moved_4fps", "frames_fps8", "frames")
    }
    assert len(set(keys.values())) == 3 and keys["frames_fps4"] == keys["moved_4fps"]


def test_pictures_are_looked_into_once(tmp_path, monkeypatch):
    """The second key of a folder costs no reading, until a picture changes."""
    folder = _pictures(tmp_path / "clip", b"a", b"b")
    pieces, read = keys_module._pieces, []
    monkeypatch.setattr(keys_module, "_pieces", lambda path, size: read.append(path) or pieces(path, size))
    first = clip_key(_at(folder), "s", "g")
    assert clip_key(_at(folder), "s", "g") == first and len(read) == 2
    (folder / "1.bmp").write_bytes(b"c")
    assert clip_key(_at(folder), "s", "g") != first and len(read) == 4


def test_other_files_beside_pictures_change_no_key(tmp_path):
    """What is no frame, such as the notes that a system leaves in a folder, is not part of the key."""
    folder = _pictures(tmp_path / "clip", b"a", b"b")
    key = clip_key(_at(folder), "s", "g")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    assert clip_key(_at(folder), "s", "g") == key


def test_another_decoder_has_keys_of_its_own(sound, monkeypatch):
    """Frames of another libavcodec, libswscale or Pillow are other frames; a patch of one is not."""
    seen = [clip_key(sound[0], "s", "g")]
    for name in ("libavcodec", "libswscale"):
        major, *_ = av.library_versions[name]
        monkeypatch.setitem(av.library_versions, name, (major, 98, 99))
        assert clip_key(sound[0], "s", "g") == seen[-1]
        monkeypatch.setitem(av.library_versions, name, (major + 1, 0, 0))
        seen.append(clip_key(sound[0], "s", "g"))
    monkeypatch.setattr(PIL, "__version__", "99.1")
    seen.append(clip_key(sound[0], "s", "g"))
    assert len(set(seen)) == 4


@pytest.mark.parametrize("cache", [True, False])
def test_what_is_no_file_is_damage_and_not_remembered(root, tmp_path, cache):
    """A pipe or a device under a video's name is named; nothing waits for it."""
    wanted = [_at(pipe(tmp_path / "x.mp4")), _at(Path("/dev/zero"))]
    reader = _reader(root if cache else None)
    with patience():
        assert reader.prepare(wanted) == dict.fromkeys([c.id for c in wanted], "is no regular file")
        with pytest.raises(DamagedClip, match="no regular file"):
            reader.read(wanted[0])
    assert not list(root.glob("*.json"))


def test_pictures_are_near_the_pixels_and_smaller(root, sound):
    """Frames stored as JPEG come back nearly as they were, from fewer bytes."""
    plain, small = _reader(None).read(sound[0]), _reader(root, storage="jpeg")
    assert small.prepare(sound) == {} and small.status(sound).hits == len(sound)
    read = small.read(sound[0])
    difference = np.abs(read.frames.astype(int) - plain.frames.astype(int))
    assert read.frames.shape == plain.frames.shape and 0 < difference.mean() < 8
    assert not read.frames.flags.writeable and np.array_equal(read.times, plain.times)
    kept = sum(path.stat().st_size for path in root.glob("*.jpegs"))
    assert kept < plain.frames.size * len(sound) / 2


def test_pictures_do_not_depend_on_the_cache(root, sound):
    """With JPEG storage a fresh decode without a cache gives the cached frames, to the bit."""
    stored, plain = _reader(root, storage="jpeg"), _reader(None, storage="jpeg")
    stored.prepare(sound)
    for clip in sound:
        assert np.array_equal(stored.read(clip).frames, plain.read(clip).frames)


def test_pixels_and_pictures_share_a_folder(root, sound):
    """Both storages of one clip are found, each under its own key."""
    for storage in ("npy", "jpeg"):
        assert _reader(root, storage=storage).status(sound).hits == 0
        _reader(root, storage=storage).prepare(sound)
    for storage in ("npy", "jpeg"):
        fresh = _reader(None, storage=storage).read(sound[1])
        assert np.array_equal(_reader(root, storage=storage).read(sound[1]).frames, fresh.frames)


def test_a_changed_byte_in_a_picture_is_noticed(root):
    """A clip whose pictures changed on disk is absent; its neighbours are unharmed."""
    made = [jpeg.encode(frame) for frame in _clip(0)[0]]
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
    reader = _reader(root, storage="jpeg")
    reader.prepare(sound)
    victim = next(root.glob("*.jpegs"))
    clips.truncate(victim, victim, share)
    again = _reader(root, storage="jpeg")
    assert again.status(sound).hits == 0 and again.prepare(sound) == {}
    assert _reader(root, storage="jpeg").status(sound).hits == len(sound)


def test_an_interrupted_run_keeps_what_it_decoded(root, sound):
    """Ctrl-C in the middle stores the finished clips."""

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _reader(root).prepare(sound, stop)
    assert _reader(root).status(sound).hits == 5


def test_readers_can_be_sent_to_workers(root, sound):
    """A pickled reader finds the same cache."""
    reader = _reader(root)
    reader.prepare(sound)
    again = pickle.loads(pickle.dumps(reader))
    assert again.status(sound).hits == len(sound)


def test_sampling_by_time_stores_clips_of_several_lengths(root, tmp_path):
    """Clips of one, two and three seconds have as many frames, with no padding."""
    reader = ClipReader(Sampling("fps", 8, 1.0), GEOMETRY, FrameCache(root))
    lengths = [_at(clips.write_clip(tmp_path / str(n), 25 * n)) for n in (1, 2, 3)]
    assert reader.prepare(lengths) == {}
    assert [len(reader.read(clip).times) for clip in lengths] == [1, 2, 3]


CHILD = """
import sys, time
from pathlib import Path
from harness.data import Clip
from harness.data.cache import jpeg
from harness.data.cache import FrameCache, writer
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry

writer.SHARD_BYTES, pause = int(sys.argv[3]), float(sys.argv[4])
reader = ClipReader(Sampling("uniform", 6), Geometry(32), FrameCache(sys.argv[1]), threads=2)
def show(done, total):
    print(done, flush=True)
    time.sleep(pause)
clips = [Clip(str(path), path) for path in sorted(Path(sys.argv[2]).glob("*.mp4"))]
print(reader.prepare(clips, show))
"""


def _child(root: Path, folder: Path, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, root, folder, SMALL_SHARD, pause]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment)


def test_two_runs_at_once_one_killed(root, folder, sound):
    """Two processes fill one cache, one is killed midway: it ends complete and exact."""
    victim, survivor = _child(root, folder, 0.1), _child(root, folder, 0.02)
    while int(victim.stdout.readline()) < 5:
        continue
    victim.send_signal(signal.SIGKILL)
    output, _ = survivor.communicate(timeout=60)
    victim.stdout.close()
    assert victim.wait() == -signal.SIGKILL and survivor.returncode == 0
    assert output.splitlines()[-1] == "{}"
    _assert_complete(root, sound)


def test_a_killed_run_leaves_whole_shards_for_the_next(root, folder, sound):
    """What a killed run had finished is found, and the next run decodes only the rest."""
    victim = _child(root, folder, 0.05)
    while int(victim.stdout.readline()) < 7:
        continue
    victim.kill()
    victim.wait()
    victim.stdout.close()
    reader = _reader(root)
    assert 3 <= reader.status(sound).hits < len(sound)
    reader.prepare(sound)
    _assert_complete(root, sound)


def test_killed_at_each_step_of_writing(root, monkeypatch):
    """Dying before either rename or between them never shows a clip that is not whole."""
    keep = os.replace
    for survives in (0, 1):
        calls = []

        def die(source, target, calls=calls, survives=survives):
            calls.append(target)
            if len(calls) > survives:
                raise SystemExit("killed")
            keep(source, target)

        monkeypatch.setattr(os, "replace", die)
        with pytest.raises(SystemExit):
            _fill(root, "k")
        monkeypatch.setattr(os, "replace", keep)
        assert FrameCache(root).lookup("k") is None
    assert _fill(root, "k").lookup("k") is not None


MANY_SHARDS = """
import resource, sys
import numpy as np
from harness.data.cache import FrameCache

resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
store, count = FrameCache(sys.argv[1]), int(sys.argv[2])
held = [store.lookup(str(number)) for number in range(count)]
for number in [*range(count), *reversed(range(count))]:
    assert (store.lookup(str(number)).frames == number).all(), number
assert all((known.frames == number).all() for number, known in enumerate(held))
assert not any(known.frames.flags.writeable for known in held)
"""


def _many_shards(root: Path, monkeypatch, count: int) -> None:
    """Clips whose frames show their number, each in a shard of its own."""
    monkeypatch.setattr(writer_module, "SHARD_BYTES", 1)
    with FrameCache(root).writer() as writer:
        for number in range(count):
            writer.add(str(number), np.full((2, 3, 4, 4), number, dtype=np.uint8), np.arange(2))
    assert len(list(root.glob("*.npy"))) == count


def test_more_shards_than_open_files(root, monkeypatch):
    """All clips are readable in any order, even while all views are held."""
    _many_shards(root, monkeypatch, 200)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", MANY_SHARDS, str(root), "200"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_threads_share_few_mapped_shards(root, monkeypatch):
    """Threads that push each other's shards out of memory still read the right frames."""
    _many_shards(root, monkeypatch, 12)
    monkeypatch.setattr(store_module, "MAPPED_SHARDS", 3)
    store = FrameCache(root)

    def right(turn: int) -> bool:
        return bool((store.lookup(str(turn * 7 % 12)).frames == turn * 7 % 12).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(600)))


@pytest.mark.parametrize("gone", ["deleted", "cut"])
def test_a_shard_lost_before_its_first_use_is_absent(root, gone):
    """Shards are opened late: one that was whole when its index was read may no longer be."""
    store = _fill(root)
    shard = next(root.glob("*.npy"))
    shard.unlink() if gone == "deleted" else clips.truncate(shard, shard, 0.5)
    assert store.lookup("a") is None and "a" not in store


@contextmanager
def _no_more_files():
    """Not one more file can be opened inside the block."""
    gc.collect()
    lowest = os.dup(0)
    os.close(lowest)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    "action",
    [
        "read",
        "decode",
        "prepare",
        "prepare_uncached",
        "status",
        "fill",
        "fill_by_processes",
        "lookup",
        "refresh",
        "open",
        "store",
    ],
)
@pytest.mark.parametrize("key_known", [False, True])
def test_too_many_open_files_are_no_damage(root, sound, tmp_path, action, key_known):
    """Running out of files is the user's to mend: no clip is damaged or absent for it."""
    copy = _at(Path(shutil.copy2(sound[0].path, tmp_path / "clip")))
    reader, plain, fresh = _reader(root), _reader(None), _reader(tmp_path / "other")
    other = FrameCache(root)
    reader.prepare(sound)
    store, writer = _fill(root), FrameCache(root).writer()
    writer.add("new", *_clip(7))
    if key_known:
        clip_key(copy, SAMPLING.key(), GEOMETRY.key())
    actions = {
        "read": lambda: reader.read(copy),
        "decode": lambda: plain.read(copy),
        "prepare": lambda: reader.prepare([copy]),
        "prepare_uncached": lambda: plain.prepare([copy]),
        "status": lambda: reader.status([copy]),
        "fill": lambda: fresh.prepare([copy]),
        "fill_by_processes": lambda: fresh.prepare([copy], processes=1),
        "lookup": lambda: store.lookup("a"),
        "refresh": other.refresh,
        "open": lambda: FrameCache(root),
        "store": lambda: writer.__exit__(),
    }
    with _no_more_files(), pytest.raises(HarnessError, match="too many open files") as caught:
        actions[action]()
    assert "ulimit -n" in caught.value.hint
    other.refresh()
    assert other.lookup("a") is not None and store.lookup("a") is not None
    assert reader.prepare([copy]) == plain.prepare([copy]) == {}


def test_a_disk_that_is_read_only_is_one_line(root, sound, monkeypatch):
    """Where even the draft cannot be removed, the refusal is that of writing; what is stored is read."""
    _reader(root).prepare(sound[:4])

    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    leftover = root / "x.tmp"
    leftover.touch()
    os.utime(leftover, (0, 0))
    reader = _reader(root)
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(shards_module, "open", refuse, raising=False)
    assert reader.prepare(sound[:4]) == {}
    with pytest.raises(HarnessError, match=r"cannot be written to .*[Rr]ead-only") as caught:
        reader.prepare(sound[:5])
    assert "HARNESS_CACHE" in caught.value.hint


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path):
    """Calling its clips absent would decode them all again."""
    (tmp_path / "frames").write_text("no folder")
    with pytest.raises(HarnessError, match=r"frames cannot be read: .*[Nn]ot a directory"):
        FrameCache(tmp_path / "frames")


def test_an_index_skipped_for_too_many_open_files_is_read_later(root, monkeypatch):
    """Once files can be opened again, a refresh finds what the failed one could not read."""
    store = FrameCache(root)
    _fill(root)
    names = store_module.listed(root)
    monkeypatch.setattr(store_module, "listed", lambda _root: names)
    with _no_more_files(), pytest.raises(HarnessError, match="too many open files"):
        store.refresh()
    store.refresh()
    assert store.lookup("a") is not None

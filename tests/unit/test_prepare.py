"""Preparing frames ahead: by processes that may crash, with the size said first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from harness.data import Clip
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.engine import prepare as engine
from harness.engine.prepare import Part, size_text
from harness.engine.progress import Meter
from harness.errors import HarnessError
from tests.support import clips
from tests.support.trouble import BAD_WIDTH, Troubled

SAMPLING = Sampling("uniform", 4)
BAD = "5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twelve sound clips, the sixth of the width that a troubled geometry stumbles over."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(12):
        size = (BAD_WIDTH, 32) if str(number) == BAD else (64, 32)
        clips.write_clip(root / f"{number}.mp4", 8, size=size, options={"preset": "ultrafast"})
    return root


@pytest.fixture
def sound(folder) -> list[Clip]:
    return [Clip(path.stem, path) for path in sorted(folder.glob("*.mp4"))]


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "cache"


def _reader(root: Path | None, geometry: Geometry | None = None, **options) -> ClipReader:
    return ClipReader(SAMPLING, geometry or Geometry(32), FrameCache(root) if root else None, **options)


def _assert_stored(root: Path, wanted: list[Clip]) -> None:
    """Every clip is in the cache, whole, and equals a fresh decode, to the bit."""
    reader, plain = _reader(root), _reader(None)
    for clip in wanted:
        known = reader.cache.lookup(reader.key(clip))
        assert known is not None and np.array_equal(known.frames, plain.read(clip).frames)


@pytest.mark.parametrize("storage", ["npy", "jpeg"])
def test_processes_store_what_threads_store(root, sound, tmp_path, storage):
    """Frames, damage and its reasons are those of decoding in this process."""
    bad = Clip("bad", clips.truncate(sound[0].path, tmp_path / "bad", 0.5))
    wanted = [*sound, bad, Clip("gone", tmp_path / "gone"), Clip("window", sound[1].path, 0.08, 0.2)]
    here, there = _reader(root, storage=storage), _reader(tmp_path / "other", storage=storage)
    assert there.prepare(wanted, processes=2) == here.prepare(wanted)
    for clip in (*sound, wanted[-1]):
        ours, theirs = (reader.cache.lookup(reader.key(clip)) for reader in (here, there))
        assert np.array_equal(ours.frames, theirs.frames) and np.array_equal(ours.times, theirs.times)


def test_progress_of_processes_counts_every_clip_once(root, sound):
    """It starts with what is there, ends at the total, and only grows."""
    _reader(root).prepare(sound[:3])
    seen = []
    _reader(root).prepare(sound, lambda *state: seen.append(state), processes=2)
    assert seen == [(done, 12) for done in range(3, 13)]


def test_a_clip_that_crashes_the_decoder_is_found(root, sound):
    """Every other clip is stored; the guilty one is named with the signal and not remembered."""
    found = _reader(root, Troubled(32, what="crash")).prepare(sound, processes=2)
    assert set(found) == {BAD} and "SIGSEGV" in found[BAD]
    _assert_stored(root, [clip for clip in sound if clip.id != BAD])
    assert [clip.id for clip in _reader(root).status(sound).misses] == [BAD]


def test_a_killed_process_costs_no_clip(root, sound, tmp_path):
    """A clip whose process was killed from outside is tried again, and what that process held too."""
    geometry = Troubled(32, what="crash_once", mark=str(tmp_path / "mark"))
    seen = []
    assert _reader(root, geometry).prepare(sound, lambda *state: seen.append(state), processes=1) == {}
    assert (tmp_path / "mark").exists() and seen == [(done, 12) for done in range(13)]
    _assert_stored(root, sound)


def test_a_defect_in_a_process_is_raised_here(root, sound):
    """An error that is no clip's fault ends the preparation with its traceback."""
    with pytest.raises(RuntimeError, match="a defect of ours") as caught:
        _reader(root, Troubled(32, what="error")).prepare(sound, processes=2)
    assert "trouble.py" in caught.value.__notes__[0]


def test_a_cache_that_cannot_be_written_is_the_users_error(tmp_path, sound):
    """What a process finds wrong with the folder reaches the user as one line."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HarnessError, match=r"frame cache .* cannot be made"):
        _reader(tmp_path / "file" / "cache").prepare(sound, processes=1)


def test_an_interrupted_preparation_keeps_what_it_decoded(root, sound):
    """Ctrl-C in the middle stores the finished clips and leaves no process behind."""

    def stop(done, _total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _reader(root).prepare(sound, stop, processes=1)
    assert 6 <= _reader(root).status(sound).hits < len(sound)


def test_processes_import_no_torch(root, sound):
    """Decoding processes start fast and stay small."""
    assert _reader(root, Troubled(32, what="torch")).prepare(sound, processes=1) == {}


ORPHANED = """
import sys
from pathlib import Path
from harness.data import Clip
from harness.data.cache import FrameCache
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from tests.support.trouble import Troubled

reader = ClipReader(Sampling("uniform", 4), Troubled(32, what="hang", mark=sys.argv[2]), FrameCache(sys.argv[3]))
clip = Clip("bad", Path(sys.argv[1]))
reader.prepare([clip], processes=1)
"""


def test_processes_end_with_their_parent(root, folder, tmp_path):
    """When the parent is killed, a process in the midst of a clip ends too."""
    mark = tmp_path / "mark"
    command = [sys.executable, "-c", ORPHANED, folder / f"{BAD}.mp4", mark, root]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(list(map(str, command)), env=environment)
    while not (mark.exists() and mark.read_text()):
        assert parent.poll() is None
        time.sleep(0.02)
    process = int(mark.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(500):
        if not _alive(process):
            return
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    raise AssertionError("the process outlives its parent")


def _alive(process: int) -> bool:
    """Whether it runs; one that ended and was not waited for does not."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _part(reader: ClipReader, wanted: list[Clip]) -> Part:
    return Part("train", reader, tuple(wanted), (), reader.status(wanted))


def test_the_size_of_a_large_data_set(root, folder):
    """12 frames of 224 pixels of LSMDC's 118,081 clips are 213 GB, with damage and twins left out."""
    path = folder / "1.mp4"
    wanted = [Clip(str(n), path, n, n + 1) for n in range(1181)]
    reader = ClipReader(Sampling("uniform", 12), Geometry(224), FrameCache(root))
    per_clip = reader.status([*wanted, Clip("twin", path, 0, 1), Clip("gone", folder / "gone")])
    assert per_clip.projected_bytes == 1181 * 12 * 3 * 224 * 224
    assert size_text(per_clip.projected_bytes / 1181 * 118_081) == "213.3 GB"


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("storage", ["npy", "jpeg"])
def test_too_little_space_is_refused_first(root, sound, monkeypatch, storage):
    """Nothing but a sample is stored, and pixels name pictures as the way out."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**8))
    monkeypatch.setattr(engine, "SAMPLED_CLIPS", 2)
    reader = _reader(root, storage=storage)
    said = r"the frames take .*, 200\.0 MB have to stay free beside them, and .* has 100\.0 MB free"
    with pytest.raises(HarnessError, match=said) as caught:
        engine._check_space([_part(reader, sound)], 1)
    assert ("data.storage=jpeg" in caught.value.hint) == (storage == "npy")
    assert _reader(root, storage=storage).status(sound).hits == (0 if storage == "npy" else 2)


def test_a_full_cache_needs_no_space(root, sound, monkeypatch):
    """Where nothing is left to decode, a full disk is no obstacle."""
    reader = _reader(root)
    reader.prepare(sound)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 0))
    engine._check_space([_part(reader, sound)], 1)


def test_pictures_are_measured_before_they_are_counted_on(root, sound, capsys):
    """The projection for JPEG comes from clips of this data set and is near what they take."""
    reader = _reader(root, storage="jpeg")
    engine._check_space([_part(reader, sound)], 1)
    assert "measured on 12 of them" in capsys.readouterr().err
    taken = sum(path.stat().st_size for path in root.glob("*.jpegs"))
    assert engine._projection(_part(_reader(root / "new", storage="jpeg"), sound), 1)[0] == taken


def test_damaged_pictures_are_projected_by_the_rule(root, sound, tmp_path, capsys):
    """Where no sampled clip can be decoded, a usual share is assumed, and said to be."""
    bad = [Clip(str(n), clips.truncate(sound[n].path, tmp_path / str(n), 0.5)) for n in range(3)]
    projected, basis = engine._projection(_part(_reader(root, storage="jpeg"), bad), 1)
    assert projected == 3 * (4 * 3 * 32 * 32 // 7) and "taken as 1/7" in basis


def test_a_meter_with_a_unit_shows_the_rate(capsys):
    """Clips per second count what this run did, not what it found done."""
    meter = Meter("decoding", 30, 10, unit="clips")
    meter.start -= 5
    meter.update(30)
    assert capsys.readouterr().err == "decoding: 30/30, 0:05, 4.0 clips/s\n"


def test_the_report_names_what_a_run_will_be_without(tmp_path):
    """Missing and damaged clips stand below the counts, each with its reason, and a long list is cut."""
    lost = engine.Prepared("train", 40, 10, 5, tuple(f"gone{n}" for n in range(3)), {"bad": "cut off"})
    many = engine.Prepared("test", 40, 10, 5, (), {f"bad{n}": "cut off" for n in range(25)})
    lines = engine.summary([lost, many]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["train", "43", "10", "5", "1", "3"]
    assert "train, without 4 clips:" in lines and "  gone2: not found" in lines and "  bad: cut off" in lines
    assert "  bad19: cut off" in lines and "  bad20: cut off" not in lines and "and 5 more" in lines[-1]


@pytest.mark.parametrize(
    "settings",
    [
        ("data.jitter=true",),
        ("data.jitter=true", "data.storage=jpeg"),
        ("data.sampling=reference_fps", "data.fps=2", "data.slice=tail", "data.frame_order=shuffled"),
    ],
)
def test_what_is_prepared_is_what_a_run_reads(cli, small_shapes, workplace, tmp_path, monkeypatch, settings):
    """After `data prepare` a dry run of the same options finds nothing to decode, however frames are chosen."""
    monkeypatch.setenv("HARNESS_CACHE", os.environ["HARNESS_CACHE"])
    options = [*small_shapes[2:], "--backbone", "tiny", "--set", "data.frames=3"]
    for setting in settings:
        options += ["--set", setting]
    done = cli("data", "prepare", "shapes", "--method", "clip4clip_meanp", *options, "--jobs", 2)
    assert done.exit_code == 0 and "| train" in done.output
    looked = cli("run", "--method", "clip4clip_meanp", "--dataset", "shapes", *options, "--dry-run")
    assert looked.output.count("to decode 0") == 2
    again = cli("data", "prepare", "shapes", "--method", "clip4clip_meanp", *options)
    assert "192 |         0" in again.output


def test_preparing_mends_what_the_disk_has_damaged(cli, small_shapes, workplace, empty_cache):
    """A flipped bit in a shard is found and its clip decoded once more; the next time all is well."""
    settings = [*small_shapes[2:], "--backbone", "tiny", "--set", "data.frames=2"]
    command = ("data", "prepare", "shapes", "--method", "clip4clip_meanp", *settings, "--jobs", 1)

    def decoded() -> list[int]:
        rows = [line.split("|") for line in cli(*command).stdout.splitlines()[2:]]
        return [int(row[4]) for row in rows]

    assert decoded()[0] == 192
    shard = max(empty_cache.rglob("*.npy"), key=lambda path: path.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    assert sum(decoded()) == 1 and sum(decoded()) == 0


@pytest.mark.parametrize("option", [("--no-cache",), ("--seed", 1), ("--task", "retrieval")])
def test_preparing_offers_nothing_without_effect(cli, option):
    """What changes no clip is an option of the run only."""
    done = cli("data", "prepare", "shapes", "--method", "clip4clip_meanp", *option)
    assert done.exit_code == 2 and "No such option" in done.output and option[0] in done.output

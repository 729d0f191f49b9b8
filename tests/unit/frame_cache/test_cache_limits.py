"""The machine's limits: open files, mapped shards, disks and folders that refuse."""

from __future__ import annotations

import errno
import gc
import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import FrameCache, clip_key
from harness.data.cache import shards as shards_module
from harness.data.cache import store as store_module
from harness.data.cache import writer as writer_module
from harness.errors import HarnessError
from tests.support import clips
from tests.support.cached import GEOMETRY, SAMPLING, at, fill, reader_of, stored_clip

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
    store = fill(root)
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
    copy = at(Path(shutil.copy2(sound[0].path, tmp_path / "clip")))
    reader, plain, fresh = reader_of(root), reader_of(None), reader_of(tmp_path / "other")
    other = FrameCache(root)
    reader.prepare(sound)
    store, writer = fill(root), FrameCache(root).writer()
    writer.add("new", *stored_clip(7))
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
    reader_of(root).prepare(sound[:4])

    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    leftover = root / "x.tmp"
    leftover.touch()
    os.utime(leftover, (0, 0))
    reader = reader_of(root)
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
    fill(root)
    names = store_module.listed(root)
    monkeypatch.setattr(store_module, "listed", lambda _root: names)
    with _no_more_files(), pytest.raises(HarnessError, match="too many open files"):
        store.refresh()
    store.refresh()
    assert store.lookup("a") is not None

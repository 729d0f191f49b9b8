"""Runs that are ended while they fill the cache: what they finished is whole, the rest is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data.cache import FrameCache
from tests.support.cached import SMALL_SHARD, assert_complete, fill, reader_of


def test_an_interrupted_run_keeps_what_it_decoded(root, sound):
    """Ctrl-C in the middle stores the finished clips."""

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader_of(root).prepare(sound, stop)
    assert reader_of(root).status(sound).hits == 5


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
    assert_complete(root, sound)


def test_a_killed_run_leaves_whole_shards_for_the_next(root, folder, sound):
    """What a killed run had finished is found, and the next run decodes only the rest."""
    victim = _child(root, folder, 0.05)
    while int(victim.stdout.readline()) < 7:
        continue
    victim.kill()
    victim.wait()
    victim.stdout.close()
    reader = reader_of(root)
    assert 3 <= reader.status(sound).hits < len(sound)
    reader.prepare(sound)
    assert_complete(root, sound)


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
            fill(root, "k")
        monkeypatch.setattr(os, "replace", keep)
        assert FrameCache(root).lookup("k") is None
    assert fill(root, "k").lookup("k") is not None

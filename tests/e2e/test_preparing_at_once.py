"""`harness data prepare`, several at once on one cache, whatever becomes of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import FrameCache
from harness.data.cache.shards import read_index
from tests.support.command import Harness, descendants, processes, wait_until

#: Training and test clips of 224 pixels: a few shards of each.
TRAIN, TEST = 96, 192
COMMAND = (
    *("data", "prepare", "shapes", "--method", "clip4clip_meanp", "--backbone", "ViT-B-32"),
    *("--set", f"data.options.train_clips={TRAIN}", "--jobs", "1"),
)


def _frames(cache: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every clip that an index names, each of which has to be there and match its checksum."""
    store = FrameCache(cache / "frames")
    found = {}
    for path in (cache / "frames").glob("*.json"):
        index = read_index(path)
        assert index is not None and not index.damaged, f"{path} is not whole"
        for key in index.entries:
            known = store.lookup(key)
            assert known is not None, f"{key} in {path} does not match its checksum"
            found[key] = (np.array(known.frames), known.times)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data_root) -> Path:
    """The cache that one run makes."""
    place = tmp_path_factory.mktemp("alone")
    done = Harness(place, place / "cache").finish(*COMMAND, "--data-root", str(data_root))
    assert done.returncode == 0, done.stderr
    return place / "cache"


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    """Where the generated clips lie, for all runs of this module."""
    return tmp_path_factory.mktemp("shapes")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["run", "process"])
def test_two_at_once_one_killed(alone, data_root, tmp_path, victim):
    """Two runs fill one cache; one, or its decoding process, is killed with -9 midway: the cache ends
    complete, every entry verifies, all frames equal a single run's, and no process is left."""
    command = Harness(tmp_path, tmp_path / "cache")
    runs = [command.start(*COMMAND, "--data-root", str(data_root)) for _ in range(2)]
    wait_until(lambda: any((tmp_path / "cache" / "frames").glob("*.json")), runs[0])
    found = {}
    wait_until(lambda: found.update(descendants(runs[0].pid)) or bool(found), runs[0])
    (decoder,) = found
    os.kill(runs[0].pid if victim == "run" else decoder, signal.SIGKILL)
    ended = [process.communicate(timeout=120)[1] for process in runs]
    assert runs[0].returncode == (-signal.SIGKILL if victim == "run" else 0), ended[0]
    assert runs[1].returncode == 0, ended[1]
    wait_until(lambda: decoder not in processes())
    expected, found = _frames(alone), _frames(tmp_path / "cache")
    assert len(expected) == TRAIN + TEST and found.keys() == expected.keys()
    for key, (frames, times) in expected.items():
        assert np.array_equal(found[key][0], frames) and np.array_equal(found[key][1], times)

"""What the tests of the frame cache share: ten sound clips, and a cache that is not there yet."""

from __future__ import annotations

import pytest

from harness.data.cache import writer as writer_module
from tests.support import clips
from tests.support.cached import SMALL_SHARD, at


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Ten sound clips of different lengths, which nobody changes."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(10):
        clips.write_clip(root / f"{number}.mp4", 8 + number, options={"preset": "ultrafast"})
    return root


@pytest.fixture
def sound(folder):
    return [at(path) for path in sorted(folder.glob("*.mp4"))]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_BYTES", SMALL_SHARD)

"""What the end-to-end tests share: one cache of generated clips, and the command as a process."""

from __future__ import annotations

import pytest

from tests.support.command import Harness


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """A cache folder for all end-to-end tests: clips are generated and decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def harness(tmp_path, shared_cache):
    return Harness(tmp_path, shared_cache)


@pytest.fixture
def cached_here(monkeypatch, shared_cache):
    """The shared cache for code that runs in the tests' own process."""
    monkeypatch.setenv("HARNESS_CACHE", str(shared_cache))
    return shared_cache

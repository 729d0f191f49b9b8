"""What every test starts from: no network, a cache of its own, and two ways to run the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Read when huggingface_hub is first imported, so they cannot wait for a fixture.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run side by side share the cores: more threads than those only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Data and budget of a run that takes seconds.
SMALL = ("--set", "data.options.train_clips=192", "--set", "train.epochs=1")


@pytest.fixture(scope="session", autouse=True)
def own_places(tmp_path_factory) -> Iterator[Path]:
    """A cache folder for the session; the user's own cache, data roots and config stay unread."""
    cache = tmp_path_factory.mktemp("harness") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(cache))
        patch.setenv("HARNESS_CONFIG", str(cache.parent / "no-config.yaml"))
        patch.delenv("HARNESS_DATA", raising=False)
        yield cache


@pytest.fixture
def cli() -> Callable:
    """Run the command in this process; anything but a clean exit is a test's failure."""
    from click.testing import CliRunner

    from harness.cli import main

    def call(*arguments: object):
        return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)

    return call


@pytest.fixture
def harness() -> Callable[..., subprocess.CompletedProcess]:
    """Run the command in a process of its own."""

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **environment},
        )

    return call


@pytest.fixture(scope="session")
def small_shapes(own_places) -> tuple[str, ...]:
    """Arguments of a run of seconds on the embedded data set, whose clips are made once."""
    from harness.engine.run_data import open_prepared
    from harness.plan.plan import Request, build_plan
    from harness.plugins import registry

    settings = tuple(setting for setting in SMALL if setting != "--set")
    request = Request(method="clip4clip_meanp", dataset="shapes", backbone="tiny", settings=settings)
    open_prepared(build_plan(request, registry())[0], registry())
    return ("--dataset", "shapes", "--backbone", "tiny", *SMALL)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch, own_places, small_shapes) -> Path:
    """A cache that holds no frame, whatever ran before in this session; the videos are the session's."""
    place = tmp_path / "cache"
    place.mkdir()
    (place / "data").symlink_to(own_places / "data", target_is_directory=True)
    monkeypatch.setenv("HARNESS_CACHE", str(place))
    return place


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty working folder, where runs and leaderboards go by default."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place

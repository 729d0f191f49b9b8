"""What the end-to-end tests share: one cache of generated clips, and the command as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Harness:
    """The command ``harness`` in processes of its own, one thread each, in a folder of its own."""

    folder: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HARNESS_CACHE": str(self.cache),
            "HARNESS_CONFIG": str(self.folder / "no-config.yaml"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, finished, whatever came of it."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def record(self, *arguments: str) -> dict[str, Any]:
        """The record that the command prints with ``--json``."""
        done = self.finish(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def only_run(self, runs: str) -> Path:
        """The one run folder under ``runs``."""
        (found,) = (self.folder / runs).iterdir()
        return found

    def log(self, runs: str) -> list[dict[str, Any]]:
        """The whole lines of that run's log so far."""
        path = next((self.folder / runs).glob("*/log.jsonl"), None)
        text = path.read_text() if path else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


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

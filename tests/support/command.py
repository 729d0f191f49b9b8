"""The command ``harness`` as a user runs it: a process of its own, to be watched, killed and read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds after which something that should have happened is taken not to happen any more.
PATIENCE_S = 300


@dataclass(frozen=True)
class Harness:
    """Runs the command in ``folder``, one thread to a process, with the clips of ``cache``."""

    folder: Path
    cache: Path
    python: str = sys.executable

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
            [self.python, "-m", "harness", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background job ignores Ctrl-C, and so would everything that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def finish(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, finished, whatever came of it."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
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
        (found,) = (path for path in (self.folder / runs).iterdir() if not path.name.startswith("."))
        return found

    def log(self, runs: str) -> list[dict[str, Any]]:
        """The whole lines of that run's log so far."""
        path = next((self.folder / runs).glob("*/log.jsonl"), None)
        text = path.read_text() if path else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Return once it happened; a failure after :data:`PATIENCE_S`, or if ``process`` ends before."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()[1]}")
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below one, by their number."""
    return _below(pid, processes())


def titled(pid: int, title: str) -> list[int]:
    """The processes below one whose command line begins so. A process that one of them forks has it too until
    it runs what it was made for, and is not counted."""
    everything = processes()
    chosen = [n for n, command in _below(pid, everything).items() if command.startswith(title)]
    return [n for n in chosen if everything[n][0] not in chosen]


def _below(pid: int, everything: dict[int, tuple[int, str]]) -> dict[int, str]:
    found: dict[int, str] = {}
    above = {pid}
    while above:
        below = {n: command for n, (parent, command) in everything.items() if parent in above}
        found |= below
        above = set(below)
    return found


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process that is alive."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 3) for line in done.stdout.splitlines()]
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if len(row) == 4 and row[2][0] != "Z"}

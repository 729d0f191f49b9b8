"""A grid as a user runs it: killed and given again, with cells that fail, on a cluster that loses a node."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.command import Harness, descendants, wait_until

pytestmark = pytest.mark.slow

GRID = (
    *("run", "--method", "clip4clip_meanp", "--dataset", "shapes", "--backbone", "tiny"),
    *("--set", "data.options.train_clips=64", "--set", "data.frames=2", "--set", "train.batch_size=32"),
    *("--set", "train.epochs=20", "--workers", "0", "--checkpoint-every", "1"),
)
STEPS = 40


def folders(harness: Harness) -> list[Path]:
    return sorted(path.parent for path in (harness.folder / "runs").glob("*/plan.json"))


def lines(folder: Path) -> list[str]:
    """The lines of a log that are written whole."""
    log = folder / "log.jsonl"
    found = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [line for line in found if line.endswith("\n")]


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in lines(folder)]


def finished(harness: Harness) -> list[Path]:
    return sorted((harness.folder / "runs").glob("*/record.json"))


def test_killed_and_given_again(harness):
    """After kill -9 the same command leaves finished records as they are and goes on with the interrupted
    run from its checkpoint; its children end with it."""
    arguments = (*GRID, "--grid", "train.lr=1e-3,2e-3,4e-3")
    process = harness.start(*arguments)
    try:
        wait_until(
            lambda: (
                len(finished(harness)) == 1
                and any(4 < len(steps(f)) < 30 for f in folders(harness) if not (f / "record.json").exists())
            ),
            process,
        )
    finally:
        below = descendants(process.pid)
        process.kill()
        process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{number}").exists() for number in below))
    (done,) = finished(harness)
    before = done.stat().st_mtime_ns, done.read_bytes()
    (broken,) = (folder for folder in folders(harness) if not (folder / "record.json").exists())
    log = lines(broken)
    assert 1 < len(log) < STEPS
    began = time.time()
    again = harness.finish(*arguments)
    assert again.returncode == 0, again.stderr
    assert "grid of 3 cells: 1 done, 1 to resume, 1 to run" in again.stderr
    assert (done.stat().st_mtime_ns, done.read_bytes()) == before
    assert len(finished(harness)) == 3
    assert steps(broken) == list(range(1, STEPS + 1))
    # A line has the time that its step took: those before the checkpoint were not written again.
    assert lines(broken)[: len(log) - 1] == log[:-1]
    assert (broken / "console.log").read_text().count("64 training samples") == 2
    assert all(path.stat().st_mtime > began for path in finished(harness) if path != done)
    rows = again.stdout.splitlines()[2:]
    assert [row.split("|")[3].strip() for row in rows] == ["0.001", "0.002", "0.004"]


def test_a_failing_cell_is_isolated(harness):
    """A cell whose loss is not finite is listed with its message, exit code 1; the others have records."""
    diverges = ("--set", "train.schedule={name: constant, warmup: 0}", "--grid", "train.lr=1e-3,1e30,2e-3")
    done = harness.finish(*GRID, *diverges, "--set", "train.epochs=2")
    assert done.returncode == 1
    listed = done.stderr.partition("1 of the cells failed:\n")[2].splitlines()
    assert len(listed) == 1 and listed[0].startswith("  clip4clip_meanp shapes train.lr=1e+30 s0: the ")
    assert len(finished(harness)) == 2
    overview = (harness.folder / "leaderboards" / "shapes.md").read_text()
    assert "clip4clip_meanp, train.lr=0.002" in overview and "train.lr=1e+30" not in overview


class Cluster:
    """Two Ray nodes of one machine, each a raylet with one core, and a token that only they and the
    command under test have."""

    def __init__(self, harness: Harness) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.harness, self.address = harness, f"127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        port = self.address.partition(":")[2]
        self._start("--head", "--port", port, "--include-dashboard", "false")
        self._start("--address", self.address)

    def _start(self, *arguments: str) -> None:
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1", *arguments]
        log = self.harness.folder / f"node-{len(self.processes)}.log"
        process = subprocess.Popen(
            [*ray, "--disable-usage-stats"],
            env=self.harness.environment,
            cwd=self.harness.folder,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.processes.append(process)
        wait_until(lambda: b"Ray runtime started" in log.read_bytes() or process.poll() is not None)
        assert process.poll() is None, log.read_text()

    def lose(self) -> None:
        """Kill the second node: everything below its command, its cells too."""
        for number in descendants(self.processes[1].pid):
            os.kill(number, signal.SIGKILL)

    def running(self) -> list[str]:
        """The cells that the second node runs."""
        below = descendants(self.processes[1].pid).values()
        return [line for line in below if line.startswith("ray::clip4clip_meanp")]

    def close(self) -> None:
        for process in self.processes:
            below = descendants(process.pid)
            process.terminate()
            process.wait(60)
            for number in below:
                if Path(f"/proc/{number}").exists():
                    os.kill(number, signal.SIGKILL)


@pytest.fixture
def cluster(harness, monkeypatch):
    # Ray notes the last cluster of a machine in its folder, for everybody: these nodes have a folder of
    # their own, with a short name because sockets lie in it.
    place = tempfile.mkdtemp(prefix="r")
    monkeypatch.setenv("RAY_TMPDIR", place)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "200")  # a busy machine takes its time
    made = Cluster(harness)
    try:
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(place, ignore_errors=True)


def test_a_node_is_lost(harness, cluster):
    """Of two nodes one is killed half-way: its cell goes on elsewhere from its checkpoint, all are made."""
    arguments = (*GRID, "--grid", "train.lr=1e-3,2e-3,4e-3", "--address", cluster.address)
    process = harness.start(*arguments)
    try:
        wait_until(
            lambda: bool(cluster.running()) and sum(4 < len(steps(f)) < 30 for f in folders(harness)) == 2,
            process,
        )
        logs = {folder: lines(folder)[:-1] for folder in folders(harness)}
        cluster.lose()
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "room for 2 cells at once" in err
    assert err.count("it will go on from its checkpoint") == 1, err
    assert len(finished(harness)) == 3 and len(out.splitlines()) == 5
    assert [steps(folder) for folder in folders(harness)] == [list(range(1, STEPS + 1))] * 3
    for folder, log in logs.items():  # what was done before the checkpoint was not done again
        assert lines(folder)[: len(log)] == log
    consoles = [(folder / "console.log").read_text() for folder in folders(harness)]
    assert sorted(said.count("64 training samples") for said in consoles) == [1, 1, 2]

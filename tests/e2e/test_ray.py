"""Runs under Ray: the same results as in the process, and no trouble when a process dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.command import Harness, descendants, processes, titled, wait_until

METHOD = (
    *("run", "--method", "clip_vip", "--dataset", "shapes"),
    *("--set", "data.options.train_clips=96"),
    *("--set", "train.epochs=3"),
    *("--set", "train.batch_size=32"),
    *("--checkpoint-every", "2"),
)
STEPS = 9
EXACT = ("--set", "train.precision=fp64")

#: Everything that a run may say, whoever does the work.
LINES = re.compile(
    r"(shapes clips|reading (training )?clips|training finetune|encoding (clips|texts)): \d+/\d+, .*"
    r"|clip_vip on shapes: 96 training samples, global batch 32, seed 0"
    r"|record: .*\.json"
)


@dataclass
class Watched:
    """A finished command, the processes that it had below itself, under each title they took, and Ray's workers
    among them."""

    returncode: int
    out: str
    err: str
    below: set[tuple[int, str]] = field(default_factory=set)
    workers: set[int] = field(default_factory=set)

    def left(self) -> dict[int, str]:
        """Those of the processes below that are still alive; Ray's helpers take a while to end."""
        for _ in range(300):
            alive = processes()
            left = {n: line for n, line in self.below if n in alive and alive[n][1] == line}
            if not left:
                break
            time.sleep(0.1)
        return left


def _watch(process: subprocess.Popen[str]) -> Watched:
    """Wait for a command's end, looking at what runs below it every now and then."""
    below: set[tuple[int, str]] = set()
    workers: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            below.update(descendants(process.pid).items())
            workers.update(_train_workers(process))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        out, err = process.communicate(timeout=300)
    finally:
        over.set()
        thread.join()
        process.kill()
    return Watched(process.returncode, out, err, below, workers)


def _train_workers(process: subprocess.Popen[str]) -> list[int]:
    return titled(process.pid, "ray::RayTrainWorker")


def _losses(harness: Harness, runs: str) -> list[float]:
    assert [event["step"] for event in harness.log(runs)] == list(range(1, STEPS + 1))
    return [event["loss"] for event in harness.log(runs)]


@pytest.fixture(scope="module")
def place(tmp_path_factory, shared_cache):
    return Harness(tmp_path_factory.mktemp("ray"), shared_cache)


@pytest.fixture(scope="module")
def by_two(place):
    """A run by two Ray workers that nobody disturbs."""
    done = _watch(place.start(*METHOD, *EXACT, "--workers", "2", "--runs", "two", "--json"))
    assert done.returncode == 0, done.err
    return done


@pytest.fixture(scope="module")
def record_of_two(place, by_two) -> dict[str, Any]:
    return json.loads(by_two.out)


def test_two_workers_equal_none(place, record_of_two):
    """In fp64, a run by two workers has the losses and the counts of a run in the process."""
    alone = place.record(*METHOD, *EXACT, "--workers", "0", "--runs", "none")
    assert record_of_two["queries"] == alone["queries"]
    assert record_of_two["metrics"] == alone["metrics"]
    assert (record_of_two["world_size"], alone["world_size"]) == (2, 1)
    assert _losses(place, "two") == pytest.approx(_losses(place, "none"), rel=1e-8, abs=0)


def test_nothing_of_ray_is_said(by_two):
    """Standard error has the lines of any run, each once, and none of Ray's own."""
    said = by_two.err.splitlines()
    assert [line for line in said if not LINES.fullmatch(line)] == []
    assert len(said) == len(set(said))
    assert any(line.startswith("training finetune: 9/9") for line in said)


def test_nothing_is_left_running(by_two):
    """With the command, all of Ray's processes have ended."""
    assert len(by_two.workers) == 2
    assert by_two.left() == {}


def test_little_is_left_on_disk(place, by_two):
    """Ray keeps no second copy of the checkpoint in the run folder."""
    kept = place.only_run("two") / "ray"
    assert sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_evaluation(place, record_of_two, workers):
    """One checkpoint gets the same counts from 1 and 2 Ray workers as in the process, in fp32."""
    arguments = ("evaluate", str(place.only_run("two") / "model.safetensors"), "--method", "clip_vip")
    arguments = (*arguments, "--dataset", "shapes", "--set", "train.precision=fp32")
    alone = place.record(*arguments, "--workers", "0", "--runs", "evaluate-0")
    by_ray = place.record(*arguments, "--workers", workers, "--runs", f"evaluate-{workers}")
    assert by_ray["queries"] == alone["queries"]
    assert by_ray["world_size"] == int(workers)


@pytest.mark.slow
def test_a_worker_is_killed(place, record_of_two):
    """With one worker killed the run finishes by itself, equal to the undisturbed one to the bit."""
    process = place.start(*METHOD, *EXACT, "--workers", "2", "--runs", "hit", "--json")
    wait_until(lambda: len(place.log("hit")) >= 5, process)
    os.kill(_train_workers(process)[-1], signal.SIGKILL)
    done = _watch(process)
    assert done.returncode == 0, done.err
    assert len([line for line in done.err.splitlines() if "starting again from the last" in line]) == 1
    record = json.loads(done.out)
    assert record["queries"] == record_of_two["queries"]
    assert record["checkpoint_sha256"] == record_of_two["checkpoint_sha256"]
    assert _losses(place, "hit") == _losses(place, "two")
    assert done.left() == {}


@pytest.mark.slow
def test_resumed_without_ray(place, record_of_two):
    """A run by two workers whose command was killed goes on in one process with the same losses."""
    process = place.start(*METHOD, *EXACT, "--workers", "2", "--runs", "lost")
    try:
        wait_until(lambda: len(place.log("lost")) >= 5, process)
        below, workers = descendants(process.pid), _train_workers(process)
    finally:
        process.kill()
        process.communicate()
    assert len(place.log("lost")) < STEPS
    # They would go on writing to the run folder; two idle helpers of Ray's outlive a kill -9 a while.
    training = {(n, below[n]) for n in workers}
    assert len(training) == 2 and Watched(-9, "", "", training).left() == {}
    record = place.record(*METHOD, *EXACT, "--workers", "0", "--runs", "lost", "--resume")
    assert _losses(place, "lost") == pytest.approx(_losses(place, "two"), rel=1e-8, abs=0)
    assert record["queries"] == record_of_two["queries"]


@pytest.mark.slow
def test_an_error_in_a_worker(place):
    """An error of the run reaches the user as one line and a hint, exit code 2, without a retry."""
    lost = ("--set", "train.lr=1e30", "--set", "train.schedule={name: constant, warmup: 0}")
    done = _watch(place.start(*METHOD, *lost, "--workers", "2", "--runs", "nan"))
    assert done.returncode == 2
    said = [line for line in done.err.splitlines() if not LINES.fullmatch(line)]
    assert len(said) == 2 and said[1].startswith("hint: ")
    assert re.match(r"error: the (loss|gradient) .* at stage finetune, epoch 0, step 2; clips of", said[0])
    assert done.out == "" and done.left() == {}


@pytest.mark.slow
def test_interrupted(place):
    """Ctrl-C ends the run within half a minute, with an error code and nothing left running."""
    # Long enough not to end by itself meanwhile: an interrupt of what is done already comes to nothing.
    long = ("--set", "train.epochs=300")
    process = place.start(*METHOD, *long, "--workers", "2", "--runs", "stopped")
    wait_until(lambda: len(place.log("stopped")) >= 2, process)
    below = descendants(process.pid)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = _watch(process)
    assert time.monotonic() - asked < 30
    assert done.returncode == 1
    assert done.err.splitlines()[-1] == "Aborted!"
    assert Watched(1, "", "", {*below.items(), *done.below}).left() == {}

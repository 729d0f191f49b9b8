"""A run that was killed goes on from its checkpoint as if nothing had happened."""

from __future__ import annotations

import signal

import pytest

from tests.support.command import wait_until

METHOD = ("run", "--method", "clip_vip", "--dataset", "shapes", "--workers", "0")
SMALL = (
    *("--set", "data.options.train_clips=192"),
    *("--set", "train.epochs=3"),
    *("--set", "train.batch_size=32"),
    *("--checkpoint-every", "2"),
)

TWO_STAGES = """
stages:
  # Everything but the proxies rests, then everything is trained.
  proxies: {epochs: 1, trainable: ["temporal.*"]}
  whole: {epochs: 2, lr: 5e-4}
"""


def _kill_at(harness, runs: str, steps: int, *arguments: str) -> None:
    """Start a run and kill it as soon as its log has so many lines."""
    process = harness.start(*arguments, "--runs", runs)
    try:
        wait_until(lambda: len(harness.log(runs)) >= steps, process)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def _places(log) -> list[tuple[str, int, int]]:
    return [(event["stage"], event["epoch"], event["step"]) for event in log]


def _without_time(log) -> list[dict]:
    return [{name: value for name, value in event.items() if name != "seconds"} for event in log]


@pytest.fixture
def same_as_undisturbed(harness):
    """Compares a finished run under ``broken`` with one that nobody disturbed."""

    def compare(arguments: tuple[str, ...], record: dict) -> None:
        expected = harness.record(*arguments, "--runs", "whole")
        assert record["queries"] == expected["queries"]
        assert record["metrics"] == expected["metrics"]
        model, expected_model = (
            (harness.only_run(runs) / "model.safetensors").read_bytes() for runs in ("broken", "whole")
        )
        assert model == expected_model
        assert _without_time(harness.log("broken")) == _without_time(harness.log("whole"))

    return compare


def test_killed_in_the_middle_of_an_epoch(harness, same_as_undisturbed):
    """After kill -9 between two checkpoints, the resumed run equals the undisturbed one to the bit."""
    arguments = (*METHOD, *SMALL)
    _kill_at(harness, "broken", 9, *arguments)
    left = harness.log("broken")
    assert 9 <= len(left) < 18, "the run was to die in the second or third epoch"
    record = harness.record(*arguments, "--runs", "broken", "--resume")
    assert _places(harness.log("broken")) == [("finetune", step // 6, step + 1) for step in range(18)]
    same_as_undisturbed(arguments, record)


def test_killed_before_the_first_checkpoint(harness):
    """A run that died before any checkpoint starts again, and its log says every step once."""
    arguments = (*METHOD, *SMALL[:-1], "0", "--set", "train.epochs=1")
    _kill_at(harness, "broken", 2, *arguments)
    assert not (harness.only_run("broken") / "checkpoint.pt").exists()
    record = harness.record(*arguments, "--runs", "broken", "--resume")
    assert _places(harness.log("broken")) == [("finetune", 0, step + 1) for step in range(6)]
    assert record["train"]["samples"] == 192


def test_killed_in_the_second_stage(harness, same_as_undisturbed):
    """A run of two stages, killed in the second, goes on in the second with that stage's parameters."""
    recipe = harness.folder / "stages.yaml"
    recipe.write_text(TWO_STAGES)
    arguments = (*METHOD, "--recipe", str(recipe), "--set", "data.options.train_clips=96", *SMALL[4:])
    _kill_at(harness, "broken", 5, *arguments)
    assert _places(harness.log("broken"))[-1][0] == "whole"
    record = harness.record(*arguments, "--runs", "broken", "--resume")
    stages = [("proxies", 3), ("whole", 6)]
    assert _places(harness.log("broken")) == [
        (name, step // 3, step + 1) for name, steps in stages for step in range(steps)
    ]
    same_as_undisturbed(arguments, record)


@pytest.mark.slow
def test_a_finished_run_resumed(harness):
    """Resuming a run that is finished trains nothing and gives the same record again."""
    arguments = (*METHOD, "--set", "data.options.train_clips=32", "--set", "train.epochs=1", "--runs", "one")
    first = harness.record(*arguments)
    log = harness.log("one")
    again = harness.record(*arguments, "--resume")
    assert harness.log("one") == log
    assert again["queries"] == first["queries"]
    assert again["checkpoint_sha256"] == first["checkpoint_sha256"]

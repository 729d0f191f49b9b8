"""`harness bench`, where it cannot work; what it measures is tested part by part."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize("what", ["data", "annotations", "decode", "leaderboard"])
@pytest.mark.parametrize("place", ["cache", "cache/below"])
def test_a_cache_folder_that_cannot_be_written_is_refused(cli, tmp_path, monkeypatch, what, place):
    """One line with the folder, one with what to do, before anything is made."""
    (tmp_path / "cache").write_text("a file in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / place))
    done = cli("bench", what)
    error, hint = done.stderr.splitlines()
    assert done.exit_code == 2 and done.stdout == ""
    assert error.startswith(f"error: nothing can be written in {tmp_path / place}")
    assert "HARNESS_CACHE" in hint


@pytest.mark.parametrize(("module", "said"), [("video_proxies", "visual tower"), ("nothing", "unknown")])
def test_a_module_that_cannot_be_measured_is_refused(cli, module, said):
    """One line with the reason, one with what to do, and no table."""
    done = cli("bench", "eval", "--backbone", "tiny", "--temporal", module)
    error, hint = done.stderr.splitlines()
    assert done.exit_code == 2 and done.stdout == ""
    assert error.startswith("error: ") and said in error and hint.startswith("hint: ")


def test_scoring_is_printed_as_json(cli):
    """Standard output is JSON and nothing else."""
    asked = ("--backbone", "tiny", "--temporal", "mean_pool", "--texts", 20, "--clips", 18, "--json")
    done = cli("bench", "eval", *asked)
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["texts"], said["clips"], said["cached"][0]["tiles"]) == (20, 18, 4)


def test_attention_is_printed_as_json(cli, monkeypatch):
    """Standard output is JSON and nothing else, with the sizes that were asked for."""
    from harness.bench import model

    monkeypatch.setattr(model, "peak_megabytes", lambda *given: None)  # a process each
    done = cli("bench", "model", "--backbone", "tiny", "--frames", "2", "--what", "attention", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert [(case["what"], case["frames"], case["tokens"]) for case in said["cases"]] == [
        ("attention", 2, 36)
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--frames", "12,none"), "'12,none' is no list of frame counts"),
        (("--what", "tower"), "'tower' is not attention, block"),
        (("--temporal", "mean_pool"), "leaves the tower's attention as it is"),
    ],
)
def test_attention_that_cannot_be_measured_is_refused(cli, asked, said):
    """A list that is none and a module that changes no attention: the reason, and no table."""
    done = cli("bench", "model", "--backbone", "tiny", *asked)
    assert done.exit_code == 2 and done.stdout == "" and said in done.stderr

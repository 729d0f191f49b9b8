"""`harness bench model`: that the ways do the same work; how fast they are depends on the machine."""

from __future__ import annotations

import json

import pytest
import torch

from harness import HarnessError
from harness.bench import attention
from harness.bench import model as bench
from harness.models import full_attention
from harness.plugins import registry
from harness_clip_vip.video_proxies import proxy_attention


@pytest.fixture
def no_children(monkeypatch):
    """Peak memory is asked for and not measured, which would start a process for each way."""
    asked = []
    monkeypatch.setattr(bench, "peak_megabytes", lambda *given: asked.append(given) or 2.0 * len(asked))
    return asked


def measure(temporal: str | None = None, turns: int = 3, frames: tuple[int, ...] = (1, 3)) -> bench.Result:
    return bench.measure(registry(), temporal, ["tiny"], frames, ["attention", "block"], turns)


def test_the_mask_is_read_off_the_attention():
    """Who sees whom is found without being told, over more tokens than one probe holds."""
    frame = torch.cat([torch.full((4,), -1), torch.arange(3).repeat_interleave(30)])
    allowed = (frame[:, None] == -1) | (frame[None] == -1) | (frame[:, None] == frame[None])
    assert torch.equal(attention.sees(proxy_attention(4, 3), 94, torch.device("cpu")), allowed)
    assert attention.sees(full_attention, 94, torch.device("cpu")).all()


def test_every_way_is_measured_and_gives_the_same(no_children):
    """Four ways of each size and kind of work; those that do the same as the module agree with it."""
    result = measure()
    assert result.module == "video_proxies" and result.blocks == 3
    sizes = [("attention", 1, 20), ("block", 1, 20), ("attention", 3, 52), ("block", 3, 52)]
    assert [(case.what, case.frames, case.tokens) for case in result.cases] == sizes
    for case in result.cases:
        own, full, *masked = case.ways
        assert [way.name for way in case.ways] == [
            "video_proxies",
            attention.FULL,
            attention.DENSE,
            attention.NAIVE,
        ]
        assert all(0 < way.forward_s < way.total_s for way in case.ways) and not case.left_out
        assert own.difference is full.difference is None
        assert all(way.difference < 1e-4 for way in masked)
        assert case.over(attention.FULL) == (full.total_s / own.total_s, full.peak_mb / own.peak_mb)
    assert len(no_children) == 16
    said = json.loads(bench.to_json(result))
    assert said["cases"][3]["ways"][1]["time_ratio"] == result.cases[3].over(attention.FULL)[0]
    assert bench.summary(result).count("| naive softmax |") == 4


def test_what_does_not_fit_is_left_out_and_said(no_children, monkeypatch):
    """A way that needs more than is free is no row but a line with the reason; the others are measured."""
    monkeypatch.setattr(bench, "_free_mb", lambda: 0.02)
    result = measure(frames=(3,))
    assert [tuple(case.left_out) for case in result.cases] == [(attention.NAIVE,)] * 2
    assert all(len(case.ways) == 3 and case.over(attention.NAIVE) is None for case in result.cases)
    assert "left out: naive softmax, block, tiny, 3 frames: it needs about" in bench.summary(result)


def test_long_turns_are_fewer(no_children, monkeypatch):
    """Where the time is short three turns are left, and never more than were asked for."""
    monkeypatch.setattr(bench, "BUDGET_S", 0.0)
    assert {case.turns for case in measure(turns=9).cases} == {3}
    assert {case.turns for case in measure(turns=2).cases} == {2}


def test_written_out_scores_take_more_memory():
    """A process of its own shows it: three times the scores of three heads over 964 tokens at once."""
    own, naive = (
        bench.peak_megabytes("attention", "tiny", 60, "video_proxies", name)
        for name in ("video_proxies", attention.NAIVE)
    )
    if own is None:
        pytest.skip("the system does not say what a process holds")
    scores = 3 * 4 * 964**2 / 2**20
    assert own < scores and 3 * scores < naive < 4 * scores


@pytest.mark.parametrize(
    ("module", "says"), [("mean_pool", "leaves the tower's attention"), ("x", "unknown")]
)
def test_a_module_that_cannot_be_measured_is_refused(module, says):
    """One that runs the tower a frame at a time, and one that is not there."""
    with pytest.raises(HarnessError, match=says):
        measure(module)

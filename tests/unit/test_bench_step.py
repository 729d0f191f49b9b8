"""`harness bench step`: that it measures what it says; how much it saves depends on the model."""

from __future__ import annotations

import json

import pytest

from harness import HarnessError
from harness.bench import step as bench

SETTINGS = ("data.frames=2", "train.precision=fp32", "train.loss={name: ocl_vsc_fc}")


def test_both_ways_have_the_same_loss_and_gradients(monkeypatch):
    """The steps of a whole batch and of its parts are of the same batch and model."""
    monkeypatch.setattr(bench, "_in_a_process", bench.take)
    monkeypatch.setattr(bench.memory, "is_told", lambda: False)
    result = bench.measure("clip_vip", SETTINGS, "tiny", 6, 2)
    assert result.loss_difference < 1e-6 and result.gradient_difference < 1e-5
    assert len(result.whole.norms) > 50 and min(result.whole.norms) >= 0
    said = json.loads(bench.to_json(result))
    assert said["parts"]["micro_batch"] == 2 and said["whole"]["peak_mb"] is None
    assert "| 2 at a time |" in bench.summary(result) and "ocl_vsc_fc" in bench.summary(result)


def test_the_arithmetic_is_told(monkeypatch):
    """bf16, whose gradients differ by more than the parts' order does in fp32, is named beside them."""
    step = bench.Step(0, 1.0, None, 1.0, (1.0,))
    monkeypatch.setattr(bench, "_in_a_process", lambda *_: step)
    for precision, shown in (("fp32", "on cpu in fp32;"), ("bf16", "on cpu in bf16;")):
        settings = (*SETTINGS, f"train.precision={precision}")
        assert shown in bench.summary(bench.measure("clip_vip", settings, "tiny", 6, 2)).replace(
            "cuda", "cpu"
        )


def test_a_part_has_to_be_smaller_than_the_batch():
    """A micro-batch of the whole batch measures nothing, and is refused."""
    with pytest.raises(HarnessError, match="no part of a batch of 6"):
        bench.measure("clip_vip", SETTINGS, "tiny", 6, 6)

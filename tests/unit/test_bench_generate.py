"""`harness bench generate`: that the ways write the same; how fast they are depends on the machine."""

from __future__ import annotations

import json

import pytest
import torch

from harness import HarnessError
from harness.bench import generate as bench
from harness.bench import memory


@pytest.fixture
def no_children(monkeypatch):
    """Peak memory is asked for and not measured, which would start a process for each way."""
    asked = []
    monkeypatch.setattr(bench, "peak_megabytes", lambda *given: asked.append(given) or 2.0 * len(asked))
    return asked


def measure(method: str | None = "vlab_tiny", beams: int = 1) -> bench.Result:
    return bench.measure(method, ("model.temporal.heads=4",), 1, clips=2, tokens=5, beams=beams, turns=1)


@pytest.mark.parametrize("beams", [1, 3])
def test_every_way_is_measured_and_writes_the_same(no_children, beams):
    """Three ways on the memory that the recipe's frames give; JSON and table have their ratios."""
    result = measure(beams=beams)
    assert result.memory == (272, 96) and result.same  # 2 streams of 8 frames of 17 tokens
    assert [way.cache for way in result.ways] == ["all", "memory", "nothing"] == [c for _, c in no_children]
    said = json.loads(bench.to_json(result))
    for shown, way in zip(said["ways"], result.ways, strict=True):
        assert shown["time_ratio"] == way.seconds / result.ways[0].seconds
        assert shown["tokens_per_s"] == 2 * beams * 5 / way.seconds
    assert said["asked"]["settings"] == ["model.temporal.layers=1", "model.temporal.heads=4"]
    assert bench.summary(result).count("| nothing |") == 1 and "same ids" in bench.summary(result)


def test_texts_have_the_length_that_was_asked_for(monkeypatch):
    """The token that ends a text ends none, and towers have no weights."""
    work = bench.Work(bench.Asked("vlab_tiny", ("model.temporal.layers=1",), 2, 6, 1))
    start = work.module.start

    def ending(*given, **named):
        decoding = start(*given, **named)
        end = work.module.writes.vocabulary.end
        logits = decoding.logits
        decoding.logits = lambda: logits() + 1e3 * (torch.arange(work.vocabulary) == end)
        return decoding

    monkeypatch.setattr(work.module, "start", ending)
    ids = work.turn("all", 6)[1]
    assert ids.shape == (2, 6) and bool((ids == work.module.writes.vocabulary.end).all())
    assert all(p.is_meta for p in work.module.image.parameters())


def test_a_text_that_the_model_has_no_room_for_is_refused():
    """As many tokens as its positions leave are the most; one more is an error with that number."""
    with pytest.raises(
        HarnessError, match="32 tokens is too long for 'vlab_tiny': it has room for 31"
    ) as caught:
        bench.measure("vlab_tiny", (), 1, clips=1, tokens=32, beams=1, turns=1)
    assert "--tokens 31" in caught.value.hint
    work = bench.Work(bench.Asked("vlab_tiny", ("model.temporal.layers=1",), 1, 31, 1))
    assert work.turn("all", 31)[1].shape == (1, 31)


def test_other_ids_are_said(no_children, monkeypatch, cli):
    """A way that writes something else is named below the table, and the exit code is 1."""
    turn = bench.Work.turn
    monkeypatch.setattr(
        bench.Work,
        "turn",
        lambda self, cache, tokens, clips=None: (1.0, turn(self, cache, tokens)[1] + (cache == "memory")),
    )
    done = cli("bench", "generate", "vlab_tiny", "--clips", 1, "--tokens", 2, "--turns", 1)
    assert done.exit_code == 1 and "the ids DIFFER: all, memory" in done.stdout


def test_keys_of_the_memory_take_their_place():
    """A process of its own shows it: what is kept of 6 clips is at least their keys and values."""
    asked = bench.Asked("vlab_tiny", ("model.temporal.layers=2", "data.frames=64"), 6, 2, 1)
    found = bench.peak_megabytes(asked, "all")
    if not memory.is_told():
        pytest.skip("the system does not say what a process holds")
    kept = 2 * 2 * 6 * (2 * 64 * 17) * 96 * 4 / 2**20  # keys and values of two layers
    assert kept < found < 4 * kept


def test_the_first_method_that_writes_is_taken():
    """Without a name, by what methods offer."""
    from harness.plugins import registry

    found = bench.first_writer(registry())
    assert "generate" in registry().find("methods", found)[0].offers


@pytest.mark.parametrize(("method", "says"), [("clip_vip", "writes nothing"), ("x", "unknown method")])
def test_a_method_that_does_not_write_is_refused(method, says):
    """One that only scores, and one that is not there."""
    with pytest.raises(HarnessError, match=says):
        measure(method)

"""`harness bench eval`: that it measures what it says; how fast it is depends on the machine."""

from __future__ import annotations

import json

import pytest

from harness import HarnessError
from harness.bench import eval as bench
from harness.plugins import registry
from harness_clip4clip.seq_transformer import SeqTransformer


def measure(*modules: str, texts: int = 40, clips: int = 24, all_tiles: bool = False) -> bench.Result:
    return bench.measure(registry(), "tiny", modules, texts, clips, 20, all_tiles)


def test_every_module_is_measured_or_left_out_with_the_reason():
    """All that is installed has its place, and both ways of scoring give the same numbers."""
    result = measure()
    shown = {row.module for row in (*result.cached, *result.pairwise)} | set(result.left_out)
    assert shown == {spec.name for spec, _ in registry().specs("temporal modules")}
    assert "seq_transformer" in {row.module for row in result.cached}
    assert {row.module for row in result.pairwise} >= {"tight_transformer"}
    assert "inside the visual tower" in result.left_out["video_proxies"]
    assert all(row.harness_s > 0 and row.tiles_s > 0 and row.difference < 1e-6 for row in result.cached)
    assert all(row.pairs == 400 and row.all_s == 40 * 24 / row.pairs_per_s for row in result.pairwise)
    said = json.loads(bench.to_json(result))
    assert [row["ratio"] for row in said["cached"]] == [row.ratio for row in result.cached]
    assert "left out: video_proxies: it works" in bench.summary(result)


def test_the_reference_runs_the_head_for_every_tile(monkeypatch):
    """Each pass of the harness encodes a clip once; the loop encodes it once for every 16 texts."""
    seen, mix = [], SeqTransformer.mix
    monkeypatch.setattr(SeqTransformer, "mix", lambda *given: seen.append(len(given[1])) or mix(*given))
    (row,) = measure("seqTransf", all_tiles=True).cached
    assert (row.module, row.timed, row.tiles) == ("seq_transformer", 6, 6)
    passes, warm_up = (1 + bench.ROUNDS) * 24, bench.TILE
    assert sum(seen) == passes + warm_up + 3 * 24


def test_a_projection_says_so(monkeypatch):
    """Where not all tiles are timed, those that are lie over the whole matrix, and the table says how many."""
    monkeypatch.setattr(bench, "TIMED_TILES", 4)
    chosen, tile = [], bench._tile
    monkeypatch.setattr(bench, "_tile", lambda *given: chosen.append(given[3:]) or tile(*given))
    result = measure("mean_pool")
    assert chosen[1:] == [(0, 0), (16, 0), (16, 1), (32, 1)]
    assert "projected from 4 of 6" in bench.summary(result)
    assert "all 6 tiles timed" in bench.summary(measure("mean_pool", all_tiles=True))


def test_once_per_clip_is_20_times_as_fast():
    """A transformer over the frames of 32 clips for 1,000 texts, as wide as CLIP's: 63 heads against one."""
    (row,) = bench.measure(
        registry(), "ViT-B-32-quickgelu", ["seq_transformer"], 1000, 32, 1, all_tiles=True
    ).cached
    assert row.ratio >= 20 and row.difference < 1e-6


def test_a_named_module_that_cannot_be_measured_is_refused():
    """What needs the visual tower is an error where it was asked for."""
    with pytest.raises(HarnessError, match="inside the visual tower"):
        measure("video_proxies")

"""Which frames CLIP-ViP's reference looks at, for every recorded length and draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data import sampling
from tests.parity import clip_vip
from tests.parity.golden import read_json


class Legacy:
    """Draws from numpy's old generator under the new one's name; the end of a range is not in it."""

    def __init__(self, seed: int) -> None:
        self.integers = np.random.RandomState(seed).randint


def _chosen(row: dict[str, Any]) -> np.ndarray:
    if "sample_rate" in row:
        return sampling.strided(
            row["total"], row["num_frames"], row["sample_rate"], Legacy(row["np_random_seed"])
        )
    if row["mode"] == "test":
        return sampling.uniform(row["total"], row["num_frames"])
    assert row["mode"] == "train", f"unknown mode {row['mode']}"
    return sampling.jitter(row["total"], row["num_frames"], Legacy(row["np_random_seed"]))


@pytest.mark.parametrize("path", clip_vip.files("sampling"))
def test_sampling(path: Path | None):
    """Every recorded choice, in test and in training; of two frames the reference may take the second
    before the first, or one before the clip: then ours are the same two ends, in order and inside."""
    assert path
    rows = read_json(path)["rows"]
    assert {row["mode"] for row in rows} == {"test", "train"}
    for row in rows:
        wanted = np.array(row["indices"])
        if row["num_frames"] == 2:
            wanted = np.sort(np.clip(wanted, 0, row["total"] - 1))
        assert _chosen(row).tolist() == wanted.tolist(), row

"""A plugin that is not installed takes part in a run of Ray's workers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROBE = Path(__file__).parents[1] / "plugin_probe" / "src" / "frame_attention_probe"


def test_workers_load_it_too(harness, monkeypatch):
    """Two Ray workers find the temporal module of a folder that the environment names, by a relative
    path, and the record says which content it had."""
    shutil.copytree(PROBE, harness.folder / PROBE.name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setitem(os.environ, "HARNESS_PLUGINS", f"./{PROBE.name}")
    small = ("--set", "data.options.train_clips=96", "--set", "train.epochs=1")
    run = ("run", "--method", "probe", "--dataset", "shapes", "--backbone", "tiny", *small)
    record = harness.record(*run, "--workers", "2")
    assert record["world_size"] == 2 and record["method"] == PROBE.name
    assert len(record["versions"][f"HARNESS_PLUGINS:{PROBE.name}"]) == 12

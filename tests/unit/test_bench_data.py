"""`harness bench data`: that it measures what it says; how fast it is depends on the machine."""

from __future__ import annotations

import json
import os

from harness.bench import data as bench


def test_every_way_is_measured_and_nothing_is_left(tmp_path):
    """Both storages, first and later readings, against a copy; folder and cores end as they were."""
    cores = os.sched_getaffinity(0)
    result = bench.measure(tmp_path / "cache", clips=4, batch_size=2, rounds=1)
    assert [way.name for way in result.ways] == [
        "npy, first reading with its checksum",
        "npy, warm",
        "jpeg, first reading with its checksum",
        "jpeg, warm",
    ]
    assert json.loads(bench.to_json(result))["ways"][1]["samples_per_s"] == result.ways[1].samples_per_s
    assert bench.summary(result).count("\n| npy, ") == 2
    assert not any((tmp_path / "cache").iterdir()) and os.sched_getaffinity(0) == cores


def test_the_measured_path_reads_what_was_stored(tmp_path, monkeypatch):
    """The batches come from the cache and equal the stored frames, so the time is that of real work."""
    from harness.engine.inputs import Batches

    seen = []
    videos = Batches.videos
    monkeypatch.setattr(Batches, "videos", lambda *given: seen.append(videos(*given)) or seen[-1])
    bench.measure(tmp_path, clips=2, batch_size=2, rounds=1)
    pixels = seen[0].frames.numpy()
    assert pixels.shape == (2, 12, 3, 224, 224)
    assert all((pixels[row] == bench._scene(row)).all() for row in range(2))

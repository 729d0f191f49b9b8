"""The measurement of opening large annotations: what it opens, and what it says of it."""

from __future__ import annotations

import json

from harness.bench.annotations import Result, Shape, Timing, measure, summary, to_json


def test_both_sizes_of_both_shapes_are_opened(tmp_path):
    """Every clip that was asked for is made, found and described; nothing stays behind."""
    result = measure(tmp_path, 1300, 44, rounds=1)
    assert [(s.few.entries, s.many.entries) for s in result.shapes] == [(325, 1300), (11, 44)]
    assert all(seconds > 0 for s in result.shapes for seconds in (s.few.total, s.many.total))
    assert list(tmp_path.iterdir()) == []


def test_the_ratio_is_of_the_totals():
    """The figure for proportion is the full size's whole time by the smaller one's, in table and JSON."""
    shape = Shape("any", Timing(10, 0.25, 0.25, 0.25, 0.25), Timing(40, 1.0, 2.0, 1.0, 1.0))
    result = Result(3, (shape,))
    assert shape.ratio == 5.0
    assert "| 5.00 |     5.0 |" in summary(result).replace("|        5.00", "| 5.00")
    (shown,) = json.loads(to_json(result))["shapes"]
    assert (shown["ratio"], shown["many"]["total"], shown["few"]["total"]) == (5.0, 5.0, 1.0)


def test_the_command_prints_json(cli):
    """Standard output is the result and nothing else."""
    done = cli("bench", "annotations", "--film-clips", "16", "--videos", "16", "--rounds", "1", "--json")
    assert done.exit_code == 0
    assert [shape["many"]["entries"] for shape in json.loads(done.stdout)["shapes"]] == [16, 16]

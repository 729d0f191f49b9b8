"""The measurement of tables and audit: what it makes, and what it says of it."""

from __future__ import annotations

import json

from harness.bench.leaderboard import SEEDS, Result, measure, summary, to_json
from harness.plugins import registry


def test_all_records_are_read_and_audited(tmp_path):
    """So many records as were asked for are made, pass the audit and leave nothing behind."""
    found = measure(registry(), tmp_path, records=7, queries=40)
    assert (found.records, found.queries, found.rows) == (7, 40, -(-7 // SEEDS))
    assert min(found.tables, found.audit, found.full) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_each_time_by_record():
    """Milliseconds stand beside the seconds, and JSON has the seconds."""
    result = Result(200, 5000, 67, 5.3, 1.0, 2.0, 4.0)
    assert [line.split("|")[3].strip() for line in summary(result).splitlines()[4:]] == [
        "5.0",
        "10.0",
        "20.0",
    ]
    assert json.loads(to_json(result))["full"] == 4.0


def test_the_command_prints_json(cli):
    """Standard output is the result and nothing else."""
    done = cli("bench", "leaderboard", "--records", "2", "--queries", "20", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["records"] == 2

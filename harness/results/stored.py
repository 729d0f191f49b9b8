"""The measured records of a folder of leaderboards."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import HarnessError
from harness.results.record import ResultRecord
from harness.results.record_file import load, record_path


def read_records(leaderboards: str | os.PathLike[str]) -> list[ResultRecord]:
    """All measured records, in the order of their paths.

    A record under another name than its own could count a seed twice or show a run in the wrong
    place, so it raises HarnessError, as an unreadable one does.
    """
    folder = Path(leaderboards)
    records = []
    for path in sorted((folder / "results").rglob("*.json")):
        record = load(path)
        belongs = record_path(folder, record)
        if path != belongs:
            raise misplaced(path, belongs)
        records.append(record)
    return records


def misplaced(path: Path, belongs: Path) -> HarnessError:
    """The error of a record that lies under another name than its own."""
    return HarnessError(f"{path} holds a record whose place is {belongs}", "move it there")

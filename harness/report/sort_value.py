"""By which number a cell of a leaderboard sorts."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, " MiB": 1.0, " GiB": 1024.0}
_NUMBER = re.compile(
    r"[(≈+ ]*(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]\d+)?)( [MG]iB\b|[kMGB]?)(?![\w./-])"
)


def sort_value(cell: str) -> float | None:
    """The number that a cell begins with, in seconds for times and MiB for memory; None for text and for
    ``—``. Marks and signs before it do not count."""
    cell = re.sub(r"\*|<sup>.*?</sup>", "", cell).strip()
    hours = re.fullmatch(r"(?:(\d+) h )?(\d+) min|(\d+) s", cell)
    if hours:
        h, minutes, seconds = (int(part or 0) for part in hours.groups())
        return 3600.0 * h + 60.0 * minutes + seconds
    found = _NUMBER.match(cell)
    return float(found[1].replace(",", "")) * _UNITS[found[2]] if found else None

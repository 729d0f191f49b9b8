"""By which number a cell of a leaderboard sorts."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9}


def sort_value(cell: str) -> float | None:
    """The number that a cell begins with, in seconds for times; None for text and for ``—``."""
    cell = re.sub(r"\*|<sup>.*?</sup>", "", cell).strip()
    hours = re.fullmatch(r"(?:(\d+) h )?(\d+) min|(\d+) s", cell)
    if hours:
        h, minutes, seconds = (int(part or 0) for part in hours.groups())
        return 3600.0 * h + 60.0 * minutes + seconds
    found = re.match(r"\(?(-?\d+(?:\.\d+)?)([kMB]?)(?![\w./-])", cell)
    return float(found[1]) * _UNITS[found[2]] if found else None

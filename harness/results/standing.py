"""Which rows of a section can be told from its best one, query by query.

The best is compared with each other row by the test of `harness compare`: the paired bootstrap over queries,
McNemar's exact test between single seeds, and a t-test over seeds where a row has several, every pair at 95 %
and without a correction for their number. Where records hold no outcome of each query nothing is said:
the spread over a few seeds alone is no such test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harness.errors import HarnessError
from harness.results.compare import compare
from harness.results.sides import Side
from harness.results.table import Row

#: ``best`` is better than every other row, ``alike`` cannot be told from the first row (which is then alike
#: too), ``worse`` can, and of ``unknown`` nothing can be said.
Standing = Literal["best", "alike", "worse", "unknown"]


def standings(rows: Sequence[Row]) -> list[Standing]:
    """The standing of each row of a section, best figure first. A single row has none to stand against."""
    if len(rows) < 2:
        return ["unknown"] * len(rows)
    rest: list[Standing] = [_against(rows[0], row) for row in rows[1:]]
    if "alike" in rest:
        return ["alike", *rest]
    return ["unknown" if "unknown" in rest else "best", *rest]


def _against(best: Row, row: Row) -> Standing:
    """Where ``row`` stands; rows of one section share their hard key, and so the hash of their texts."""
    if not best.runs[0].protocol.ids_texts_hash:
        return "unknown"
    try:
        first = compare(Side(best.runs), Side(row.runs), ("t2v",), main_only=True)[0]
    except (
        HarnessError
    ):  # no outcome of each query, or one that its figure does not follow from: audit's matter
        return "unknown"
    if first.figures[0].name != next(iter(best.runs[0].metrics.names), "R@1"):
        return "unknown"  # what is compared is not what orders the rows
    return "worse" if first.distinguishable else "alike"

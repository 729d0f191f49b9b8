"""One section of published rows of a leaderboard, as Markdown.

They have columns of their own, because a paper seldom states what a record does, and are never
ranked among measured rows: nobody has verified that their test texts and ties are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from harness.results.record import DIRECTIONS, ResultRecord, dumps
from harness.results.table import NOTHING, SELECTIONS, escape, figure_names, footnoted, markdown_table

LEGEND = (
    "Published rows, in italics, are quoted from the source in their footnote and were not measured here. "
    "Nobody has compared their test texts and their treatment of ties with those of the measured rows, "
    "so they have sections of their own. A figure in parentheses is from memory and was not read again."
)

_COLUMNS: tuple[tuple[str, Callable[[ResultRecord], object]], ...] = (
    ("Backbone", lambda record: record.backbone),
    ("Pretraining", lambda record: record.pretraining),
    ("Frames", lambda record: record.frames),
    ("Pixels", lambda record: record.resolution),
    ("Selection", lambda record: SELECTIONS[record.selection] if record.selection != "unknown" else None),
)


def render_published(records: Sequence[ResultRecord]) -> str:
    """A table of published rows, best text-to-video R@1 (or first figure) first, and its footnotes.

    Every record is a row; two reports of one method are two rows. A column that no row fills is
    left out.
    """
    figures = [(direction, name) for direction in DIRECTIONS for name in _names(records, direction)]
    figures += [("figures", name) for name in figure_names(records)]
    columns = [column for column in _COLUMNS if any(column[1](record) is not None for record in records)]
    footnotes: list[str] = []
    body = []
    for record in sorted(records, key=_order):
        cells = [f"*{escape(record.method)}*" + footnoted(_notes(record), footnotes)]
        cells += [_figure(record, direction, name) for direction, name in figures]
        for _, value in columns:
            known = value(record)
            cells.append(NOTHING if known is None else escape(str(known)))
        body.append(cells)
    heads = ["Method", *(_head(part, name) for part, name in figures)]
    lines = [markdown_table([*heads, *(head for head, _ in columns)], body), ""]
    lines += [f"{number}. {note}" for number, note in enumerate(footnotes, start=1)]
    return "\n".join(lines)


def _head(part: str, name: str) -> str:
    return escape(name) if part == "figures" else f"{part.upper()} {name}"


def _order(record: ResultRecord) -> tuple[float, str, str]:
    figures = record.metrics.figures
    first = figures[record.metrics.names[0]] if figures else record.metrics.t2v.get("R@1", -1.0)
    return -first, record.method, dumps(record)


def _names(records: Sequence[ResultRecord], direction: str) -> list[str]:
    """The figures that some row has: recalls by their k, then the ranks."""
    found = {name for record in records for name in getattr(record.metrics, direction)}
    recalls = sorted((name for name in found if name.startswith("R@")), key=lambda name: int(name[2:]))
    return recalls + [name for name in ("MdR", "MnR") if name in found]


def _figure(record: ResultRecord, direction: str, name: str) -> str:
    value = getattr(record.metrics, direction).get(name)
    if value is None:
        return NOTHING
    recalled = record.confidence == "recalled" or f"{direction}.{name}" in record.recalled_fields
    return f"({value:.1f})" if recalled else f"{value:.1f}"


def _notes(record: ResultRecord) -> list[str]:
    """Where the row is from, and what a reader must know before comparing it, a footnote each."""
    source = re.sub(r"\.$", "", escape(record.source))
    notes = [f"Read: {source}." if record.confidence == "read" else f"From memory: {source}."]
    several = record.protocol.n_queries != record.protocol.n_gallery
    if record.metrics.v2t and several:
        notes.append(f"Video-to-text by {record.protocol.v2t.replace('_', ' ')}.")
    if record.note:
        notes.append(escape(record.note))
    return notes

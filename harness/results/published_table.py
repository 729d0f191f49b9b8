"""One section of published rows of a leaderboard, as Markdown.

They have columns of their own, because a paper seldom states what a record does, and are never
ranked among measured rows: nobody has verified that their test texts and ties are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.results.footnotes import marked, numbered, published_notes
from harness.results.record import DIRECTIONS, ResultRecord
from harness.results.record_file import dumps
from harness.results.table import NOTHING, SELECTIONS, escape, figure_names, markdown_table

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
        cells = [f"*{escape(record.method)}*" + marked(published_notes(record), footnotes)]
        cells += [shown_figure(record, direction, name) for direction, name in figures]
        for _, value in columns:
            known = value(record)
            cells.append(NOTHING if known is None else escape(str(known)))
        body.append(cells)
    heads = ["Method", *(_head(part, name) for part, name in figures)]
    lines = [markdown_table([*heads, *(head for head, _ in columns)], body), ""]
    return "\n".join([*lines, *numbered(footnotes)])


def _head(part: str, name: str) -> str:
    return escape(name) if part == "figures" else f"{part.upper()} {name}"


def _order(record: ResultRecord) -> tuple[float, str, str]:
    return -main_figure(record), record.method, dumps(record)


def main_figure(record: ResultRecord) -> float:
    """The figure that orders rows; -1 where a row has none."""
    part, name = record.metrics.leading
    return getattr(record.metrics, part).get(name, -1.0)


def _names(records: Sequence[ResultRecord], direction: str) -> list[str]:
    """The figures that some row has: recalls by their k, then the ranks."""
    found = {name for record in records for name in getattr(record.metrics, direction)}
    recalls = sorted((name for name in found if name.startswith("R@")), key=lambda name: int(name[2:]))
    return recalls + [name for name in ("MdR", "MnR") if name in found]


def shown_figure(record: ResultRecord, direction: str, name: str) -> str:
    """The text of a figure, in parentheses where it is from memory."""
    value = getattr(record.metrics, direction).get(name)
    if value is None:
        return NOTHING
    recalled = record.confidence == "recalled" or f"{direction}.{name}" in record.recalled_fields
    return f"({value:.1f})" if recalled else f"{value:.1f}"

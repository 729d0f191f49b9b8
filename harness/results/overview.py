"""The first page: every method on every data set, measured and published figures side by side.

A column is one data set and task under one named protocol. Which data sets are benchmarks follows from the
published rows; the others, such as a generated one, have a table of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.names import in_path
from harness.results import published
from harness.results.conditions import Table, headings, partition, tables
from harness.results.dataset_page import UNCERTAINTY, run_command, section_title, sections
from harness.results.footnotes import marked, numbered, overview_notes, overview_source
from harness.results.published_table import main_figure, shown_figure
from harness.results.record import ResultRecord
from harness.results.row_keys import Section
from harness.results.table import NOTHING, Row, escape, figure_names, group_seeds, main_cell, markdown_table

NOT_MEASURED = "not measured"
_EMPTY = "No result has been recorded yet."
_INTRODUCTION = (
    "Text-to-video R@1 of each method's best row among those of most seeds, or the figure that the column names. A column is one "
    "table of its data set's page, named below; the page has the other tables, all figures and the conditions."
)
_PUBLISHED = (
    "Published figures, in italics, are quoted and were not measured here; nobody has verified that they are "
    "of the same test texts, so they are not ranked with the measured ones. Those in parentheses are from "
    "memory."
)
_COMMANDS = (
    f'"{NOT_MEASURED}" is an empty place: `harness run --method M --dataset D` fills it, with the options that '
    f"are named below its table. {NOTHING} is a place without a published row under the column's conditions. "
    "`harness leaderboard` makes all pages anew."
)


@dataclass(frozen=True)
class Column:
    """One data set and task: ``table`` is the one that is shown, None where all have left test clips out."""

    dataset: str
    task: str
    table: Table | None
    heading: str

    @cached_property
    def has_published(self) -> bool:
        return bool(self.published_rows)

    @cached_property
    def default(self) -> Section | None:
        """The measured section of most methods."""
        parts = sections(_own(self.table.measured)) if self.table else {}
        # max() keeps the first of equals, and sections come in a fixed order.
        return max(parts, key=lambda part: len({run.method for run in parts[part]}), default=None)

    @cached_property
    def measured_rows(self) -> dict[str, tuple[Section, Row]]:
        """Each method's best row. One of the default section goes before a better one of another, one of the
        recipe's own epochs before one of a budget, and one of more seeds before one of fewer: a method must not
        lead because it alone was selected on the test set, or trained for longer, or by a lucky seed."""
        parts = sections(_own(self.table.measured)) if self.table else {}
        best: dict[str, tuple[Section, Row]] = {}
        for part in sorted(parts, key=lambda part: part != self.default):
            rows = group_seeds(parts[part])
            for row in sorted(rows, key=lambda row: (bool(row.runs[0].budget), -len(row.runs))):
                best.setdefault(row.method, (part, row))
        return best

    @cached_property
    def split(self) -> str:
        """The train split of the published figures: that of the measured ones, or that of most methods."""
        parts = partition((record.train_split, record) for record in self._quoted)
        if self.default and self.default.train_split in parts:
            return self.default.train_split
        methods = {split: len({record.method for record in rows}) for split, rows in parts.items()}
        return min(
            parts, key=lambda split: (split == published.ZERO_SHOT, -methods[split], split), default=""
        )

    @cached_property
    def published_rows(self) -> dict[str, ResultRecord]:
        """Each method's best published row, of the column's train split where it has one."""
        best: dict[str, ResultRecord] = {}
        for record in sorted(
            self._quoted, key=lambda one: (one.train_split != self.split, -main_figure(one))
        ):
            best.setdefault(record.method, record)
        return best

    @property
    def _quoted(self) -> list[ResultRecord]:
        rows = self.table.published if self.table else ()
        return [record for record in rows if main_figure(record) >= 0]

    def head(self) -> str:
        shown = (*self.table.measured, *self.table.published) if self.table else ()
        figures = figure_names(shown)
        return f"[{escape(self.dataset)}]({in_path(self.dataset)}.md)" + (
            f" {escape(figures[0])}" if figures else ""
        )

    def said(self) -> str:
        """The line that names the column's table."""
        name = escape(self.dataset)
        if self.table is None:
            return f"- {name}: test clips were dropped from every row, so none is comparable."
        parts = [self.heading, *([section_title(self.default)] if self.default else [])]
        if self.split and (self.default is None or self.default.train_split != self.split):
            zero_shot = self.split == published.ZERO_SHOT
            parts.append(f"Published: {'zero-shot' if zero_shot else f'trained on {escape(self.split)}'}")
        return f"- {name}: {'. '.join(parts)}. To fill: `{run_command(self.dataset, self.table.stated)}`."


def overview(datasets: dict[str, Sequence[ResultRecord]]) -> str:
    """The page's Markdown, without the line that says where it is from."""
    columns = [column for name, records in sorted(datasets.items()) for column in _columns(name, records)]
    lines = ["# Leaderboards", ""]
    if not columns:
        return "\n".join([*lines, _EMPTY]) + "\n"
    told = [_INTRODUCTION]
    told += [f"{UNCERTAINTY}."] if any(column.measured_rows for column in columns) else []
    told += [_PUBLISHED] if any(column.has_published for column in columns) else []
    lines += [" ".join(told), "", _COMMANDS]
    quoted = [column for column in columns if column.has_published]
    for task in sorted({column.task for column in quoted}, key=lambda task: _last(quoted, task)):
        chosen = [column for column in quoted if column.task == task]
        lines += ["", f"## {escape(task)}: measured and published", "", *_table(chosen)]
    alone = [column for column in columns if not column.has_published]
    if alone:
        alone.sort(key=lambda column: (not _ranked(column), column.dataset, column.task))
        lines += ["", "## Measured here alone", "", *_table(alone)]
    return "\n".join(lines) + "\n"


def _columns(dataset: str, records: Sequence[ResultRecord]) -> list[Column]:
    """The columns of a data set, one for each task that it has rows of."""
    found = tables(records)
    titles = dict(zip(map(id, found), headings(found), strict=True))
    columns = []
    for task in dict.fromkeys(table.stated.task for table in found):
        whole = [t for t in found if t.stated.task == task and not (t.key and t.key.missing == "drop")]
        table = min(whole, key=_usual, default=None)  # min() keeps the first of equals: a measured one
        columns.append(Column(dataset, task, table, titles[id(table)] if table else ""))
    return columns


def _table(columns: Sequence[Column]) -> list[str]:
    """Methods by columns, most methods first where there are published ones, with notes and what is what."""
    columns = sorted(columns, key=lambda column: -len(column.published_rows))
    footnotes: list[str] = []
    body = []
    for method in sorted(
        {name for column in columns for name in (*column.measured_rows, *column.published_rows)}
    ):
        cells = [escape(method)]
        for column in columns:
            cells.append(_measured_cell(column, method, footnotes))
            if column.has_published:
                cells.append(_published_cell(column, method, footnotes))
        body.append(cells)
    heads = ["Method"]
    for column in columns:
        both = [f"{column.head()}, measured", "published"]
        heads += both if column.has_published else [column.head()]
    return [
        markdown_table(heads, body),
        "",
        *([*numbered(footnotes), ""] if footnotes else []),
        *(column.said() for column in columns),
    ]


def _measured_cell(column: Column, method: str, footnotes: list[str]) -> str:
    if method not in column.measured_rows:
        return NOT_MEASURED
    part, row = column.measured_rows[method]
    unlike = [f"{section_title(part)}, unlike the rest of its column."] if part != column.default else []
    return main_cell(row) + marked(unlike + overview_notes(row), footnotes)


def _published_cell(column: Column, method: str, footnotes: list[str]) -> str:
    record = column.published_rows.get(method)
    if record is None:
        return NOTHING
    zero_shot = record.train_split == published.ZERO_SHOT
    trained = "Zero-shot" if zero_shot else f"Trained on {escape(record.train_split)}"
    notes = [f"{trained}, unlike the rest of its column."] if record.train_split != column.split else []
    return f"*{shown_figure(record, *record.metrics.leading)}*" + marked(
        notes + overview_source(record), footnotes
    )


def _usual(table: Table) -> tuple[bool, int]:
    """Plain scores first, then the table of most methods, quoted ones too: a single run by a protocol of its own
    must not take the place of the one that everybody is compared by."""
    methods = {record.method for record in (*_own(table.measured), *table.published)}
    return table.stated.postprocess != "none", -len(methods)


def _own(records: Sequence[ResultRecord]) -> list[ResultRecord]:
    """The rows of methods as they are; a part of an ablation does not stand for its method."""
    return [record for record in records if not record.variant]


def _ranked(column: Column) -> bool:
    return column.table is None or column.table.ranked


def _last(columns: Sequence[Column], task: str) -> tuple[bool, str]:
    return not any(_ranked(column) for column in columns if column.task == task), task

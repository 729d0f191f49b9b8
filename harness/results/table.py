"""Runs become rows, and figures the text of a cell.

Runs that differ in nothing but the seed are one row. Not covered: which records share a table
(:mod:`harness.results.conditions`) and how a row is laid out (:mod:`harness.results.measured_table`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.record import FIGURES, Example, ResultRecord
from harness.results.statistics import Spread, over_seeds, recall_interval

NOTHING = "—"
SELECTIONS = {
    "last": "last epoch",
    "val": "best on validation",
    "test": "best on test",
    "unknown": "selection unknown",
}


@dataclass(frozen=True)
class Row:
    """The runs of one method and recipe, ordered by seed."""

    runs: tuple[ResultRecord, ...]

    @property
    def method(self) -> str:
        return self.runs[0].method

    @property
    def name(self) -> str:
        """The method, and how its recipe was changed where that has a name."""
        first = self.runs[0]
        return first.method + (f", {first.variant}" if first.variant else "")

    def figure(self, direction: str, name: str) -> Spread | None:
        """One figure over the seeds; None unless every run has it."""
        return spread_of([getattr(run.metrics, direction).get(name) for run in self.runs])

    def main(self) -> Spread | None:
        """The figure that orders rows (:attr:`Metrics.leading`)."""
        return self.figure(*self.runs[0].metrics.leading)

    def order(self) -> tuple[Any, ...]:
        """Sort key: best main figure first, then by name and recipe."""
        best = self.main()
        first = self.runs[0]
        return (-best.mean if best else 1.0, self.method, first.recipe_digest)


def group_seeds(records: Iterable[ResultRecord]) -> list[Row]:
    """The rows of one section, best first; runs of one method and recipe digest share a row."""
    rows: dict[tuple[str, ...], list[ResultRecord]] = defaultdict(list)
    for record in records:
        rows[record.method, record.recipe_digest].append(record)
    grouped = [Row(tuple(sorted(runs, key=lambda run: run.seed or 0))) for runs in rows.values()]
    return sorted(grouped, key=Row.order)


def figure_names(records: Iterable[ResultRecord]) -> list[str]:
    """The figures of a task without ranks that some record has, the main one first."""
    return list(dict.fromkeys(name for record in records for name in record.metrics.names))


def main_cell(row: Row) -> str:
    """The figure that orders rows, with what is known of its uncertainty."""
    return number(row.main()) if row.runs[0].metrics.figures else recall_at_1(row, "t2v")


def markdown_table(headers: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A pipe table with the first column on the left and the rest, mostly numbers, on the right."""
    # Costs more to import than a typical page to render, and `check` may find no record at all.
    from tabulate import tabulate

    alignment = ["left"] + ["right"] * (len(headers) - 1)
    return tabulate(body, headers, tablefmt="pipe", colalign=alignment, disable_numparse=True)


def recall_at_1(row: Row, direction: str) -> str:
    """R@1 with what is known of its uncertainty: seeds if there are several, else queries."""
    figure = row.figure(direction, "R@1")
    if figure is None or figure.n > 1:
        return number(figure)
    n = len(getattr(row.runs[0].queries, direction))
    low, high = recall_interval(figure.mean, n)
    return f"{figure.mean:.1f} [{low:.1f}, {high:.1f}]"


def escape(text: str) -> str:
    """Text that a Markdown table cell or heading shows as it is."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is plain text on a code host; escaped it would only be noise.
    return re.sub(r"([\\`*|\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """Mean and spread of a figure over runs; None unless every run has it."""
    known = [value for value in values if value is not None]
    return over_seeds(known) if known and len(known) == len(values) else None


def number(figure: Spread | None) -> str:
    """A figure to one place, with its spread where there are several seeds."""
    if figure is None:
        return NOTHING
    mean = f"{round(figure.mean, 1) + 0:.1f}"  # a drop that is printed as zero has no sign
    return f"{mean} ± {figure.spread:.1f}" if figure.n > 1 else mean


def _example(example: Example) -> str:
    """One line: what was asked and said, and what was meant where that is something else."""
    asked = f"{example.asked} " if example.asked else ""
    meant = f" (meant: {example.meant})" if example.said != example.meant else ""
    return f"{example.clip}: {asked}{example.said or 'nothing'}{meant}"


def summary(record: ResultRecord) -> str:
    """One run for a terminal: both directions, what was asked of what, and what was missing."""
    protocol = record.protocol
    headers = ["", *FIGURES]
    body = [
        [what, *(f"{figures[name]:.1f}" for name in FIGURES if name in figures)]
        for what, figures in (("text to video", record.metrics.t2v), ("video to text", record.metrics.v2t))
    ]
    if record.metrics.figures:
        headers = record.metrics.names
        body = [[f"{record.metrics.figures[name]:.1f}" for name in headers]]
    lines = [
        f"{record.method} on {record.dataset}/{protocol.name}, seed {record.seed}: "
        f"{protocol.n_queries} {protocol.query_unit}s x {protocol.n_gallery} clips",
        "",
        markdown_table(headers, body),
        *(["", *map(_example, record.examples)] if record.examples else []),
    ]
    lines += [f"{name.replace('_', ' ')}: {value:.1f} %" for name, value in record.metrics.contrasts.items()]
    for split, clips in (("test", record.missing.test), ("training", record.missing.train)):
        if clips:
            named = ", ".join(f"{clip.id} ({clip.reason})" for clip in clips[:5])
            worst = "as wrong" if record.metrics.figures else "ranked last"
            fate = {"training": "skipped", "worst": worst, "drop": "dropped, with their queries"}
            what = fate["training" if split == "training" else record.missing.policy]
            lines.append(
                f"missing {split} clips, {what}: {len(clips)}: {named}{', ...' if len(clips) > 5 else ''}"
            )
    return "\n".join(lines)

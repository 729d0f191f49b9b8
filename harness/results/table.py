"""One section of a leaderboard: measured runs become rows, rows become Markdown.

Runs that differ in nothing but the seed are one row. Not covered: which records share a table
(:func:`harness.results.record.hard_key`) and the files (:mod:`harness.results.leaderboard`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.record import DIRECTIONS, FIGURES, Example, ResultRecord
from harness.results.statistics import Spread, over_seeds, recall_interval

NOTHING = "—"
SELECTIONS = {
    "last": "last epoch",
    "val": "best on validation",
    "test": "best on test",
    "unknown": "selection unknown",
}
# A footnote names so many clips; the record has them all.
NAMED_CLIPS = 5


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
        return _spread([getattr(run.metrics, direction).get(name) for run in self.runs])

    def main(self) -> Spread | None:
        """The figure that orders rows: text-to-video R@1, or the first one of a task without ranks."""
        name = next(iter(self.runs[0].metrics.names), "")
        return self.figure("figures", name) if name else self.figure("t2v", "R@1")

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


def render_rows(rows: Sequence[Row]) -> str:
    """A Markdown table of the rows, and their footnotes below it."""
    contrasts = sorted({name for row in rows for run in row.runs for name in run.metrics.contrasts})
    named = figure_names([run for row in rows for run in row.runs])
    budgets = any(run.budget for row in rows for run in row.runs)
    columns = [column for column in _COLUMNS if column[0] != "Budget" or budgets]
    footnotes: list[str] = []
    body = []
    for row in rows:
        name = escape(row.name) + footnoted(_notes(row), footnotes)
        figures = [_number(row.figure("figures", n)) for n in named] if named else _figures(row, contrasts)
        body.append([name, *figures, *(cell(row) for _, cell in columns)])
    heads = [escape(name) for name in named]
    if not named:
        heads = [f"{direction.upper()} {name}" for direction in DIRECTIONS for name in FIGURES]
        heads += [escape(name.replace("_", " ")) for name in contrasts]
    lines = [markdown_table(["Method", *heads, *(head for head, _ in columns)], body)]
    if footnotes:
        lines += ["", *(f"{number}. {note}" for number, note in enumerate(footnotes, start=1))]
    return "\n".join(lines)


def figure_names(records: Iterable[ResultRecord]) -> list[str]:
    """The figures of a task without ranks that some record has, the main one first."""
    return list(dict.fromkeys(name for record in records for name in record.metrics.names))


def main_cell(row: Row) -> str:
    """The figure that orders rows, with what is known of its uncertainty."""
    return _number(row.main()) if row.runs[0].metrics.figures else recall_at_1(row, "t2v")


def footnoted(notes: Sequence[str], footnotes: list[str]) -> str:
    """The marks of a row's notes; a note that ``footnotes`` lacks is added to them."""
    for note in notes:
        if note not in footnotes:
            footnotes.append(note)
    marks = ", ".join(str(footnotes.index(note) + 1) for note in notes)
    return f" <sup>{marks}</sup>" if marks else ""


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
        return _number(figure)
    n = len(getattr(row.runs[0].queries, direction))
    low, high = recall_interval(figure.mean, n)
    return f"{figure.mean:.1f} [{low:.1f}, {high:.1f}]"


def escape(text: str) -> str:
    """Text that a Markdown table cell or heading shows as it is."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is plain text on a code host; escaped it would only be noise.
    return re.sub(r"([\\`*|\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return over_seeds(known) if known and len(known) == len(values) else None


def _number(figure: Spread | None) -> str:
    if figure is None:
        return NOTHING
    return f"{figure.mean:.1f} ± {figure.spread:.1f}" if figure.n > 1 else f"{figure.mean:.1f}"


def _figures(row: Row, contrasts: Sequence[str]) -> list[str]:
    cells = []
    for direction in DIRECTIONS:
        cells.append(recall_at_1(row, direction))
        cells += [_number(row.figure(direction, name)) for name in FIGURES[1:]]
    return cells + [_number(row.figure("contrasts", name)) for name in contrasts]


def _notes(row: Row) -> list[str]:
    """What a reader must know before comparing this row, one sentence each."""
    notes = []
    for clips in dict.fromkeys(run.missing.test for run in row.runs if run.missing.test):
        named = ", ".join(escape(clip.id) for clip in clips[:NAMED_CLIPS])
        more = f" and {len(clips) - NAMED_CLIPS} more" if len(clips) > NAMED_CLIPS else ""
        fate = (
            "dropped with their queries, so both are fewer than the protocol has."
            if row.runs[0].missing.policy == "drop"
            else "counted as wrong; the number of queries is unchanged."
            if row.runs[0].metrics.figures
            else "ranked last as query and as ground truth; the number of queries is unchanged."
        )
        notes.append(f"{_plural(len(clips), 'test clip')} missing or undecodable ({named}{more}): {fate}")
    skipped = max(len(run.missing.train) for run in row.runs)
    if skipped:
        notes.append(f"{_plural(skipped, 'training clip')} missing or undecodable and skipped.")
    if any(run.protocol.hash_status == "unverified" for run in row.runs):
        notes.append("The ids and texts of the test protocol were not verified.")
    notes += list(dict.fromkeys(escape(run.note) for run in row.runs if run.note))
    if any(run.dirty for run in row.runs):
        notes.append("Measured with uncommitted changes in the source tree.")
    return notes


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _each(row: Row, text: Callable[[ResultRecord], str]) -> str:
    """One cell for all runs: the common text, or every different one in the order of the seeds."""
    return " / ".join(dict.fromkeys(text(run) for run in row.runs))


def _plain(name: str) -> Callable[[Row], str]:
    def text(run: ResultRecord) -> str:
        value = getattr(run, name)
        return NOTHING if value is None else escape(str(value))

    return lambda row: _each(row, text)


def _parameters(run: ResultRecord) -> str:
    count = run.parameters
    if count is None:
        return NOTHING
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def _missing(run: ResultRecord) -> str:
    parts = [
        f"{len(clips)} {split}"
        for split, clips in (("test", run.missing.test), ("train", run.missing.train))
        if clips
    ]
    return " / ".join(parts) or "0"


def _seeds(row: Row) -> str:
    return f"{len(row.runs)} ({', '.join(str(run.seed) for run in row.runs)})"


def _train_time(row: Row) -> str:
    figure = _spread([run.train_seconds for run in row.runs])
    if figure is None:
        return NOTHING
    if figure.mean < 600:  # a minute more or less still means something
        return f"{round(figure.mean)} s"
    minutes = round(figure.mean / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _recipe(row: Row) -> str:
    return f"`{row.runs[0].recipe_digest[:8]}`"


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("Backbone", _plain("backbone")),
    ("Pretraining", _plain("pretraining")),
    ("Frames", _plain("frames")),
    ("Pixels", _plain("resolution")),
    ("Batch", _plain("batch_size")),
    ("Workers", _plain("world_size")),
    ("Budget", lambda row: _each(row, lambda run: run.budget or NOTHING)),
    ("Params", lambda row: _each(row, _parameters)),
    ("Seeds", _seeds),
    ("Missing", lambda row: _each(row, _missing)),
    ("Train time", _train_time),
    ("Recipe", _recipe),
)


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

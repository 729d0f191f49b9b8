"""One section of measured rows of a leaderboard, as Markdown.

A column that no row fills is left out, so that pages stay readable on a code host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.results.footnotes import marked, numbered, row_notes
from harness.results.pairing import delta_notes
from harness.results.probes import PROBES
from harness.results.record import DIRECTIONS, FIGURES, ResultRecord
from harness.results.table import (
    NOTHING,
    Row,
    escape,
    figure_names,
    markdown_table,
    number,
    recall_at_1,
    spread_of,
)

ALIKE = "≈"
_OF_MARKS = (
    "In each section **bold** is a row whose main figure is significantly better than that of every other row; "
    f"{ALIKE} marks rows that cannot be told from the best one, itself included. Each is compared with the "
    "best at 95 %, without a correction for the number of rows, by a paired bootstrap over queries, and between "
    "single seeds by McNemar's test too. Outcomes of several seeds are averaged first, and where a row has "
    "several seeds their spread has to agree, by a t-test in which a single seed is taken to spread as they do; "
    "two single seeds say nothing of other seeds. Where no outcomes of each query can be compared, nothing is "
    "marked."
)
_OF_PROBES = (
    "Δ shuffled, reversed, middle: points of the main figure that the same model loses when it gets the test "
    "clips' frames shuffled, in reverse, or the middle one alone: what order and motion are worth to it."
)
_OF_DELTAS = (
    "Δ published: the mean of the main figure minus the published one under the same conditions; what is not the "
    "same stands beside it and in the row's footnotes."
)
_OF_COST = (
    "Throughput is of training: samples of all workers per second of wall clock. Peak memory is that of the "
    "busiest worker."
)


@dataclass(frozen=True)
class Shown:
    """A section as Markdown, with the sentences that explain what it shows."""

    text: str
    legend: tuple[str, ...]


def render_rows(rows: Sequence[Row], published: Sequence[ResultRecord] = ()) -> Shown:
    """A table of the rows, best first, and their footnotes below it.

    ``published`` are the data set's rows from the literature, which a row is held against where it can be.
    """
    # numpy, which pages without a row of their own do without.
    from harness.results.standing import standings

    runs = [run for row in rows for run in row.runs]
    figures = _figure_columns(runs)
    probes = [name for name in PROBES if any(name in run.probes for run in runs)]
    figures += [(f"Δ {name}", _drop(name)) for name in probes]
    deltas = [delta_notes(row, published) for row in rows]
    against = any(delta.cell != NOTHING for delta in deltas)
    others = [column for column in _COLUMNS if column[0] in _ALWAYS or _filled(rows, column[1])]
    standing = standings(rows)
    footnotes: list[str] = []
    body = []
    for row, stands, delta in zip(rows, standing, deltas, strict=True):
        cells = [cell(row) for _, cell in figures]
        if against:
            cells.append(delta.cell)
        if stands == "best":
            cells[0] = f"**{cells[0]}**"
        elif stands == "alike":
            cells[0] = f"{ALIKE} {cells[0]}"
        name = escape(row.name) + marked([*row_notes(row), *delta.footnotes], footnotes)
        body.append([name, *cells, *(cell(row) for _, cell in others)])
    heads = ["Method", *(head for head, _ in figures), *(["Δ published"] if against else [])]
    heads += [head for head, _ in others]
    lines = [markdown_table(heads, body)]
    if footnotes:
        lines += ["", *numbered(footnotes)]
    legend = [_OF_MARKS] if {"best", "alike"} & {*standing} else []
    legend += [_OF_DELTAS] if against else []
    legend += [_OF_PROBES] if probes else []
    legend += [_OF_COST] if {"Throughput", "Peak memory"} & {head for head, _ in others} else []
    return Shown("\n".join(lines), tuple(legend))


_Column = tuple[str, Callable[[Row], str]]


def _figure_columns(runs: Sequence[ResultRecord]) -> list[_Column]:
    """The figures of the task, the main one first."""
    named = figure_names(runs)
    if named:
        return [(escape(name), _figure("figures", name)) for name in named]
    columns: list[_Column] = []
    for direction in DIRECTIONS:
        columns.append((f"{direction.upper()} R@1", lambda row, of=direction: recall_at_1(row, of)))
        columns += [(f"{direction.upper()} {name}", _figure(direction, name)) for name in FIGURES[1:]]
    contrasts = sorted({name for run in runs for name in run.metrics.contrasts})
    return columns + [(escape(name.replace("_", " ")), _figure("contrasts", name)) for name in contrasts]


def _figure(part: str, name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        shown = number(row.figure(part, name))
        drawn = row.runs[0].resampling
        if len(row.runs) > 1 or drawn is None or f"{part}.{name}" not in drawn.intervals:
            return shown
        low, high = drawn.intervals[f"{part}.{name}"]
        return f"{shown} [{low:.1f}, {high:.1f}]"

    return cell


def _drop(probe: str) -> Callable[[Row], str]:
    """Points of the main figure that a probe costs, paired by seed."""

    def cell(row: Row) -> str:
        drops: list[float | None] = []
        for run in row.runs:
            found = run.probes.get(probe)
            part, name = run.metrics.leading
            before, after = (getattr(of.metrics, part).get(name) if of else None for of in (run, found))
            drops.append(None if before is None or after is None else before - after)
        return number(spread_of(drops))

    return cell


def _filled(rows: Iterable[Row], cell: Callable[[Row], str]) -> bool:
    return any(cell(row) != NOTHING for row in rows)


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
    figure = spread_of([run.train_seconds for run in row.runs])
    if figure is None:
        return NOTHING
    if figure.mean < 600:  # a minute more or less still means something
        return f"{round(figure.mean)} s"
    minutes = round(figure.mean / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _throughput(row: Row) -> str:
    """The mean over the seeds of clips per second; a dash unless all of them were counted."""
    rates = [
        run.train.seen / run.train_seconds if run.train and run.train.seen and run.train_seconds else None
        for run in row.runs
    ]
    figure = spread_of(rates)
    return NOTHING if figure is None else f"{_short(figure.mean)} clips/s"


def _peak_memory(row: Row) -> str:
    """That of the run which needed most."""
    known = [run.peak_memory_mb for run in row.runs if run.peak_memory_mb is not None]
    if not known:
        return NOTHING
    most = max(known)
    return f"{most:.0f} MiB" if most < 1024 else f"{most / 1024:.1f} GiB"


def _gpu_hours(row: Row) -> str:
    figure = spread_of([run.gpu_hours for run in row.runs])
    return NOTHING if figure is None else _short(figure.mean)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _recipe(row: Row) -> str:
    return f"`{row.runs[0].recipe_digest[:8]}`"


_COLUMNS: tuple[_Column, ...] = (
    ("Backbone", _plain("backbone")),
    ("Pretraining", _plain("pretraining")),
    ("Frames", _plain("frames")),
    ("Pixels", _plain("resolution")),
    ("Batch", _plain("batch_size")),
    ("Workers", _plain("world_size")),
    ("Budget", lambda row: _each(row, lambda run: escape(run.budget) or NOTHING)),
    ("Params", lambda row: _each(row, _parameters)),
    ("Seeds", _seeds),
    ("Missing", lambda row: _each(row, _missing)),
    ("Train time", _train_time),
    ("Throughput", _throughput),
    ("Peak memory", _peak_memory),
    ("GPU-hours", _gpu_hours),
    ("Recipe", _recipe),
)
_ALWAYS = ("Seeds", "Missing", "Recipe")

"""The figures of a record with their intervals, its ranks as charts, and what its probes say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.report.charts import Line, bars, lines
from harness.report.page import figure, paragraph, table
from harness.results.compare import COLUMNS
from harness.results.ranks import Counts, hits, ranks
from harness.results.record import DIRECTIONS, Probe, QueryCounts, ResultRecord
from harness.results.statistics import recall_interval, wilson

NOTHING = "—"
NAMES = {"t2v": "text to video", "v2t": "video to text"}
#: Last ranks of the bars of a histogram; one more bar has all that is worse.
_EDGES = (1, 2, 3, 5, 10, 20, 50, 100, 500)


def scores(record: ResultRecord) -> str:
    """Every figure with its 95 % interval over queries, where one is known."""
    rows = []
    for name, label, value in _figures(record):
        low, high = _interval(record, name, value) or (None, None)
        between = NOTHING if low is None else f"{low:.1f} to {high:.1f}"
        rows.append([label, f"{value:.1f}", between])
    return table(["Figure", "Value", "95 % interval"], rows) + paragraph(
        "Recalls and accuracies in percent with Wilson's interval over queries; ranks count from 1, with "
        "bootstrap intervals where the record has them. No interval speaks of the spread over seeds."
    )


def _figures(record: ResultRecord) -> Iterator[tuple[str, str, float]]:
    """(name as in :class:`Resampling`, label, value)."""
    metrics = record.metrics
    for direction in DIRECTIONS:
        figures = getattr(metrics, direction)
        for name in sorted(figures, key=_usual):
            yield f"{direction}.{name}", f"{NAMES[direction].capitalize()} {name}", figures[name]
    for name in metrics.names:
        yield f"figures.{name}", name, metrics.figures[name]
    for name, value in metrics.contrasts.items():
        yield f"contrasts.{name}", name.replace("_", " "), value


def _usual(name: str) -> tuple[bool, int, str]:
    """Sort key: recalls by their k, then the others."""
    recall = name.startswith("R@")
    return not recall, int(name[2:]) if recall else 0, name


def _interval(record: ResultRecord, name: str, value: float) -> tuple[float, float] | None:
    part, _, figure_name = name.partition(".")
    if part in DIRECTIONS and figure_name.startswith("R@") and record.queries:
        return recall_interval(value, len(getattr(record.queries, part)))
    if record.resampling and name in record.resampling.intervals:
        return record.resampling.intervals[name]
    for column, of in COLUMNS.items():
        outcomes = record.evidence.get(column, "").split()
        if part == "figures" and of == figure_name and outcomes and set(outcomes) <= {"0", "1"}:
            return wilson(outcomes.count("1"), len(outcomes))
    return None


def rank_charts(record: ResultRecord) -> str:
    """How ranks are spread, and the recall at every k, of both directions; nothing without ranks."""
    if record.queries is None:
        return ""
    found = {name: getattr(record.queries, name) for name in DIRECTIONS}
    places = {name: ranks(Counts.unpack(counts), record.ties) for name, counts in found.items()}
    drawn = [
        figure(
            bars(histogram(places[name], counts.gallery), "rank of the right one", f"Ranks, {NAMES[name]}"),
            f"{NAMES[name].capitalize()}: ranks of {len(counts)} queries among {counts.gallery}",
        )
        for name, counts in found.items()
    ]
    curves = [Line(NAMES[name], _recalls(record, places[name], found[name])) for name in DIRECTIONS]
    chart = lines(
        curves, "k", "R@k (%)", "Recall at k", y_range=(0, 100), log_x=True
    )  # fmt: skip
    drawn.append(figure(chart, "R@k: percent of queries whose right one is among the first k"))
    return f'<div class="charts">{"".join(drawn)}</div>'


def histogram(places: np.ndarray, gallery: int) -> list[tuple[str, int]]:
    """(ranks, how many queries) for every bar; a half rank of tied queries counts with the next worse one."""
    edges = [*(edge for edge in _EDGES if edge < gallery), gallery]
    bounds, counts = [0, *edges], []
    for low, high in zip(bounds, edges):
        worst = f"{low + 1}+" if high == gallery else f"{low + 1}-{high}"
        name = str(high) if high == low + 1 else worst
        counts.append((name, int(np.count_nonzero((places > low) & (places <= high)))))
    return counts


def _recalls(
    record: ResultRecord, places: np.ndarray, counts: QueryCounts
) -> tuple[tuple[float, float], ...]:
    """R@k at the k's that a curve of log k can show."""
    ks = sorted({round(k) for k in np.geomspace(1, max(2, counts.gallery), 60)})
    return tuple((k, 100 * float(hits(places, k, record.ties).mean())) for k in ks)


def probes(record: ResultRecord) -> str:
    """The same model with the frames of the test clips shuffled, reversed, or one alone."""
    if not record.probes:
        return ""
    own = record.metrics.figures or record.metrics.t2v
    names = record.metrics.names or sorted(own, key=_usual)
    rows = [["as they are", *(f"{own[name]:.1f}" for name in names)]]
    rows += [[name, *_probed(probe, names)] for name, probe in record.probes.items()]
    return table(["Frames", *names], rows) + paragraph(
        "A model that sees time loses where the frames are shuffled or reversed."
        + ("" if record.metrics.figures else " Text to video.")
    )


def _probed(probe: Probe, names: list[str]) -> list[str]:
    values = probe.metrics.figures or probe.metrics.t2v
    return [f"{values[name]:.1f}" if name in values else NOTHING for name in names]

"""What temporal probes say of a run: its figures with frames in order and otherwise, and the drops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from harness.results.record import Metrics, ProbeName, ResultRecord
from harness.results.statistics import over_seeds
from harness.results.table import NOTHING, markdown_table

PROBES: tuple[ProbeName, ...] = get_args(ProbeName)

#: What a reader calls the frames that a probe gives.
_SHOWN = {"shuffled": "shuffled", "reversed": "reversed", "middle": "only the middle one"}


def main_figure(metrics: Metrics) -> tuple[str, float]:
    """The label and value of the figure that probes are compared by, the one that orders rows."""
    part, name = metrics.leading
    return name if part == "figures" else f"T2V {name}", getattr(metrics, part)[name]


def probe_table(records: Sequence[ResultRecord]) -> str:
    """Markdown: the main figure in order and of each probe, with its drop in points, and the contrasts;
    of several records, which differ in their seeds only, the means."""
    first = records[0]
    name, _ = main_figure(first.metrics)
    contrasts = list(first.metrics.contrasts)
    before = _mean([main_figure(record.metrics)[1] for record in records])
    body = [["in order", f"{before:.1f}", NOTHING, *_contrasts([r.metrics for r in records], contrasts)]]
    for probe in (name for name in PROBES if name in first.probes):
        found = [record.probes[probe].metrics for record in records]
        after = _mean([main_figure(metrics)[1] for metrics in found])
        body.append(
            [
                _SHOWN[probe],
                f"{after:.1f}",
                f"{round(before - after, 1) + 0:.1f}",
                *_contrasts(found, contrasts),
            ]
        )
    return markdown_table(["Frames", name, "Drop", *(c.replace("_", " ") for c in contrasts)], body)


def _contrasts(found: Sequence[Metrics], names: Sequence[str]) -> list[str]:
    return [f"{_mean([metrics.contrasts[name] for metrics in found]):.1f}" for name in names]


def _mean(values: Sequence[float]) -> float:
    return over_seeds(values).mean

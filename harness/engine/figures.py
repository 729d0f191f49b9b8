"""The figures of several records, side by side for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.results.record import ResultRecord
from harness.results.table import figure_names, number, spread_of

Figure = Callable[[ResultRecord], float | None]


def columns_of(records: Sequence[ResultRecord]) -> list[tuple[str, Figure]]:
    """The main figures that some record has, by the head of their column, the first one first."""
    named = figure_names(records)
    if named:
        return [(name, lambda record, name=name: record.metrics.figures.get(name)) for name in named]
    contrasts = dict.fromkeys(name for record in records for name in record.metrics.contrasts)
    return [
        ("T2V R@1", lambda record: record.metrics.t2v["R@1"]),
        ("T2V R@5", lambda record: record.metrics.t2v["R@5"]),
        ("V2T R@1", lambda record: record.metrics.v2t["R@1"]),
        *(
            (name.replace("_", " "), lambda record, name=name: record.metrics.contrasts.get(name))
            for name in contrasts
        ),
    ]


def mean(figure: Figure, records: Sequence[ResultRecord]) -> str:
    """The mean of a figure with its spread over the seeds; a dash unless all of them have it."""
    return number(spread_of([figure(record) for record in records]))

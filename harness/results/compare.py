"""Runs against a first one on the same queries: `harness compare`.

Every figure is compared query by query (:mod:`harness.results.significance`). Runs whose hard keys differ
were asked different things and are refused. The outcomes of several seeds are averaged for each query; where
a side has several, the seeds themselves have to tell the two apart too: by Welch's t-test where both have, and
where one is a single seed as if it spread as the other's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from harness.errors import HarnessError
from harness.results.ranks import Counts, hits, ranks
from harness.results.record import DIRECTIONS, ResultRecord
from harness.results.row_keys import section
from harness.results.sides import Side, differing
from harness.results.significance import SAMPLES, SEED, mcnemar, paired_bootstrap
from harness.results.statistics import lone_difference, welch_difference
from harness.results.table import Row

#: Columns of evidence that hold one number for each query or clip, and the figure that is their mean.
COLUMNS = {"right": "accuracy", "cider": "CIDEr", "rouge": "ROUGE-L"}
KS = (1, 5, 10)


class FigureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two sides, ``b`` minus ``a``, all in percent (CIDEr times 100); ``mcnemar`` only where
    both are a single run and every query is right or wrong."""

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    mcnemar: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one direction (``""`` for a task without ranks), the first of which decides.

    ``only_a`` and ``only_b`` are the indices, from 0 in the order of the protocol, of the queries that
    every seed of one side solves and no seed of the other; None where a query is not right or wrong.
    ``over_seeds`` is the 95 % interval over seeds of the first figure's difference, low and high, where a side
    has several.
    """

    direction: str
    figures: tuple[FigureDifference, ...]
    only_a: tuple[int, ...] | None = None
    only_b: tuple[int, ...] | None = None
    over_seeds: tuple[float, float] | None = None

    @property
    def distinguishable(self) -> bool:
        """Whether 0 is outside the interval of the first figure, and what else there is agrees: McNemar's
        test, since with a handful of queries that differ the bootstrap finds too much, and the interval over
        seeds, since other seeds might have given another order."""
        first = self.figures[0]
        agreed = first.mcnemar is None or first.mcnemar < 0.05
        if self.over_seeds is not None:
            low, high = self.over_seeds
            agreed = agreed and not low <= 0.0 <= high
        return not first.low <= 0.0 <= first.high and agreed


class _Column(NamedTuple):
    """The outcomes of each query: float ``[Q]`` for every run of a side."""

    name: str
    runs: list[np.ndarray]


def compare(
    a: Side, b: Side, directions: Sequence[str] = DIRECTIONS, *, main_only: bool = False
) -> list[Comparison]:
    """``b`` against ``a``, for every direction; a task without ranks has one comparison and no direction.
    ``main_only`` leaves out all figures but the first, which decides.

    Raises HarnessError when the hard keys differ, naming each part that does, and when records share no
    outcome of each query or not as many.
    """
    if a.key != b.key:
        raise HarnessError(
            f"{a.name} and {b.name} cannot be compared: {differing(a.key._asdict(), b.key._asdict())}",
            "only runs that were asked the same queries under the same rules can be",
        )
    runs = [*a.runs, *b.runs]
    ranked = all(run.queries is not None for run in runs)
    return [_compared(direction, a, b, main_only) for direction in (directions if ranked else ("",))]


def notes(a: Side, b: Side) -> list[str]:
    """What a reader must know of two sides beside their difference, one sentence each."""
    said = []
    if section(a.runs[0]) != section(b.runs[0]):
        parts = differing(section(a.runs[0])._asdict(), section(b.runs[0])._asdict())
        said.append(f"Not of one section of the table: {parts}.")
    if not a.key.ids_texts_hash:
        said.append(
            "The records have no hash of ids and texts, so that the queries are the same is unchecked."
        )
    if any(run.missing.test for side in (a, b) for run in side.runs):
        lost = [max(len(run.missing.test) for run in side.runs) for side in (a, b)]
        said.append(f"Missing test clips: {lost[0]} and {lost[1]}.")
    return said


def _compared(direction: str, a: Side, b: Side, main_only: bool) -> Comparison:
    figures: list[FigureDifference] = []
    only = seeds = None
    for one, other in _columns(direction, a, b, 1 if main_only else None):
        sizes = {len(run) for run in one.runs + other.runs}
        if len(sizes) > 1:
            raise HarnessError(
                f"{one.name} of {a.name} and {b.name}: "
                f"one record has {min(sizes)} queries, another {max(sizes)}",
                "run the evaluation of one of them again: they were not asked the same",
            )
        means = [np.mean(column.runs, axis=0) for column in (one, other)]
        test = None
        if not figures and all(np.isin(run, (0, 1)).all() for run in one.runs + other.runs):
            only = [np.flatnonzero((x == 1) & (y == 0)) for x, y in (means, means[::-1])]
            if len(one.runs) == len(other.runs) == 1:
                test = mcnemar(len(only[0]), len(only[1]))
        if not figures and max(len(one.runs), len(other.runs)) > 1:
            means_of_seeds = ([100 * float(run.mean()) for run in column.runs] for column in (other, one))
            test_of_seeds = welch_difference if min(len(one.runs), len(other.runs)) > 1 else lone_difference
            seeds = test_of_seeds(*means_of_seeds)
        found = paired_bootstrap(means[1], means[0])
        figures.append(
            FigureDifference(
                name=one.name,
                a=100 * float(means[0].mean()),
                b=100 * float(means[1].mean()),
                difference=100 * found.mean,
                low=100 * found.low,
                high=100 * found.high,
                p=found.p,
                mcnemar=test,
            )
        )
    only_a, only_b = (None, None) if only is None else (tuple(found.tolist()) for found in only)
    return Comparison(
        direction=direction,
        figures=tuple(figures),
        only_a=only_a,
        only_b=only_b,
        over_seeds=seeds and (seeds.low, seeds.high),
    )


def _columns(direction: str, a: Side, b: Side, most: int | None) -> list[tuple[_Column, _Column]]:
    """The outcomes of the figures that all runs of both sides have: of the first ``most``, or of all."""
    if direction:
        ks = KS[:most]
        return list(zip(_found(direction, a, ks), _found(direction, b, ks), strict=True))
    runs = [*a.runs, *b.runs]
    shared = [name for name in COLUMNS if all(name in run.evidence for run in runs)]
    if not shared:
        raise HarnessError(
            f"{a.name} and {b.name}: their records of the task {a.key.task} share no outcome of each query",
            f"columns of evidence that can be compared: {', '.join(COLUMNS)}",
        )
    return [
        tuple(_Column(COLUMNS[name], [_numbers(run, name) for run in side.runs]) for side in (a, b))
        for name in shared[:most]
    ]


def _found(direction: str, side: Side, ks: Sequence[int]) -> list[_Column]:
    """Whether each query of a direction is found among the first k."""
    places = [ranks(Counts.unpack(getattr(run.queries, direction)), run.ties) for run in side.runs]
    return [_Column(f"R@{k}", [hits(rank, k, side.key.ties).astype(float) for rank in places]) for k in ks]


def _numbers(run: ResultRecord, name: str) -> np.ndarray:
    try:
        values = np.array([float(value) for value in run.evidence[name].split()])
    except ValueError as error:
        raise HarnessError(f"{Row((run,)).name}, seed {run.seed}: evidence.{name}: {error}") from error
    # A column that does not give the printed figure is no evidence of it.
    printed = run.metrics.figures.get(COLUMNS[name])
    if printed is None or not abs(100 * values.mean() - printed) < 1e-6:
        raise HarnessError(
            f"{Row((run,)).name}, seed {run.seed}: {COLUMNS[name]} is {printed}, "
            f"its evidence.{name} gives {100 * values.mean():.6f}",
            "restore the record, or run the evaluation again",
        )
    return values


def to_json(sides: Sequence[Side], directions: Sequence[str] = DIRECTIONS) -> dict[str, object]:
    """The same as plain values."""
    pairs = [
        {
            "b": side.name,
            "comparisons": [
                {**msgspec.to_builtins(one), "distinguishable": one.distinguishable}
                for one in compare(sides[0], side, directions)
            ],
            "notes": notes(sides[0], side),
        }
        for side in sides[1:]
    ]
    return {
        "a": sides[0].name,
        "key": sides[0].key._asdict(),
        "bootstrap": {"samples": SAMPLES, "seed": SEED},
        "pairs": pairs,
    }

"""Whether a published figure is what one more run here could give: `harness prove`.

Not covered: which published row a measured one may be held against (:mod:`harness.results.pairing`).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from harness.results.pairing import Delta, Difference, Pair, remarks, signed
from harness.results.record import ResultRecord
from harness.results.statistics import Interval, Spread, t_quantile
from harness.results.table import SELECTIONS, Row, markdown_table

Outcome = Literal["within", "below", "above"]

#: Figures are printed to a tenth, so the published one lies up to so much from what is printed.
ROUNDING = 0.05

#: Figures that are ranks: fewer is better.
_RANKS = ("MdR", "MnR")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One figure on both sides, in its own unit. ``low`` and ``high`` are :func:`prediction`'s interval;
    ``outcome`` says where the measured mean lies from the published figure: for ranks, where fewer is
    better, ``above`` is worse."""

    label: str
    mean: float
    spread: float
    low: float
    high: float
    published: float
    recalled: bool
    outcome: Outcome
    worse: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Several seeds of a method against one published row.

    The first of ``findings`` decides (text-to-video R@1, or the first figure of a task without ranks). Where
    all is well one of ten unrelated figures, each at 95 %, still is outside in 40 of 100 cases.
    """

    row: str
    method: str
    dataset: str
    protocol: str
    train_split: str
    seeds: tuple[int, ...]
    source: str
    remarks: tuple[str, ...]
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...]
    unpaired: tuple[str, ...]

    @property
    def main(self) -> Finding:
        return self.findings[0]

    @property
    def upheld(self) -> bool:
        """Whether the first figure is no worse than the published one."""
        return not self.main.worse


def prediction(measured: Spread) -> Interval:
    """Where one further seed lies with 95 % confidence: mean ± t s sqrt(1 + 1/n), two seeds at least.

    A published figure is itself one run with the luck of its seed, so the interval is that of a further
    draw and not the narrower one of the mean. The queries are the same on both sides, and how
    the figure would be on other queries is no part of it. It takes seeds to be normal and as far apart there
    as here. :data:`ROUNDING` is added at both ends. With few seeds it is wide (n = 2: 15.6 s, n = 3: 5.0 s,
    n = 5: 3.0 s on either side): then ``within`` means little, and ``below`` much. Where all seeds have the
    same figure, as median ranks often do, only the rounding is left. Conditions that differ are no part of
    it either: who takes the epoch that is best on the test has more than who takes the last one.
    """
    assert measured.n > 1, "one seed says nothing of its own spread"
    half = t_quantile(measured.n - 1) * measured.spread * math.sqrt(1 + 1 / measured.n) + ROUNDING
    return Interval(measured.mean - half, measured.mean + half)


def judge(row: Row, pair: Pair, name: str) -> Verdict:
    """The measured row's verdict; ``name`` is the published row's own. The pair has a figure, the row two
    seeds."""
    first = row.runs[0]
    return Verdict(
        row=name,
        method=row.name,
        dataset=first.dataset,
        protocol=first.protocol.name,
        train_split=first.train_split,
        seeds=tuple(run.seed for run in row.runs if run.seed is not None),
        source=pair.published.source,
        remarks=tuple(remarks(pair)),
        findings=tuple(_finding(delta) for delta in pair.deltas),
        differences=pair.differences,
        unpaired=pair.unpaired,
    )


def line(verdict: Verdict) -> str:
    """The verdict for somebody who knows nothing of it yet."""
    main = verdict.main
    trained = "zero-shot" if verdict.train_split == "none" else verdict.train_split
    return (
        f"{verdict.method} on {verdict.dataset} {verdict.protocol}, {trained}: "
        f"{main.label} measured {main.mean:.1f} ± {main.spread:.1f} ({len(verdict.seeds)} seeds), "
        f"published {main.published:.1f} ({', '.join(verdict.remarks)}): {main.outcome}"
    )


def report(verdict: Verdict) -> str:
    """The line, a table of all figures, and what differs."""
    body = [
        [
            one.label,
            f"{one.mean:.1f} ± {one.spread:.1f}",
            f"{one.low:.1f} to {one.high:.1f}",
            f"({one.published:.1f})" if one.recalled else f"{one.published:.1f}",
            signed(one.mean - one.published),
            one.outcome + (", worse" if one.worse else ""),
        ]
        for one in verdict.findings
    ]
    heads = ["", "Measured", "One more seed, 95 %", "Published", "Difference", "Measured is"]
    lines = [line(verdict), "", markdown_table(heads, body), ""]
    lines.append(f"Published: {verdict.row}, {verdict.source}. In parentheses: from memory.")
    lines += [f"Differs: {one}." for one in verdict.differences]
    lines += [f"Not compared: {one}." for one in verdict.unpaired]
    return "\n".join(lines)


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The same as plain values, with the first figure's outcome."""
    return {**msgspec.to_builtins(verdict), "outcome": verdict.main.outcome, "upheld": verdict.upheld}


def published_figures(record: ResultRecord) -> str:
    """A published row in a line: its figures, how they are known, and how its epoch was selected."""
    parts = [("T2V ", record.metrics.t2v), ("V2T ", record.metrics.v2t), ("", record.metrics.figures)]
    shown = [f"{prefix}{name} {value:.1f}" for prefix, found in parts for name, value in found.items()]
    known = [record.confidence, *([SELECTIONS[record.selection]] if record.selection != "unknown" else [])]
    return f"{', '.join(shown)} ({', '.join(known)})"


def _finding(delta: Delta) -> Finding:
    low, high = prediction(delta.measured)
    outcome: Outcome = (
        "within" if low <= delta.published <= high else "below" if high < delta.published else "above"
    )
    return Finding(
        label=delta.label,
        mean=delta.measured.mean,
        spread=delta.measured.spread,
        low=low,
        high=high,
        published=delta.published,
        recalled=delta.recalled,
        outcome=outcome,
        worse=outcome == ("above" if delta.name in _RANKS else "below"),
    )

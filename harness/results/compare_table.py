"""A comparison as Markdown: a table for each run against the first, and a verdict below it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.results.compare import Comparison, compare, notes
from harness.results.record import DIRECTIONS
from harness.results.sides import Side
from harness.results.significance import SAMPLES, SEED
from harness.results.table import NOTHING, escape, markdown_table

#: A text names so many queries; the JSON has them all.
NAMED_QUERIES = 5


def letter(index: int) -> str:
    """A, B, ... Z, A1, B1, ..."""
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def report(sides: Sequence[Side], directions: Sequence[str] = DIRECTIONS) -> str:
    """Markdown: what is compared, and a table for each side against the first."""
    key = sides[0].key
    lines = [f"- {letter(index)}: {escape(side.name)}" for index, side in enumerate(sides)]
    lines += [
        "",
        f"{escape(key.dataset)}/{escape(key.protocol)}, {escape(key.task)}: "
        f"{key.n_queries} {key.query_unit}s x {key.n_gallery} in the gallery, "
        f"post-processing: {escape(key.postprocess)}, ties: {key.ties}.",
    ]
    for index, side in enumerate(sides[1:], start=1):
        lines += ["", *_pair(sides[0], side, letter(index), directions)]
    lines += ["", _method(sides)]
    return "\n".join(lines)


def _pair(a: Side, b: Side, name: str, directions: Sequence[str]) -> list[str]:
    compared = compare(a, b, directions)
    body = [
        [
            f"{one.direction.upper()} {figure.name}".strip(),
            f"{figure.a:.1f}",
            f"{figure.b:.1f}",
            f"{figure.difference:+.1f} [{figure.low:+.1f}, {figure.high:+.1f}]",
            _p(figure.p),
            _p(figure.mcnemar),
        ]
        for one in compared
        for figure in one.figures
    ]
    table = markdown_table(["Figure", "A", name, f"{name} - A [95 %]", "p", "McNemar p"], body)
    said = [f"- {_verdict(one, name)}" for one in compared]
    said += [f"- {escape(note)}" for note in notes(a, b)]
    return [f"## {name} against A", "", table, "", *said]


def _verdict(one: Comparison, name: str) -> str:
    first = one.figures[0]
    what = f"{one.direction.upper()} {first.name}".strip()
    better, worse = (name, "A") if first.difference > 0 else ("A", name)
    text = (
        f"{what}: {better} is better than {worse}."
        if one.distinguishable
        else f"{what}: not distinguishable."
    )
    if one.only_a is not None and one.only_b is not None:
        text += f" Only A solves {_named(one.only_a)}, only {name} {_named(one.only_b)}."
    if one.over_seeds is not None:
        low, high = one.over_seeds
        text += f" Over seeds the difference is {low:+.1f} to {high:+.1f}."
    return text


def _named(indices: Sequence[int]) -> str:
    """How many queries, and the first few of them."""
    if not indices:
        return "none"
    shown = ", ".join(map(str, indices[:NAMED_QUERIES]))
    noun = "query" if len(indices) == 1 else "queries"
    return f"{len(indices)} {noun} ({shown}{', ...' if len(indices) > NAMED_QUERIES else ''})"


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _method(sides: Sequence[Side]) -> str:
    """How it was computed, and what it does not say."""
    text = f"Intervals and p: {SAMPLES} paired bootstrap samples of the queries, seed {SEED}."
    if any(len(side.runs) > 1 for side in sides):
        text += (
            " Several seeds are averaged for each query; McNemar's test is for single runs, and one side alone "
            "solves a query if every seed of it does and no seed of the other. Where a side has several seeds, "
            "two are told apart only if the 95 % interval over seeds agrees (Welch's t; a single seed is taken "
            "to spread as the other side's)."
        )
    if len(sides) > 2:
        text += f" {len(sides) - 1} comparisons were made; the p-values are not corrected for that."
    return text

"""Training curves of several runs in one picture, from their logs: `harness curves`.

An SVG of a few kilobytes, so that it can be reviewed, scaled and shown by a code host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec

from harness.errors import HarnessError
from harness.results.run_files import LOG

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 20, 48
# Told apart by readers who see red and green alike (Okabe and Ito), and by their dashes.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("", "8 3", "2 3", "10 3 2 3")
# Points of a line where nobody says how many: single steps of a contrastive loss are mostly noise.
_POINTS = 40
# About what a letter of the legend takes.
_LETTER = 6.6


@dataclass(frozen=True)
class Curve:
    """One value of one run over its steps, counted from 1 through all stages."""

    label: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_curve(given: str, value: str) -> Curve:
    """``given`` is a run folder, or ``LABEL=FOLDER``. Raises HarnessError where there is no log."""
    label, equals, folder = given.partition("=")
    if not equals or Path(given).exists():
        label, folder = Path(given).name, given
    log = Path(folder) / LOG
    try:
        lines = log.read_bytes().splitlines()
        rows = [msgspec.json.decode(line) for line in lines]
        values = tuple(float(row[value]) for row in rows)
    except OSError as error:
        raise HarnessError(
            f"no log at {log}: {error.strerror}", "give a run folder, or LABEL=FOLDER"
        ) from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"{log} is not the log of a run: {error}", "run the method again") from error
    if not values:
        raise HarnessError(f"{log} has no step in it yet", "wait for the first step of the run")
    return Curve(label, tuple(range(1, len(values) + 1)), values)


def thinned(curve: Curve, size: int) -> Curve:
    """The curve with every point the mean of ``size`` steps, the last one of what is left."""
    parts = [slice(start, start + size) for start in range(0, len(curve.values), size)]
    return Curve(
        curve.label,
        tuple(curve.steps[part][-1] for part in parts),
        tuple(math.fsum(curve.values[part]) / len(curve.values[part]) for part in parts),
    )


def picture(curves: Sequence[Curve], value: str, title: str = "", mean_of: int = 0) -> str:
    """All curves over one pair of axes, as the text of an SVG file.

    A point is the mean of ``mean_of`` steps; 0 gives the longest curve about forty points.
    """
    size = mean_of or math.ceil(max(len(curve.values) for curve in curves) / _POINTS)
    curves = [thinned(curve, size) for curve in curves]
    last = max(curve.steps[-1] for curve in curves)
    low = min(min(curve.values) for curve in curves)
    high = max(max(curve.values) for curve in curves)
    levels = ticks(low, high)
    low, high = min(low, levels[0]), max(high, levels[-1])
    high = high if high > low else low + 1

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    def y(number: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - number) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f"<title>{escape(title or value)}</title>",
    ]
    for tick in levels:
        parts += [
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#dddddd"/>',
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>',
        ]
    for step in ticks(0, last):
        if step <= last:
            parts.append(
                f'<text x="{x(step):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{step:g}</text>'
            )
    parts += [
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">step</text>',
        f'<text transform="translate(16 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(value)}</text>',
    ]
    legend = _WIDTH - _RIGHT - 52 - _LETTER * max(len(curve.label) for curve in curves)
    styles = [
        f'stroke="{_COLOURS[index % len(_COLOURS)]}" stroke-width="2" '
        f'stroke-dasharray="{_DASHES[index % len(_DASHES)]}" fill="none"'
        for index in range(len(curves))
    ]
    for curve, line in zip(curves, styles, strict=True):
        points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(curve.steps, curve.values, strict=True))
        parts.append(f'<polyline points="{points}" {line}/>')
    parts.append(  # over the curves, which may run where the legend stands
        f'<rect x="{legend - 8:.1f}" y="{_TOP}" width="{_WIDTH - _RIGHT - legend + 8:.1f}" '
        f'height="{8 + 20 * len(curves)}" fill="white" fill-opacity="0.85"/>'
    )
    for index, (curve, line) in enumerate(zip(curves, styles, strict=True)):
        row = _TOP + 16 + 20 * index
        parts += [
            f'<line x1="{legend:.1f}" x2="{legend + 36:.1f}" y1="{row - 4}" y2="{row - 4}" {line}/>',
            f'<text x="{legend + 44:.1f}" y="{row}">{escape(curve.label)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def summary(curves: Sequence[Curve], value: str) -> str:
    """The first and last twentieth of every curve, as a Markdown table."""
    from harness.results.table import markdown_table

    rows = []
    for curve in curves:
        part = max(1, len(curve.values) // 20)
        first, last = curve.values[:part], curve.values[-part:]
        rows.append(
            [curve.label, str(len(curve.values)), f"{math.fsum(first) / part:.4g}", f"{math.fsum(last) / part:.4g}"]
        )  # fmt: skip
    return markdown_table(["run", "steps", f"{value}, first 5 %", f"{value}, last 5 %"], rows)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / about))
    size = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if span / (unit * factor) <= about)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [round(number * size, 12) for number in range(first, last + 1)]

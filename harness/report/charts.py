"""Bars and lines as SVG that takes its colours from the page, so that it is right in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from harness.results.curves import ticks

_WIDTH, _HEIGHT = 560, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 14, 26, 44
_CLASSES = ("a", "b")
# About what a letter of a name takes.
_LETTER = 7.0


@dataclass(frozen=True)
class Line:
    """A named line through ``(x, y)``, by ascending x."""

    name: str
    points: tuple[tuple[float, float], ...]


def bars(values: Sequence[tuple[str, int]], x_label: str, title: str) -> str:
    """A bar for each (name, count), with the count above it."""
    high = max(1, *(count for _, count in values))
    step = (_WIDTH - _LEFT - _RIGHT) / len(values)
    parts = []
    for place, (name, count) in enumerate(values):
        tall = (_HEIGHT - _TOP - _BOTTOM) * count / high
        left, middle = _LEFT + place * step, _LEFT + (place + 0.5) * step
        top = _HEIGHT - _BOTTOM - tall
        parts += [
            f'<rect class="bar" x="{left + 2:.1f}" y="{top:.1f}" width="{step - 4:.1f}" height="{tall:.1f}"/>',
            _text(middle, top - 5, str(count), "middle"),
            _text(middle, _HEIGHT - _BOTTOM + 17, name, "middle"),
        ]
    floor = f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM}"/>'
    return _svg(title, [floor, *parts, *_labels(x_label, "queries")])


def lines(
    drawn: Sequence[Line],
    x_label: str,
    y_label: str,
    title: str,
    *,
    y_range: tuple[float, float] | None = None,
    log_x: bool = False,
) -> str:
    """At most two lines over one pair of axes; ``log_x`` spaces x by its logarithm."""
    assert 0 < len(drawn) <= len(_CLASSES)
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    levels = ticks(*(y_range or (min(ys), max(ys))))
    low, high = levels[0], levels[-1]
    scale = math.log10 if log_x else float
    first, last = scale(min(xs)), scale(max(xs))

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (scale(value) - first) / ((last - first) or 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    parts = []
    for level in levels:
        at = f"{y(level):.1f}"
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>',
            _text(_LEFT - 8, y(level) + 4, f"{level:g}", "end"),
        ]
    marks = _powers(max(xs)) if log_x else ticks(min(xs), max(xs))
    parts += [
        _text(x(mark), _HEIGHT - _BOTTOM + 17, f"{mark:g}", "middle")
        for mark in marks
        if min(xs) <= mark <= max(xs)
    ]
    for kind, line in zip(_CLASSES, drawn):
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
        parts.append(f'<polyline class="{kind}" points="{points}"/>')
    return _svg(title, [*parts, *_legend(drawn), *_labels(x_label, y_label)])


def _powers(last: float) -> list[float]:
    """1, 2, 5, 10, 20, ... up to ``last``, fewer where they would stand too close."""
    found = [m * 10.0**p for p in range(math.ceil(math.log10(last)) + 1) for m in (1, 2, 5)]
    return found if last <= 2000 else found[::3]


def _legend(drawn: Sequence[Line]) -> list[str]:
    """Above the axes, where no line runs; a single line needs none."""
    if len(drawn) == 1:
        return []
    parts, left = [], float(_LEFT)
    for kind, line in zip(_CLASSES, drawn):
        parts += [
            f'<line class="{kind}" stroke-width="2" x1="{left:.0f}" x2="{left + 28:.0f}" y1="10" y2="10"/>',
            _text(left + 34, 14, line.name, "start"),
        ]
        left += 60 + _LETTER * len(line.name)
    return parts


def _labels(x_label: str, y_label: str) -> list[str]:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return [
        f'<text class="faint" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text class="faint" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])

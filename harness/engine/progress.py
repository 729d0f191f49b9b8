"""Progress with an ETA: a bar on a terminal, a plain line now and then elsewhere.

Everything goes to standard error; standard output belongs to results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

#: Seconds between two lines where there is no terminal.
LINE_INTERVAL_S = 10.0


class Meter:
    """One piece of long work; ``update(done, note)`` may be called as often as one likes.

    ``done`` is what an earlier run did; with a ``unit`` the rate of the rest is shown in it.
    """

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "") -> None:
        self.what, self.total, self.begun_at, self.unit = what, total, done, unit
        self.start = time.monotonic()
        self.last_line = self.start

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self.last_line >= LINE_INTERVAL_S or done == self.total:
            self.last_line = now
            print(self._line(done, now, note), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left on the screen to take away."""

    def _line(self, done: int, now: float, note: str) -> str:
        rate = self._rate(done, now)
        left = f"{clock((self.total - done) / rate)} left" if rate > 0 and done < self.total else ""
        facts = (f"{done}/{self.total}", clock(now - self.start), self._speed(rate), left, note)
        return f"{self.what}: {', '.join(fact for fact in facts if fact)}"

    def _rate(self, done: int, now: float) -> float:
        elapsed = now - self.start
        return (done - self.begun_at) / elapsed if elapsed > 0 else 0.0

    def _speed(self, rate: float) -> str:
        return f"{rate:.1f} {self.unit}/s" if self.unit and rate > 0 else ""


class _Bar(Meter):
    def __init__(self, what: str, total: int, done: int = 0, unit: str = "") -> None:
        super().__init__(what, total, done, unit)
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )  # fmt: skip
        self.task = self.bar.add_task(what, total=total, completed=done, note="")
        self.bar.start()

    def update(self, done: int, note: str = "") -> None:
        speed = self._speed(self._rate(done, time.monotonic()))
        self.bar.update(self.task, completed=done, note=", ".join(filter(None, (speed, note))))

    def close(self) -> None:
        self.bar.stop()


@contextmanager
def meter(what: str, total: int, done: int = 0, shown: bool = True, unit: str = "") -> Iterator[Meter]:
    """A meter for the length of a block; silent where ``shown`` is False (other workers)."""
    if not shown:
        yield _Silent(what, total)
        return
    made = (_Bar if sys.stderr.isatty() else Meter)(what, total, done, unit)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def meters() -> Iterator[Callable[[int, int, str], None]]:
    """``progress(done, total, what)`` for a block: a meter for each ``what``, one after the other."""
    with ExitStack() as stack:
        shown: Meter | None = None

        def progress(done: int, total: int, what: str) -> None:
            nonlocal shown
            if shown is None or shown.what != what:
                stack.close()  # a terminal shows one bar at a time
                shown = stack.enter_context(meter(what, total, done))
            shown.update(done)

        yield progress


class _Silent(Meter):
    def update(self, done: int, note: str = "") -> None:
        """Another worker reports."""


def say(line: str) -> None:
    """One plain line for the user, on standard error."""
    print(line, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """``75.2`` to ``1:15``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

"""Progress with an ETA: a bar on a terminal, a plain line now and then elsewhere.

Everything goes to standard error; standard output belongs to results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between two lines where there is no terminal.
LINE_INTERVAL_S = 10.0


class Meter:
    """One piece of long work; ``update(done, note)`` may be called as often as one likes."""

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self.what, self.total, self.begun_at = what, total, done
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
        elapsed = now - self.start
        rate = (done - self.begun_at) / elapsed if elapsed > 0 else 0.0
        left = f", {clock((self.total - done) / rate)} left" if rate > 0 and done < self.total else ""
        return f"{self.what}: {done}/{self.total}, {clock(elapsed)}{left}{', ' + note if note else ''}"


class _Bar(Meter):
    def __init__(self, what: str, total: int, done: int = 0) -> None:
        super().__init__(what, total, done)
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
        self.bar.update(self.task, completed=done, note=note)

    def close(self) -> None:
        self.bar.stop()


@contextmanager
def meter(what: str, total: int, done: int = 0, shown: bool = True) -> Iterator[Meter]:
    """A meter for the length of a block; silent where ``shown`` is False (other workers)."""
    if not shown:
        yield _Silent(what, total)
        return
    made = (_Bar if sys.stderr.isatty() else Meter)(what, total, done)
    try:
        yield made
    finally:
        made.close()


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

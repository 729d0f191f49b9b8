"""Files that are none: opening a named pipe to read waits until somebody writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def pipe(path: Path) -> Path:
    """A named pipe into which nobody writes."""
    os.mkfifo(path)
    return path


@contextmanager
def patience(seconds: int = 20) -> Iterator[None]:
    """A block that waits for ever fails after so many seconds; for the main thread."""

    def stop(*_: object) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

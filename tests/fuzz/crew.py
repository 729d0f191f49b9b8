"""Runs many damaged files through child processes, and names the file that takes one down."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Seconds that one clip of a few dozen small frames may take; it needs about a fiftieth of one.
LIMIT_S = 20.0

#: The modules that children run.
DECODING, READING = "tests.fuzz.decoding_child", "tests.fuzz.reading_child"


class Child:
    """One child process, running the given module, that is asked about one file at a time."""

    def __init__(self, module: str = DECODING) -> None:
        root = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.answers = selectors.DefaultSelector()
        self.answers.register(self.process.stdout, selectors.EVENT_READ)

    def ask(self, path: Path, limit_s: float) -> dict:
        """The child's verdict; ``{"wrong": [...]}`` alone where it hangs or dies."""
        try:
            self.process.stdin.write(f"{path}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"wrong": ["the process died before this file"]}
        if not self.answers.select(limit_s):
            return {"wrong": [f"no answer within {limit_s:g} s"]}
        line = self.process.stdout.readline()
        if not line:
            return {"wrong": [f"the process died: exit code {self.process.wait()}"]}
        return json.loads(line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.process.stdin.close()
        self.process.stdout.close()


def verdicts(
    paths: Iterable[Path], limit_s: float = LIMIT_S, module: str = DECODING
) -> Iterator[tuple[Path, dict]]:
    """Each file with its verdict; a child that hangs or dies is replaced."""
    child = Child(module)
    try:
        for path in paths:
            verdict = child.ask(path, limit_s)
            yield path, verdict
            if "ends" not in verdict:
                child.end()
                child = Child(module)
    finally:
        child.end()

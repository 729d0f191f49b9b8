"""``csv``: the steps of a run as a table for a spreadsheet, RUN/steps.csv.

It says what log.jsonl says. A run that starts makes it anew from there, so after a resume no step is in it
twice or missing, whatever became of the table meanwhile; then every step adds its line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec

from harness.results.atomic import write_atomically
from harness.results.run_files import LOG
from harness_observers.observer import Observer

TABLE = "steps.csv"

#: ``steps`` counts through all stages, ``step`` in its own.
COLUMNS = ("steps", "stage", "epoch", "step", "loss", "grad_norm", "lr", "seconds")


class Table(Observer):
    name = "csv"

    def run_started(self, payload: dict) -> None:
        log = Path(payload["folder"]) / LOG
        lines = log.read_bytes().splitlines() if log.exists() else []
        steps = [{"steps": number, **msgspec.json.decode(line)} for number, line in enumerate(lines, 1)]
        header = dict(zip(COLUMNS, COLUMNS))
        write_atomically(Path(payload["folder"]) / TABLE, _lines([header, *steps]))

    def step(self, payload: dict) -> None:
        # One write of one whole line, so that a reader or a kill finds no half of it.
        with (Path(payload["folder"]) / TABLE).open("ab", buffering=0) as file:
            file.write(_lines([payload]).encode())


def _lines(rows: Iterable[dict]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n").writerows(rows)
    return text.getvalue()


observer = Table()

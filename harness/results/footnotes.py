"""What a reader must know before comparing a row, one sentence each, measured and published rows alike.

Whether a row is stale depends on the recipes that are installed and not on its record, so `harness audit`
says it and no page does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.results.record import ResultRecord
from harness.results.table import Row, escape

# A footnote names so many clips; the record has them all.
NAMED_CLIPS = 5
#: Where a record's environment says which file imported scores came from.
IMPORTED_FILE, IMPORTED_SHA256 = "imported_file", "imported_sha256"


def row_notes(row: Row) -> list[str]:
    """The notes of a measured row on its data set's page."""
    notes = []
    for clips in dict.fromkeys(run.missing.test for run in row.runs if run.missing.test):
        named = ", ".join(escape(clip.id) for clip in clips[:NAMED_CLIPS])
        more = f" and {len(clips) - NAMED_CLIPS} more" if len(clips) > NAMED_CLIPS else ""
        fate = (
            "dropped with their queries, so both are fewer than the protocol has."
            if row.runs[0].missing.policy == "drop"
            else "counted as wrong; the number of queries is unchanged."
            if row.runs[0].metrics.figures
            else "ranked last as query and as ground truth; the number of queries is unchanged."
        )
        notes.append(f"{_plural(len(clips), 'test clip')} missing or undecodable ({named}{more}): {fate}")
    skipped = max(len(run.missing.train) for run in row.runs)
    if skipped:
        notes.append(f"{_plural(skipped, 'training clip')} missing or undecodable and skipped.")
    notes += flags(row.runs)
    notes += list(dict.fromkeys(escape(run.note) for run in row.runs if run.note.strip()))
    return notes


def overview_notes(row: Row) -> list[str]:
    """The notes of a measured row where only its main figure is shown."""
    fate = "count as wrong" if row.runs[0].metrics.figures else "are ranked last"
    lost = any(run.missing.test for run in row.runs)
    said = f"Some test clips were missing and {fate}; see the data set's page."
    budget = row.runs[0].budget
    allowed = [f"Trained for {escape(budget)} in all, not for the method's own epochs."] if budget else []
    return ([said] if lost else []) + allowed + flags(row.runs)


def published_notes(record: ResultRecord) -> list[str]:
    """Where a published row is from, and what must be known of it."""
    notes = [_source(record)]
    several = record.protocol.n_queries != record.protocol.n_gallery
    if record.metrics.v2t and several:
        notes.append(f"Video-to-text by {record.protocol.v2t.replace('_', ' ')}.")
    if record.note:
        notes.append(escape(record.note))
    return notes + _scored(record)


def overview_source(record: ResultRecord) -> list[str]:
    """The notes of a published row where only its main figure is shown."""
    return [_source(record), *_scored(record)]


def _source(record: ResultRecord) -> str:
    source = re.sub(r"\.$", "", escape(record.source))
    return f"Read: {source}." if record.confidence == "read" else f"From memory: {source}."


def flags(runs: Sequence[ResultRecord]) -> list[str]:
    """What is true of any of the runs, whatever page they stand on."""
    notes = [note for run in runs for note in (*_scored(run), *_imported(run))]
    if any(run.protocol.hash_status == "unverified" for run in runs):
        notes.append("The ids and texts of the test protocol were not verified.")
    if any(run.dirty for run in runs):
        notes.append("Measured with uncommitted changes in the source tree.")
    return list(dict.fromkeys(notes))


def _scored(run: ResultRecord) -> list[str]:
    processed = [] if run.postprocess == "none" else [f"Scores post-processed by {escape(run.postprocess)}."]
    chosen = ["The epoch was chosen by its score on the test set."] if run.selection == "test" else []
    return processed + chosen


def _imported(run: ResultRecord) -> list[str]:
    file, sha256 = (run.environment.get(name) for name in (IMPORTED_FILE, IMPORTED_SHA256))
    if file is None:
        return []
    return [
        f"Scores imported from {escape(file)} (SHA-256 {(sha256 or '?')[:12]}), not made by this harness."
    ]


def marked(notes: Sequence[str], footnotes: list[str]) -> str:
    """The marks of a row's notes; a note that ``footnotes`` lacks is added to them."""
    for note in notes:
        if note not in footnotes:
            footnotes.append(note)
    marks = ", ".join(map(str, sorted(footnotes.index(note) + 1 for note in notes)))
    return f" <sup>{marks}</sup>" if marks else ""


def numbered(footnotes: Sequence[str]) -> list[str]:
    """The lines below a table."""
    return [f"{number}. {note}" for number, note in enumerate(footnotes, start=1)]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

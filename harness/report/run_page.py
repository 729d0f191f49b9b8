"""The report of one run: what it was, how it scored, how it learned, and where it fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from harness.report.charts import Line, lines
from harness.report.folder import RunFolder
from harness.report.hard_queries import hardest
from harness.report.page import facts, figure, page, paragraph, section, table
from harness.report.pictures import Pictures
from harness.report.scores import probes, rank_charts, scores
from harness.results.curves import read_curve, thinned
from harness.results.record import MissingClip, ResultRecord
from harness.results.run_files import LOG
from harness.results.table import SELECTIONS, Row

#: Missing clips that a page names; the record has them all.
NAMED = 500
# Points of a learning curve.
_POINTS = 80


def run_page(run: RunFolder, pictures: Pictures, without: str) -> str:
    """The page of a run. ``without`` says why there are no pictures, empty where there are."""
    record = run.record
    title = f"{Row((record,)).name} on {record.dataset}"
    cases = "Hardest queries" if record.queries else "Examples"
    note = paragraph(f"Without pictures: {without}.") if without else ""
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="faint">{escape(_protocol(record))}</p>',
        _head(record),
        section("Scores", scores(record)),
        section("Ranks", rank_charts(record)),
        section("Sense of time", probes(record)),
        section("Learning", _learning(run)),
        section(cases, hardest(record, run.found, pictures), note),
        section("Missing clips", _missing(record)),
    ]
    return page(title, "\n".join(filter(None, body)))


def _protocol(record: ResultRecord) -> str:
    protocol = record.protocol
    asked = f"{protocol.n_queries} {protocol.query_unit}s, {protocol.n_gallery} clips"
    return f"{record.task}, protocol {protocol.name}: {asked}; ids and texts {protocol.hash_status}"


def _head(record: ResultRecord) -> str:
    commit = record.commit and record.commit[:12] + (" with uncommitted changes" if record.dirty else "")
    return facts(
        {
            "Seed": record.seed,
            "Commit": commit,
            "Created": record.created[:16].replace("T", " "),
            "Trained on": record.train_split,
            "Selection": SELECTIONS[record.selection],
            "Post-processing": record.postprocess,
            "Ties": record.ties,
            "Backbone": record.backbone,
            "Pretraining": record.pretraining,
            "Parameters": f"{record.parameters:,}" if record.parameters else None,
            "Frames": record.frames,
            "Pixels": record.resolution,
            "Text length (tokens)": record.text_length,
            "Batch": record.batch_size,
            "Workers": record.world_size,
            "Training time (s)": record.train_seconds,
            "GPU hours": record.gpu_hours,
            "Peak memory (MiB)": record.peak_memory_mb,
            "Recipe": record.recipe_digest[:12],
            **{_named_place(name): value for name, value in sorted(record.environment.items())},
            "Versions": ", ".join(f"{name} {value}" for name, value in sorted(record.versions.items())),
            "Note": record.note,
        }
    )


def _named_place(name: str) -> str:
    """Part of an environment, as a head has it; two letters are an abbreviation."""
    return name.upper() if len(name) < 3 else name.capitalize()


def _learning(run: RunFolder) -> str:
    """Loss and learning rate over the steps; nothing of a run that did not train."""
    if not (run.path / LOG).is_file():
        return ""
    drawn = []
    for value, name in (("loss", "Loss"), ("lr", "Learning rate")):
        curve = read_curve(str(run.path), value)
        size = math.ceil(len(curve.values) / _POINTS)
        means = thinned(curve, size)
        points = tuple(zip(map(float, means.steps), means.values, strict=True))
        each = f"every point the mean of {size} steps" if size > 1 else "every step"
        chart = lines([Line(name, points)], "step", value, f"{name} over steps")
        drawn.append(figure(chart, f"{name}: {len(curve.values)} steps, {each}"))
    return f'<div class="charts">{"".join(drawn)}</div>'


def _missing(record: ResultRecord) -> str:
    fate = {
        "worst": "counted as wrong" if record.queries is None else "ranked last",
        "drop": "dropped with their queries",
    }
    parts = []
    for what, clips in (
        (f"Test clips, {fate[record.missing.policy]}", record.missing.test),
        ("Training clips, skipped", record.missing.train),
    ):
        parts.append(_named(what, clips) if clips else "")
    return "".join(parts)


def _named(what: str, clips: Sequence[MissingClip]) -> str:
    more = paragraph(f"And {len(clips) - NAMED} more, in the record.") if len(clips) > NAMED else ""
    rows = [[clip.id, clip.reason] for clip in clips[:NAMED]]
    return f"<h3>{escape(what)}: {len(clips)}</h3>\n{table(['Clip', 'Reason'], rows, text=True)}{more}"

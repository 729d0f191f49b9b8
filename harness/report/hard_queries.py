"""The queries that a run ranks worst, with what it found instead; of other tasks the record's examples."""

from __future__ import annotations

from html import escape

import numpy as np

from harness.report.page import paragraph
from harness.report.pictures import Pictures
from harness.results.ranks import Counts, ranks
from harness.results.record import Example, ResultRecord
from harness.results.retrieved import RETRIEVED, Query, Retrieved

#: Queries on a page, and clips shown of what was retrieved for each.
HARDEST, SHOWN = 24, 5


def query_ranks(record: ResultRecord) -> np.ndarray:
    """Text-to-video ranks ``[Q]`` under the record's own tie policy."""
    assert record.queries is not None
    return ranks(Counts.unpack(record.queries.t2v), record.ties)


def hardest(record: ResultRecord, found: Retrieved | None, pictures: Pictures) -> str:
    """The worst ranks first, of equal ones the first query; queries of rank 1 are no hard ones."""
    if record.queries is None:
        return "".join(_example(example, pictures) for example in record.examples)
    if found is None:
        return paragraph(f"What was retrieved is not known: the run left no {RETRIEVED}. Evaluate it again.")
    places = query_ranks(record)
    worst = [index for index in np.argsort(-places, kind="stable") if places[index] > 1]
    if not worst:
        return paragraph("Every query finds its clip first.")
    said = f"{len(worst)} of {len(places)} queries do not find their clip first; the hardest {min(HARDEST, len(worst))}:"
    cases = (_case(record, found, index, places[index], pictures) for index in worst[:HARDEST])
    return paragraph(said) + "".join(cases)


def _case(record: ResultRecord, found: Retrieved, index: int, rank: float, pictures: Pictures) -> str:
    query = found.queries[index]
    lost = {clip.id: clip.reason for clip in record.missing.test}
    note = f" · its clip is missing: {lost[query.clip]}" if query.clip in lost else ""
    return (
        f'<div class="case"><p>{escape(query.text)}</p>\n'
        f'<div class="rank">rank {rank:g} of {len(found.gallery)}{escape(note)}</div>\n'
        f'<div class="row">{pictures.tile(query.clip, "meant", meant=True)}'
        f"{tiles(found, query, pictures)}</div></div>\n"
    )


def tiles(found: Retrieved, query: Query, pictures: Pictures, shown: int = SHOWN) -> str:
    """The first clips that were retrieved, with place and score; the right one is marked."""
    hits = zip(found.clips(query), query.scores, strict=True)
    return "".join(
        pictures.tile(clip, f"{place} · {score:.3g}", meant=clip == query.clip)
        for place, (clip, score) in enumerate(list(hits)[:shown], start=1)
    )


def _example(example: Example, pictures: Pictures) -> str:
    """What was said of a clip, beside it; right where it is word by word what was meant."""
    right = " ".join(example.said.lower().split()) == " ".join(example.meant.lower().split())
    asked = f"<p>{escape(example.asked)}</p>\n" if example.asked else ""
    return (
        f'<div class="case">{asked}<div class="sides">{pictures.tile(example.clip, "")}\n<dl>'
        f'<div><dt>said</dt><dd class="{"right" if right else "wrong"}">{escape(example.said or "nothing")}</dd></div>'
        f"<div><dt>meant</dt><dd>{escape(example.meant)}</dd></div></dl></div></div>\n"
    )

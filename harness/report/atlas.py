"""The failure atlas: queries that only one of two runs solves, with what each retrieved instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from harness.errors import HarnessError
from harness.report.folder import RunFolder
from harness.report.hard_queries import query_ranks, tiles
from harness.report.page import page, paragraph, section, table
from harness.report.pictures import Pictures
from harness.results.compare import compare
from harness.results.ranks import hits
from harness.results.retrieved import RETRIEVED
from harness.results.sides import Side

#: Queries of a group, and clips of each side, that a page shows.
CASES, SHOWN = 24, 3


@dataclass(frozen=True)
class Groups:
    """Indices of the queries, in the order in which they are worth a look: the widest difference of ranks
    first, or the worst ranks where both are wrong."""

    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    neither: tuple[int, ...]
    both: tuple[int, ...]


def check_sides(a: RunFolder, b: RunFolder) -> None:
    """Raises HarnessError where two runs have no atlas, before any video is opened."""
    for run in (a, b):
        if run.record.queries is None:
            raise HarnessError(
                f"{run.path}: the task {run.record.task} has no ranks",
                "an atlas shows what was retrieved; compare without --atlas",
            )
        if run.found is None:
            raise HarnessError(
                f"{run.path} has no {RETRIEVED}, which tells what was retrieved",
                f"evaluate it again: `harness evaluate {run.path} --dataset {run.record.dataset}`",
            )
    compare(_side(a), _side(b), ("t2v",))  # refuses what was asked otherwise
    if [query.id for query in a.found.queries] != [query.id for query in b.found.queries]:
        raise HarnessError(f"{a.path} and {b.path} have their queries in another order", "evaluate one again")


def group(a: RunFolder, b: RunFolder) -> Groups:
    """Who solves what: a query is solved where its clip is the first."""
    one, other = query_ranks(a.record), query_ranks(b.record)
    right, also = hits(one, 1, a.record.ties), hits(other, 1, b.record.ties)

    def ordered(chosen: np.ndarray, worst: np.ndarray) -> tuple[int, ...]:
        return tuple(int(index) for index in np.argsort(-worst, kind="stable") if chosen[index])

    return Groups(
        only_a=ordered(right & ~also, other),
        only_b=ordered(also & ~right, one),
        neither=ordered(~right & ~also, one + other),
        both=ordered(right & also, one),
    )


def atlas(a: RunFolder, b: RunFolder, pictures: Pictures, without: str) -> str:
    """The page of two runs that :func:`check_sides` has let through. ``without`` says why there are no
    pictures, empty where there are."""
    names = [f"A: {_side(a).name}", f"B: {_side(b).name}"]
    found = group(a, b)
    places = [query_ranks(run.record) for run in (a, b)]
    asked = len(places[0])
    counts = [
        ["Both right", len(found.both)],
        ["Only A right", len(found.only_a)],
        ["Only B right", len(found.only_b)],
        ["Both wrong", len(found.neither)],
    ]
    rows = [[name, str(count), f"{100 * count / asked:.1f} %"] for name, count in counts]
    title = f"Failure atlas on {a.record.dataset}"
    body = [
        f"<h1>{escape(title)}</h1>",
        *(paragraph(name) for name in names),
        paragraph("A query is right where the clip that it describes is retrieved first. Text to video."),
        table(["Queries", "Count", "Share"], rows),
        paragraph(f"Without pictures: {without}.") if without else "",
    ]
    for what, indices in (("Only A", found.only_a), ("Only B", found.only_b), ("Both wrong", found.neither)):
        said = f"The first {CASES} of {len(indices)}." if len(indices) > CASES else ""
        cases = [_case(a, b, index, places, pictures) for index in indices[:CASES]]
        body.append(section(f"{what}: {len(indices)}", paragraph(said) if said else "", *cases))
    return page(title, "\n".join(filter(None, body)))


def _case(a: RunFolder, b: RunFolder, index: int, places: Sequence[np.ndarray], pictures: Pictures) -> str:
    query = a.found.queries[index]
    sides = "".join(
        f'<div><h4>{name}: rank <span class="{"right" if rank[index] == 1 else "wrong"}">{rank[index]:g}</span></h4>'
        f'<div class="row">{tiles(run.found, run.found.queries[index], pictures, SHOWN)}</div></div>\n'
        for name, run, rank in zip("AB", (a, b), places, strict=True)
    )
    meant = pictures.tile(query.clip, "meant", meant=True)
    return (
        f'<div class="case"><p>{escape(query.text)}</p>\n<div class="row">{meant}</div>\n'
        f'<div class="sides">{sides}</div></div>'
    )


def _side(run: RunFolder) -> Side:
    return Side((run.record,))

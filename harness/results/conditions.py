"""The tables of a data set: which rows share one, which is the default, and in what the others differ.

Default is, for each task, the table that a reader who has not asked for anything special wants to see.
Published rows state less than a hard key, so they join the first measured table that they may belong to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from harness.results.record import ResultRecord
from harness.results.row_keys import HardKey, hard_key
from harness.results.table import escape

#: What is ranked: a text among clips, and back. Other units belong to tasks with figures of their own.
RANKED = ("sentence", "paragraph")

#: What a plain heading promises, whatever tables there are: anything else is said in the heading.
_PLAIN = {"postprocess": "none", "ties": "average", "missing": "worst"}

Key = TypeVar("Key", bound=Hashable)


class Stated(NamedTuple):
    """What a paper states of the table that its rows belong to: a part of the hard key."""

    task: str
    protocol: str
    query_unit: str
    n_queries: int
    n_gallery: int
    postprocess: str


def stated(key: HardKey) -> Stated:
    return Stated(*(getattr(key, name) for name in Stated._fields))


@dataclass(frozen=True)
class Table:
    """The rows of one hard key, or published rows alone, of which no more is known than ``stated``."""

    stated: Stated
    key: HardKey | None
    measured: tuple[ResultRecord, ...]
    published: tuple[ResultRecord, ...]

    @property
    def ranked(self) -> bool:
        return self.stated.query_unit in RANKED

    def parts(self) -> dict[str, Any]:
        """What is known of the hard key, the data set apart, in its order."""
        known = (self.key or self.stated)._asdict()
        return {name: known[name] for name in HardKey._fields if name in known and name != "dataset"}


def partition(pairs: Iterable[tuple[Key, ResultRecord]]) -> dict[Key, list[ResultRecord]]:
    """The records of each key, keys and records in the order in which they come."""
    parts: dict[Key, list[ResultRecord]] = defaultdict(list)
    for key, record in pairs:
        parts[key].append(record)
    return dict(parts)


def tables(records: Sequence[ResultRecord]) -> list[Table]:
    """The tables of one data set, the default one of each task before its others.

    First come those of ranks, the whole gallery, plain scores and average ties; among these the measured
    before what was only published, and the one with most methods.
    """
    measured = partition((hard_key(record), record) for record in records if record.kind == "measured")
    quoted = partition((stated(hard_key(record)), record) for record in records if record.kind == "published")

    def order(key: HardKey) -> tuple[object, ...]:
        # Published rows join the first that fits, so the more usual ones must come first.
        plain = (key.query_unit in RANKED, key.missing == "worst", key.postprocess == "none")
        return (*(not part for part in (*plain, key.ties == "average")), -_methods(measured[key]), key)

    def usual(of: Stated) -> tuple[object, ...]:
        return of.query_unit not in RANKED, of.postprocess != "none", -_methods(quoted[of]), of

    found = []
    for key in sorted(measured, key=order):
        # Beside rows whose missing clips were left out a published row would look comparable.
        joined = quoted.pop(stated(key), []) if key.missing == "worst" else []
        found.append(Table(stated(key), key, tuple(measured[key]), tuple(joined)))
    found += [Table(of, None, (), tuple(quoted[of])) for of in sorted(quoted, key=usual)]
    return found


def _methods(records: Sequence[ResultRecord]) -> int:
    return len({record.method for record in records})


def headings(found: Sequence[Table]) -> list[str]:
    """The heading of each table of a data set: its name, and every part of the hard key in which it
    differs from the default table of its task."""
    default: dict[str, dict[str, Any]] = {}
    for table in found:
        default.setdefault(table.stated.task, {**table.parts(), **_PLAIN})
    first = found[0].stated.task if found else ""
    titles = []
    for table in found:
        usual = default[table.stated.task]
        other = [_SAID[n](v) for n, v in table.parts().items() if n in usual and usual[n] != v]
        titles.append(_name(table, first) + (f"; differs in: {', '.join(other)}" if other else ""))
    return titles


def _name(table: Table, first: str) -> str:
    """Protocol and size, with the task where it is not the first one of the page."""
    of = table.stated
    # One name where the protocol is called after the task.
    names = dict.fromkeys((of.protocol,) if table.ranked and of.task == first else (of.task, of.protocol))
    asked = {"question": f"{of.n_queries} questions about ", "clip": ""}
    size = asked.get(of.query_unit, f"{of.n_queries} {of.query_unit}s x ")
    return f"{', '.join(map(escape, names))}: {size}{of.n_gallery} videos"


_SAID: dict[str, Callable[[Any], str]] = {
    "task": lambda value: f"task {escape(value)}",
    "protocol": lambda value: f"protocol {escape(value)}",
    "ids_texts_hash": lambda value: f"texts `{value[:12]}`" if value else "texts unknown",
    "n_queries": lambda value: f"{value} queries",
    "n_gallery": lambda value: f"{value} videos",
    "query_unit": lambda value: f"{value}s as queries",
    "v2t": lambda value: f"video-to-text by {escape(value.replace('_', ' '))}",
    "postprocess": lambda value: f"post-processing {escape(value)}",
    "ties": lambda value: f"ties {escape(value)}",
    "missing": lambda value: "missing clips dropped: not comparable" if value == "drop" else "none dropped",
}


def conditions(table: Table) -> str:
    """All that is known of what was asked, in one line below the heading."""
    of, key = table.stated, table.key
    said = [f"Task: {escape(of.task)}."]
    if table.ranked:
        said.append(f"Post-processing: {escape(of.postprocess)}.")
    if key:
        if table.ranked:
            said.append(f"Ties: {escape(key.ties)}. Video-to-text by {key.v2t.replace('_', ' ')}.")
        status = ", ".join(sorted({record.protocol.hash_status for record in table.measured}))
        texts = f"`{key.ids_texts_hash[:12]}` ({status})" if key.ids_texts_hash else "unverified"
        said.append(f"Ids and texts: {texts}.")
    return " ".join(said)

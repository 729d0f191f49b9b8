"""The rows of a data set's page as CSV, a line for each run and each published row, at full precision.

A run's line ends with its record's place and digest. So whatever is changed in a record, the order of two
queries or a hash that nothing else follows from, this file no longer follows from it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from harness.results.conditions import tables
from harness.results.dataset_page import sections
from harness.results.digest import sha256_text
from harness.results.record import DIRECTIONS, ResultRecord
from harness.results.record_file import dumps, record_path
from harness.results.row_keys import HardKey, hard_key

#: The columns of every such file; the figures that its rows have follow.
COLUMNS = (
    *HardKey._fields,
    "train_split",
    "selection",
    "kind",
    "method",
    "variant",
    "budget",
    "seed",
    "recipe_digest",
    "source",
    "confidence",
    "recalled_fields",
)
#: The last columns: the place of a run's record in the leaderboards' folder, and the SHA-256 of its text.
RECORD = ("record", "record_sha256")
#: How each of these files begins, and nothing else that lies beside them.
START = ",".join(COLUMNS)


def sheet(records: Sequence[ResultRecord]) -> str:
    """The rows in the order of the page's tables. A published row leaves empty what it does not state."""
    names = list(dict.fromkeys(name for record in records for name in _figures(record)))
    names.sort(key=lambda name: _GROUPS.index(name.partition(".")[0]))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *names, *RECORD], lineterminator="\n")
    writer.writeheader()
    for table in tables(records):
        for runs in sections(table.measured).values():
            writer.writerows(map(_line, sorted(runs, key=_order)))
        writer.writerows(map(_line, sorted(table.published, key=_order)))
    return text.getvalue()


_GROUPS = (*DIRECTIONS, "contrasts", "figures", "probes")


def _line(record: ResultRecord) -> dict[str, object]:
    key = hard_key(record)._asdict()
    if record.kind == "published":  # a record fills these with what a measured row would have
        key |= dict.fromkeys(("ids_texts_hash", "ties", "missing"), "")
        key["v2t"] = key["v2t"] if record.metrics.v2t else ""
    own = {name: getattr(record, name) for name in COLUMNS if name not in key}
    own["recalled_fields"] = " ".join(record.recalled_fields)
    return {**key, **own, **_figures(record), **_kept(record)}


def _kept(record: ResultRecord) -> dict[str, str]:
    """Where the record lies and what is in it; nothing of a published row, which has none."""
    if record.kind == "published":
        return dict.fromkeys(RECORD, "")
    return dict(zip(RECORD, (record_path(".", record).as_posix(), sha256_text(dumps(record))), strict=True))


def _figures(record: ResultRecord) -> dict[str, float]:
    """Every figure by its place in the record."""
    groups = {name: getattr(record.metrics, name) for name in _GROUPS[:-1]}
    for probe, found in sorted(record.probes.items()):
        groups |= {f"probes.{probe}.{part}": getattr(found.metrics, part) for part in ("t2v", "figures")}
    return {f"{group}.{name}": value for group, figures in groups.items() for name, value in _sorted(figures)}


def _sorted(figures: dict[str, float]) -> Iterable[tuple[str, float]]:
    return sorted(figures.items(), key=lambda item: (len(item[0]), item[0]))  # R@5 before R@10


def _order(record: ResultRecord) -> tuple[str, ...]:
    return (
        record.method,
        record.variant,
        record.recipe_digest,
        f"{record.seed or 0:012d}",
        record.train_split,
        record.source,
        str(record.backbone),
        str(record.metrics),
    )

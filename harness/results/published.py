"""Results from the literature: a YAML file of rows, read strictly, and their copies beside the records.

A file is a mapping of rows by a name of their own; the names are for messages, for review and for
`harness prove --row`::

    meanp-9k:
      method: mean_pool            # the harness's own names: method, dataset, protocol, train_split
      dataset: clips
      protocol: test
      n_queries: 1000
      n_gallery: 1000
      train_split: train           # or none: nothing was trained on this data set
      backbone: ViT-B/32
      t2v: {R@1: 43.1, R@5: 70.4, R@10: 80.8, MdR: 2, MnR: 16.2}
      v2t: {R@1: 43.1, R@5: 70.5}
      source: the paper, table 2
      confidence: read             # or recalled: from memory, not read again
      recalled_fields: [v2t.R@5]   # figures of a row that was read which are from memory
      recipe: [published]          # what `harness prove` lays over the method's recipe to repeat the row

A figure stands under its own k and nowhere else: who reports R@50 in place of R@10 has no R@10. Rows
of a task without ranks have ``figures: {CIDEr: 74.9}`` in place of both directions, the main one first.
``recipe`` names variants of the method, none of them where its own recipe is the published one; without
the field nothing is known to repeat the row. Protocol, train split and post-processing are the row's own.
:class:`PublishedRow` has all fields. The leaderboard's pages are made from copies in
``leaderboards/published``, so that they follow from that folder whatever is installed.
Not covered: whether the data set that a row names exists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from harness.errors import HarnessError
from harness.names import plain
from harness.plan import yaml_io
from harness.plugins import Registry
from harness.results.atomic import write_atomically
from harness.results.record import (
    DIRECTIONS,
    Metrics,
    Protocol,
    QueryUnit,
    ResultRecord,
    Selection,
    V2TProtocol,
)

#: The ``train_split`` of a model that has seen nothing of the data set.
ZERO_SHOT = "none"

#: What messages call such a file.
WHAT = "published results"
Count = Annotated[int, msgspec.Meta(ge=1)]
_FIGURE = re.compile(r"R@[1-9][0-9]*|MdR|MnR")


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting of one method as one source reports it, both directions where it has them.

    Units are those of :class:`harness.results.record.ResultRecord`: recalls in percent, ``MdR`` and
    ``MnR`` as ranks from 1. ``v2t_protocol`` must be said where video-to-text figures are of clips
    with several texts each, where the two definitions differ.
    """

    method: str
    dataset: str
    protocol: str
    n_queries: Count
    n_gallery: Count
    train_split: str
    source: str
    confidence: Literal["read", "recalled"]
    t2v: dict[str, float] = {}
    v2t: dict[str, float] = {}
    figures: dict[str, float] = {}
    recalled_fields: tuple[str, ...] = ()
    task: str = "retrieval"
    query_unit: QueryUnit = "sentence"
    v2t_protocol: V2TProtocol | None = None
    postprocess: str = "none"
    selection: Selection = "unknown"
    backbone: str | None = None
    pretraining: str | None = None
    frames: Count | None = None
    resolution: Count | None = None
    note: str = ""
    recipe: tuple[str, ...] | None = None


class Entry(NamedTuple):
    """A row of an installed plugin.

    ``name`` is that of its set and its own, such as ``paper/meanp-9k``; ``recipe`` as in :class:`PublishedRow`.
    """

    name: str
    record: ResultRecord
    recipe: tuple[str, ...] | None


def read(path: Path, shown: str) -> dict[str, ResultRecord]:
    """The rows of a file by their names; ``shown`` is the file's name in messages.

    Raises HarnessError that names file and line, row and field.
    """
    return {name: record for name, record, _ in _entries(path, shown)}


def installed(registry: Registry) -> list[Entry]:
    """Every row of every installed plugin, by set and then in the order of the file."""
    names = sorted({spec.name for spec, _ in registry.specs("published results")})
    specs = [registry.find("published results", name)[0] for name in names]  # refuses a name declared twice
    return [
        Entry(f"{spec.name}/{name}", record, recipe)
        for spec in specs
        for name, record, recipe in _entries(*yaml_io.locate(spec.rows, WHAT))
    ]


def export(registry: Registry, leaderboards: str | os.PathLike[str]) -> list[Path]:
    """Copy the rows of every installed plugin to ``leaderboards/published/<name>.yaml``.

    Returns the files that changed, sorted. All are read before the first is written. The copy of a
    plugin that is not installed here is left, since its rows are no less published.
    """
    changed = outdated(registry, leaderboards)
    for copy, text in changed.items():
        write_atomically(copy, text)
    return [*changed]


def outdated(registry: Registry, leaderboards: str | os.PathLike[str]) -> dict[Path, str]:
    """The copies that are missing or other than the rows of the installed plugins, sorted, and what they
    should be."""
    texts: dict[Path, str] = {}
    for name in sorted({plain(spec.name) for spec, _ in registry.specs("published results")}):
        spec, _ = registry.find("published results", name)  # refuses a name that is declared twice
        path, shown = yaml_io.locate(spec.rows, WHAT)
        read(path, shown)
        origin = f"# copied by `harness leaderboard` from {spec.rows}, edit it there\n"
        texts[Path(leaderboards) / "published" / f"{name}.yaml"] = origin + path.read_text("utf-8")
    return {
        copy: text
        for copy, text in sorted(texts.items())
        if not copy.is_file() or copy.read_bytes() != text.encode("utf-8")
    }


def read_copies(leaderboards: str | os.PathLike[str]) -> list[ResultRecord]:
    """All rows under ``leaderboards/published``, by file name and then in the order of the file."""
    files = sorted((Path(leaderboards) / "published").glob("*.yaml"))
    return [record for path in files for record in read(path, str(path)).values()]


def count_lines(records: Iterable[ResultRecord]) -> list[str]:
    """How many rows there are of each data set and protocol, and how many of them were read."""
    tables: dict[str, list[ResultRecord]] = {}
    for record in records:
        tables.setdefault(f"{record.dataset} {record.protocol.name}", []).append(record)
    return [
        f"{table}: {len(rows)} rows, {sum(row.confidence == 'read' for row in rows)} of them read in their source"
        for table, rows in sorted(tables.items())
    ]


def _entries(path: Path, shown: str) -> list[Entry]:
    """The rows of one file, each under its name there."""
    values, origins = yaml_io.read(path, shown, WHAT)
    entries: list[Entry] = []
    seen: dict[tuple[Any, ...], str] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise HarnessError(f"{shown}: row {name!r}: the name is no text", "start it with a letter")
        row = _row(value, name, origins)
        entries.append(Entry(name, _record(row, name, origins), row.recipe))
        earlier = seen.setdefault(_setting(row), name)
        if earlier != name:
            raise _mistake(f"is the same setting as row '{earlier}'", name, "", origins)
    if not entries:
        raise HarnessError(f"{WHAT} {shown} has no row", "write a row as `name: {method: ...}`")
    return entries


def _row(value: Any, name: str, origins: yaml_io.Origins) -> PublishedRow:
    try:
        row = msgspec.convert(value, PublishedRow, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        field = re.sub(r"^\$\.?|\[.*|`$", "", place)
        missing = re.search(r"(?:missing required|unknown) field `(.+?)`", message)
        hint = ""
        if missing:
            field = missing.group(1)
            message = "is missing" if "missing" in message else "there is no such field"
            hint = f"fields: {', '.join(PublishedRow.__struct_fields__)}"
        raise _mistake(message[0].lower() + message[1:], name, field, origins, hint) from error
    for field, message in _contradictions(row):
        raise _mistake(message, name, field, origins)
    return row


def _contradictions(row: PublishedRow) -> Iterable[tuple[str, str]]:
    """Field and mistake, for what is well formed and still cannot be."""
    parts = (*DIRECTIONS, "figures")
    given = [f"{part}.{name}" for part in parts for name in getattr(row, part)]
    if row.figures and (row.t2v or row.v2t):
        yield "figures", "a task without ranks has no figures in t2v and v2t"
    for direction in DIRECTIONS:
        for message in _impossible(getattr(row, direction), max(row.n_queries, row.n_gallery)):
            yield direction, message
    if not given:
        yield "t2v", "there is no figure in either direction"
    for figure in row.recalled_fields:
        if figure not in given:
            yield "recalled_fields", f"'{figure}' is no figure of the row, write for example t2v.MdR"
    if row.recalled_fields and row.confidence == "recalled":
        yield "recalled_fields", "the whole row is recalled, leave this field out"
    if given and set(given) == set(row.recalled_fields):
        yield "confidence", "every figure is recalled, so the row is"
    if row.v2t and row.n_queries != row.n_gallery and row.v2t_protocol is None:
        yield "v2t_protocol", "clips have several texts, say caption_rank or group_rank"


def _impossible(figures: dict[str, float], entries: int) -> Iterable[str]:
    """Mistakes in the figures of one direction, such as digits that changed places."""
    for name, value in figures.items():
        if not _FIGURE.fullmatch(name):
            yield f"'{name}' is no figure, write R@k, MdR or MnR"
        elif name in ("MdR", "MnR") and value > entries:
            yield f"{name} is {value}, but there are no more than {entries} entries to rank"
    try:
        Metrics(t2v=figures)
    except ValueError as error:
        yield str(error)
    recalls = sorted((int(name[2:]), value) for name, value in figures.items() if name.startswith("R@"))
    for (low, fewer), (high, more) in pairwise(recalls):
        if fewer > more:
            yield f"R@{low} is {fewer}, more than R@{high} with {more}"


def _record(row: PublishedRow, name: str, origins: yaml_io.Origins) -> ResultRecord:
    try:
        protocol = Protocol(
            name=row.protocol,
            query_unit=row.query_unit,
            n_queries=row.n_queries,
            n_gallery=row.n_gallery,
            v2t=row.v2t_protocol or "caption_rank",
        )
        return ResultRecord(
            kind="published",
            protocol=protocol,
            metrics=Metrics(t2v=row.t2v, v2t=row.v2t, figures=row.figures, main=next(iter(row.figures), "")),
            **{field: getattr(row, field) for field in _SAME},
        )
    except ValueError as error:  # its message names the field
        raise _mistake(str(error), name, "", origins) from error


#: Fields of a row that a record has too, with the same meaning.
_SAME = tuple(
    field
    for field in PublishedRow.__struct_fields__
    if field in ResultRecord.__struct_fields__ and field != "protocol"
)


def _setting(row: PublishedRow) -> tuple[Any, ...]:
    """What two rows of a file may not both have: it would be one setting with two results."""
    unlike = ("t2v", "v2t", "figures", "confidence", "recalled_fields", "note", "recipe")
    return tuple(getattr(row, field) for field in row.__struct_fields__ if field not in unlike)


def _mistake(
    message: str, name: str, field: str, origins: yaml_io.Origins, hint: str = "correct the row there"
) -> HarnessError:
    path = (name, *field.split(".")) if field else (name,)
    # A field that is not there stands nowhere; then the row's first line is the nearest place.
    places = [origin for known, origin in origins.items() if known[: len(path)] == path]
    places += [origin for known, origin in origins.items() if known[:1] == (name,)]
    what = f"row '{name}'" + (f", field '{field}'" if field else "")
    return HarnessError(f"{places[0]}: {what}: {message}", hint or "correct the row there")

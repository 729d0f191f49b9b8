"""What two rows must share: to stand in one table, and to be ranked against each other in it."""

from __future__ import annotations

from typing import NamedTuple

from harness.results.record import MissingPolicy, ResultRecord


class HardKey(NamedTuple):
    """What two rows must share to stand in one table."""

    dataset: str
    task: str
    protocol: str
    ids_texts_hash: str
    n_queries: int
    n_gallery: int
    query_unit: str
    v2t: str
    postprocess: str
    ties: str
    missing: MissingPolicy


class Section(NamedTuple):
    """What two rows must share to be ranked against each other inside a table."""

    train_split: str
    selection: str


def hard_key(record: ResultRecord) -> HardKey:
    """The table a record belongs to."""
    protocol = record.protocol
    return HardKey(
        dataset=record.dataset,
        task=record.task,
        protocol=protocol.name,
        ids_texts_hash=protocol.ids_texts_hash,
        n_queries=protocol.n_queries,
        n_gallery=protocol.n_gallery,
        query_unit=protocol.query_unit,
        v2t=protocol.v2t,
        postprocess=record.postprocess,
        ties=record.ties,
        missing=record.missing.policy,
    )


def section(record: ResultRecord) -> Section:
    """The part of its table a record belongs to."""
    return Section(record.train_split, record.selection)

"""The protocol as it was really used: what a test asked, and whether that is what its data set states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.results.digest import texts_hash
from harness.results.record import Protocol
from harness.specs import ProtocolSpec

if TYPE_CHECKING:
    from harness.plan.run_plan import Protocol as PlannedProtocol


def as_used(
    stated: ProtocolSpec | PlannedProtocol,
    texts: Iterable[tuple[str, str, str]],
    clips: Sequence[str],
    queries: int,
) -> Protocol:
    """``texts`` are (text id, text, clip id) in any order, ``clips`` the ids of the gallery.

    The hash is ``verified`` where the data set states it and it agrees, ``unverified`` where it does
    not, ``computed`` where none is stated.
    """
    found = texts_hash(texts, clips)
    status = (
        "computed" if not stated.texts_hash else "verified" if found == stated.texts_hash else "unverified"
    )
    return Protocol(
        name=stated.name,
        query_unit=stated.query_unit,
        n_queries=queries,
        n_gallery=len(clips),
        ids_texts_hash=found,
        hash_status=status,
    )

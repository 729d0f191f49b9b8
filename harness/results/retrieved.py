"""What a run found for every text query: the first clips of its gallery, in the run folder.

A record knows the rank of each query, not what stood before the right clip. This file does, beside the
record, so that pages can show it. About 250 bytes for each query.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness.errors import HarnessError
from harness.results.digest import texts_hash
from harness.results.record import ResultRecord
from harness.results.score_matrix import BLOCK_ELEMENTS

#: Its name in the folder of a run.
RETRIEVED = "retrieved.json"

#: So many clips are kept for each query.
TOP = 10


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A text that asks for ``clip``. ``found`` are places in the gallery, best first, with their ``scores``
    as the ranks were counted on (six digits); of equal scores the first of the gallery leads."""

    id: str
    text: str
    clip: str
    found: tuple[int, ...]
    scores: tuple[float, ...]


class Retrieved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``queries`` in the order of the record's counts, ``gallery`` the ids of all clips that were ranked,
    missing ones included."""

    gallery: tuple[str, ...]
    queries: tuple[Query, ...]

    def clips(self, query: Query) -> list[str]:
        """The ids of what was found, best first."""
        return [self.gallery[place] for place in query.found]


def best_clips(
    scores: np.ndarray,
    missing: np.ndarray,
    texts: Sequence[tuple[str, str, str]],
    gallery: Sequence[str],
) -> Retrieved:
    """The :data:`TOP` clips of every row of ``scores [texts, clips]``; ``missing`` ones (bool ``[clips]``)
    are never among them. ``texts`` are (text id, text, clip id).

    Reads the matrix in blocks of rows. There is no NaN in it.
    """
    present = np.flatnonzero(~missing)
    top = min(TOP, len(present))
    queries = []
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    for start in range(0, len(scores), step):
        block = scores[start : start + step][:, present]
        least = np.partition(block, -top, axis=1)[:, -top]
        for row, bound, (name, text, clip) in zip(block, least, texts[start : start + step], strict=True):
            among = np.flatnonzero(row >= bound)
            best = among[np.argsort(-row[among], kind="stable")][:top]
            queries.append(
                Query(
                    id=name,
                    text=text,
                    clip=clip,
                    found=tuple(present[best].tolist()),
                    scores=tuple(float(f"{score:.6g}") for score in row[best]),
                )
            )
    return Retrieved(gallery=tuple(gallery), queries=tuple(queries))


def dumps(retrieved: Retrieved) -> bytes:
    """The bytes of the file."""
    return msgspec.json.encode(retrieved) + b"\n"


def read(folder: Path, record: ResultRecord) -> Retrieved | None:
    """What the run in ``folder`` found, None where it has not left it.

    Raises HarnessError for a file that is damaged or does not belong to ``record``.
    """
    file = folder / RETRIEVED
    if not file.is_file():
        return None
    hint = "evaluate the run again: `harness evaluate RUN --dataset NAME`"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Retrieved)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{file} does not tell what was retrieved: {error}", hint) from error
    if any(not 0 <= place < len(found.gallery) for query in found.queries for place in query.found):
        raise HarnessError(f"{file} names clips beyond its gallery", hint)
    texts = [(query.id, query.text, query.clip) for query in found.queries]
    if texts_hash(texts, found.gallery) != record.protocol.ids_texts_hash:
        raise HarnessError(f"{file} does not belong to the record beside it: other texts or clips", hint)
    return found

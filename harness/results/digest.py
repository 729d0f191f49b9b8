"""One way to write JSON, and SHA-256 of what is written.

Two values that are equal as JSON have the same digest: keys are sorted, nothing depends on
the machine, and NaN or infinity, which JSON lacks, are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from harness.errors import HarnessError


def canonical_json(value: Any) -> str:
    """Compact JSON with sorted keys, for hashing. ``value`` consists of plain JSON types."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def readable_json(value: Any) -> str:
    """The same with two spaces of indent and a newline at the end, for files under review."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; reads it in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, 64 hex digits."""
    return sha256_text(canonical_json(value))


def recipe_digest(plan: str, trained: str, texts: str) -> str:
    """What tells one row from another: the digests of the plan and of the plan that the model was trained
    by, and the hash of the test texts, so that a smoke test on a few clips never replaces a real result."""
    return digest({"plan": plan, "trained": trained, "texts": texts})


def file_digest(recipe: str, checkpoint: str) -> str:
    """What tells a row of a checkpoint file from those of others: nobody knows how it was trained, so the hash of
    the file stands for that beside the ``recipe`` digest of its evaluation."""
    return digest([recipe, checkpoint])


def texts_hash(texts: Iterable[tuple[str, str, str]], gallery: Iterable[str] = ()) -> str:
    """The identity of a test protocol: which texts ask for which videos among which videos.

    ``texts`` are (text id, text, video id), in any order; ``gallery`` adds videos that no text
    describes. The text is hashed as it is: a changed comma or capital is another protocol.

    Raises HarnessError when a text id occurs twice.
    """
    rows = sorted([str(i), str(text), str(video)] for i, text, video in texts)
    for before, after in pairwise(rows):
        if before[0] == after[0]:
            raise HarnessError(
                f"the text id {after[0]!r} occurs twice in the protocol",
                "every query needs an id of its own",
            )
    videos = sorted({row[2] for row in rows} | {str(video) for video in gallery})
    return digest({"texts": rows, "gallery": videos})

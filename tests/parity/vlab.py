"""VLAB's golden folder, by kind.

Files are told apart by what is in them, never by name, so that others of the same format count.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.parity.golden import area, read_json

FOLDER = area("vlab")

#: Kind of JSON file to the keys that give it away.
KINDS: dict[str, set[str]] = {
    "captions": {"tokenized_references", "corpus"},
    "losses": {"logit_scale", "max_logit_scale", "labels"},
    "masking": {"mask_id", "allowed", "prompt"},
    "beam": {"max_len", "cases", "cls_id"},
}

#: What each case of a file of stages has.
_STAGES = {"config", "parameters", "stages"}


@cache
def listing() -> dict[str, list[Path]]:
    """Every JSON file of the folder and of the folders in it, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.rglob("*.json")):
        content = read_json(path)
        keys = content.keys() if isinstance(content, dict) else set()
        kinds = [kind for kind, wanted in KINDS.items() if wanted <= keys]
        if keys and all(isinstance(v, dict) and v.keys() >= _STAGES for v in content.values()):
            kinds = ["stages"]  # a case by name
        found.setdefault(kinds[0] if len(kinds) == 1 else "unknown", []).append(path)
    return found


def files(kind: str) -> list[Any]:
    """A parameter per file of a kind; where there is none, one that stands for the failure."""
    return [
        pytest.param(path, id=f"vlab-{kind}-{path.relative_to(FOLDER).with_suffix('')}")
        for path in listing().get(kind, [])
    ] or [pytest.param(None, id=f"vlab-{kind}-none-found")]

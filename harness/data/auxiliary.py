"""Files of further texts of clips, such as captions that a model made."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import HarnessError


def read_captions(path: Path) -> dict[str, str]:
    """The text of each clip by id, from JSON lines with ``clip_id`` and ``caption``."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = msgspec.json.decode(line)
        if "harness" in row:
            continue
        try:
            found[row["clip_id"]] = row["caption"]
        except KeyError as error:
            raise HarnessError(f"{path}, line {number}: no {error}", "write clip_id and caption") from error
    return found

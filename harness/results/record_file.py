"""Where a record lies, how its file reads, and reading it strictly."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from harness.errors import HarnessError
from harness.names import in_path
from harness.results.atomic import write_atomically
from harness.results.digest import readable_json
from harness.results.record import ResultRecord
from harness.results.row_keys import hard_key, section

#: Where they lie in a folder of leaderboards.
_RESULTS = "results"

_WRITABLE = "make it a folder that may be written to, or name another one with --leaderboards"


def record_path(leaderboards: str | os.PathLike[str], record: ResultRecord) -> Path:
    """Where a measured record is kept: ``results/<dataset>/<method>/<key>.json``.

    The key is made of recipe digest, seed and post-processing, so a rerun takes its
    predecessor's place. Raises HarnessError for a published row, which has no file of its own.
    """
    if record.kind != "measured":
        raise HarnessError(
            f"{record.method} on {record.dataset} is a published row and has no record file",
            "published rows are kept with their sources, not under results",
        )
    key = f"{record.recipe_digest[:12]}-s{record.seed}"
    if record.postprocess != "none":
        key += "-" + re.sub(r"[^a-z0-9.]+", "-", record.postprocess.lower()).strip("-.")
    return Path(leaderboards) / _RESULTS / in_path(record.dataset) / in_path(record.method) / f"{key}.json"


def dumps(record: ResultRecord) -> str:
    """The text of a record's file: sorted keys, two spaces of indent, newline at the end."""
    return readable_json(msgspec.to_builtins(record, str_keys=True))


def write(record: ResultRecord, path: str | os.PathLike[str]) -> Path:
    """Write a record, all or nothing, in place of an earlier one of the same run.

    Raises HarnessError, and leaves the file alone, when ``path`` holds a record that belongs to
    another table or section: replacing it would drop a row that this one does not stand for; and where
    it cannot be written.
    """
    path = Path(path)
    if path.exists():
        before = load(path)
        for old, new in zip(_place(before), _place(record), strict=True):
            if old != new:
                raise HarnessError(
                    f"{path} holds a result with {old[0]} {old[1]!r}, this one has {new[1]!r}",
                    "move or delete the old file if it is obsolete",
                )
    write_atomically(path, dumps(record), _WRITABLE)
    return path


def refuse_unwritable(leaderboards: str | os.PathLike[str]) -> None:
    """Refuse a folder that takes neither records nor pages, before the work that they come of.

    Nothing is made: of folders that are not there yet the nearest one that is has to take a file.
    """
    for folder in (Path(leaderboards), Path(leaderboards) / _RESULTS):
        nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            raise HarnessError(
                f"records cannot be written to {folder}: {nearest}: {error.strerror}", _WRITABLE
            ) from error


def load(path: str | os.PathLike[str]) -> ResultRecord:
    """Read a record strictly.

    Raises HarnessError that names the file and, as a JSON path, the place in it.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=ResultRecord)
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HarnessError(
            f"{path} is not a result record: {error}",
            "restore the file, or delete it and run the evaluation again",
        ) from error


def _place(record: ResultRecord) -> Iterable[tuple[str, object]]:
    """Everything that decides where a record is shown, by name."""
    return [*hard_key(record)._asdict().items(), *section(record)._asdict().items()]

"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import HarnessError

_HINT = "see that it is a file that may be changed, and that the disk is not full"


def write_atomically(path: str | os.PathLike[str], content: str | bytes, hint: str = _HINT) -> None:
    """Write bytes, or text as UTF-8, so that a reader sees the old or the new file, never a part of one.

    Raises HarnessError with the ``hint`` where that cannot be; the old file is then as it was.
    """
    path = Path(path)
    # The name tells concurrent writers apart; open() rather than mkstemp keeps the usual mode.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(draft, "xb") as file:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(f"{path} cannot be written: {error.strerror}", hint) from error

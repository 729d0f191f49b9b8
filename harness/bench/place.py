"""Where measurements put what they make."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.errors import HarnessError


def writable(folder: Path) -> Path:
    """``folder``, made if it is not there; ``HarnessError`` where nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise HarnessError(
            f"nothing can be written in {folder}: {error.strerror}",
            "set HARNESS_CACHE to a folder that can be written",
        ) from error

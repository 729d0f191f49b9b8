"""The one exception of everything that reads clips: this file is no whole, sound video."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from harness.errors import HarnessError


class DamagedClip(Exception):
    """A file that cannot be read as a whole, sound video; callers collect these.

    ``path`` is the file and ``reason`` one line on what is wrong with it. ``lasting`` is False
    where the fault may lie with the storage (file missing, permission, I/O error) rather than in
    the bytes, so that nobody remembers it.
    """

    def __init__(self, path: Path | str, reason: str, lasting: bool = True) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.lasting = Path(path), reason, lasting

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.lasting)


class DecodingFailed(DamagedClip):
    """Damage met while decoding, as opposed to a file that cannot be opened at all."""


def raise_if_special(path: Path | str) -> None:
    """Raises :class:`DamagedClip` for what is neither a regular file nor a folder.

    Opening a named pipe waits until somebody writes into it, and a device may never end. What is not
    there at all passes: opening it says so.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DamagedClip(path, "is no regular file", lasting=False)


def raise_if_out_of_files(error: Exception, path: Path | str) -> None:
    """Raises ``HarnessError`` if ``error`` came from having too many files open.

    That says nothing about the file at ``path``: taken for damage or for a missing file, it would
    leave sound clips out of the training and give them the worst rank in the test.
    """
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
        raise HarnessError(
            f"too many open files, {path} cannot be opened", "raise the limit with `ulimit -n 4096`"
        ) from error

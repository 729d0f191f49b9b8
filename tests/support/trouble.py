"""Geometries that misbehave while a clip is decoded. In a module, so that another process finds them.

They stand for a codec: like it they run in the midst of decoding, once for each frame.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.transform import Geometry

#: The width of the clips that cause trouble.
BAD_WIDTH = 48


@dataclass(frozen=True)
class Troubled(Geometry):
    """What happens with a picture of :data:`BAD_WIDTH`: ``crash``, ``crash_once`` (a file ``mark`` tells
    that it happened), ``error``, ``hang`` (after ``mark`` was made), or ``torch`` (any width: an error
    where torch is imported)."""

    what: str = "crash"
    mark: str = ""

    def apply(self, picture: np.ndarray) -> np.ndarray:
        if self.what == "torch" and "torch" in sys.modules:
            raise RuntimeError("torch is imported")
        if picture.shape[1] == BAD_WIDTH:
            self._act()
        return super().apply(picture)

    def _act(self) -> None:
        if self.what == "error":
            raise RuntimeError("a defect of ours")
        if self.what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.what == "crash_once" and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "hang":
            Path(self.mark).write_text(str(os.getpid()))
            time.sleep(600)

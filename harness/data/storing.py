"""From a decoded clip to the cache: what decoding gives, and how its outcome is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.data.cache import Writer
from harness.data.cache.writer import Stored
from harness.data.video import DamagedClip


class DecodedClip(NamedTuple):
    """A clip as it is stored, and ``times [T]`` in seconds."""

    stored: Stored
    times: np.ndarray


def store(writer: Writer | None, key: str, decode: Callable[[], DecodedClip]) -> DamagedClip | None:
    """Stores what ``decode`` returns if there is a writer; the error where the clip is damaged."""
    try:
        clip = decode()
    except DamagedClip as error:
        if error.lasting and writer is not None:
            writer.add_damaged(key, error.reason)
        return error
    if writer is not None:
        writer.add(key, clip.stored, clip.times)
    return None

"""Random numbers by name: keyed by (seed, stage, epoch, sample ...), never by worker.

A draw that depends only on its key is the same for any number of workers and after any resume,
and needs no generator state in a checkpoint.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(*parts: object) -> int:
    """A 63-bit number from the parts, equal on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()) >> 1


def generator(*parts: object) -> np.random.Generator:
    """A numpy generator for one purpose, for example ``("frames", seed, epoch, clip)``."""
    return np.random.Generator(np.random.PCG64(key(*parts)))

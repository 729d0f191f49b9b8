"""Seeded damage to the bytes of a file, of the kinds that storage, links and copying do to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: The first bytes of a file, where its header lies.
HEADER = 600


def mutate(data: bytes, seed: int) -> tuple[str, bytes]:
    """The name of the damage that ``seed`` does, and what it leaves of ``data``."""
    kind, damage = list(KINDS.items())[seed % len(KINDS)]
    return kind, damage(data, np.random.default_rng(seed))


def _range(data: bytes, random: np.random.Generator) -> tuple[int, int]:
    """A place and a length, short ones as likely as long ones."""
    length = int(2 ** random.uniform(0, np.log2(max(len(data) // 3, 2))))
    start = int(random.integers(0, max(len(data) - length, 1)))
    return start, start + length


def _flip(data: bytes, places: np.ndarray, random: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    changed[places] ^= random.integers(1, 256, len(places), dtype=np.uint8)
    return changed.tobytes()


def _flips(data: bytes, random: np.random.Generator) -> bytes:
    return _flip(data, random.integers(0, len(data), int(2 ** random.uniform(0, 7))), random)


def _header(data: bytes, random: np.random.Generator) -> bytes:
    places = random.integers(0, min(HEADER, len(data)), int(2 ** random.uniform(0, 4)))
    return _flip(data, places, random)


def _tail(data: bytes, random: np.random.Generator) -> bytes:
    """Wrong bytes at the end, where an mp4 keeps its index and an avi its own."""
    places = len(data) - 1 - random.integers(0, min(3 * HEADER, len(data)), int(2 ** random.uniform(0, 4)))
    return _flip(data, places, random)


def _zeros(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _range(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _noise(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _range(data, random)
    return data[:start] + random.bytes(end - start) + data[end:]


def _cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: int(len(data) * random.uniform(0.02, 0.995))]


def _doubled(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _range(data, random)
    return data[:end] + data[start:end] + data[end:]


def _removed(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _moved(data: bytes, random: np.random.Generator) -> bytes:
    """One range copied over another, as a block written to the wrong place."""
    start, end = _range(data, random)
    at = int(random.integers(0, len(data) - (end - start) + 1))
    return data[:at] + data[start:end] + data[at + end - start :]


KINDS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "flips": _flips,
    "zeros": _zeros,
    "cut": _cut,
    "doubled": _doubled,
    "removed": _removed,
    "header": _header,
    "noise": _noise,
    "moved": _moved,
    "tail": _tail,
}

"""Whether a GIF file is whole: libav shows what it finds of a broken one and says nothing.

A GIF is a chain of blocks, each of which says how long it is (CompuServe, GIF89a specification, 1990), so one
walk along it finds where data end too early or a length leads nowhere. Not covered: damage inside the
compressed pixels that leaves the lengths as they are.
"""

from __future__ import annotations

from pathlib import Path

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B

#: Signature and screen descriptor; its byte 10 holds the flags of the colour table that follows.
_HEADER = 13


def shortfall(path: Path | str) -> str | None:
    """What is wrong with the chain of blocks, or None.

    A last byte that is missing, what follows the end, and zeros between blocks are let pass, as
    everywhere.
    """
    data = Path(path).read_bytes()
    if len(data) < _HEADER:
        return "cut off in its header"
    frames, at = 0, _HEADER + _table(data[10])
    while at < len(data) and data[at] != _TRAILER:
        kind = data[at]
        if kind == _EXTENSION:
            at += 2
        elif kind == _IMAGE and at + 9 < len(data):
            frames += 1
            at += 11 + _table(data[at + 9])  # place, size, flags; colours; width of the codes
        elif kind:
            return f"broken or cut off after {frames} frames"
        else:
            at += 1
            continue
        while at < len(data) and data[at]:
            at += 1 + data[at]
        if at >= len(data):
            return f"cut off in frame {frames}"
        at += 1
    return None


def _table(flags: int) -> int:
    """The bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0

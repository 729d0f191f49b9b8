"""Options of the tasks that write. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from harness import Options

_Count = Annotated[int, Meta(ge=1)]


class CaptioningOptions(Options):
    """``beams``, the longest caption in tokens with the end (no longer than the model has room for), and
    the power of its length that a hypothesis' score is divided by."""

    beams: _Count = 3
    length: _Count = 30
    length_penalty: float = 0.0


class VideoQAOptions(Options):
    """``length`` is the longest answer in tokens, with the end. With ``candidates`` N the answer is the
    likeliest of the N most frequent ones in training, and not written freely (0)."""

    length: _Count = 6
    candidates: Annotated[int, Meta(ge=0)] = 0

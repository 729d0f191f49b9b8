"""Which frames of a clip the reference looks at, by its own arithmetic. Plain numpy."""

from __future__ import annotations

import math

import numpy as np

from harness import HarnessError

#: The reference's ``slice_framepos``: from the head, from the tail, or spread evenly.
HEAD, TAIL, EVEN = 0, 1, 2


def read(
    fps: float, frames: int, per_second: int = 1, start_s: int | None = None, end_s: int | None = None
) -> np.ndarray:
    """Frame indices int64 that ``per_second`` and a window in whole seconds ask for.

    As ``dataloaders/rawvideo_util.py``: the container's ``fps`` is cut to an integer, so that the
    moments drift where it is none; both ends of the window are looked at; the first index beyond
    the clip's ``frames`` ends the reading. Raises :class:`HarnessError` where a second does not
    have that many frames.
    """
    rate = int(fps)
    offsets = range(0, rate, max(rate // per_second, 1))[:per_second] if rate > 0 else ()
    if len(offsets) < per_second:
        raise HarnessError(
            f"{per_second} frames per second cannot be taken from a clip of {fps:g}",
            "ask for fewer frames per second",
        )
    last = math.ceil(frames / rate)
    if start_s is not None and end_s is not None:
        last = min(last, end_s)
    wanted = [second * rate + offset for second in range(start_s or 0, last + 1) for offset in offsets]
    beyond = next((place for place, index in enumerate(wanted) if index >= frames), len(wanted))
    return np.array(wanted[:beyond], dtype=np.int64)


def kept(available: int, max_frames: int, slice_framepos: int = EVEN, reverse: bool = False) -> np.ndarray:
    """Places int64 ``[<= max_frames]`` among ``available`` sampled frames.

    A clip that is short enough is kept whole. ``reverse`` is the reference's ``frame_order`` 1: what
    was kept is turned around.
    """
    assert available >= 0 and max_frames > 0 and slice_framepos in (HEAD, TAIL, EVEN)
    count = min(available, max_frames)
    if slice_framepos == EVEN:
        places = np.linspace(0, available - 1, count).astype(np.int64)
    else:
        places = np.arange(count) + (available - count if slice_framepos == TAIL else 0)
    return places[::-1] if reverse else places

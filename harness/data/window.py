"""The part of a file that a clip is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.data.dataset import Clip

if TYPE_CHECKING:
    from harness.data.video import VideoInfo

#: Presentation times are sums of rounded ticks, so a frame may be this early for its own second.
_TICK_SLACK_S = 1e-6


def is_whole(clip: Clip) -> bool:
    """Whether the clip is all of its file."""
    return clip.start_s == 0 and clip.end_s is None


def restricted(info: VideoInfo, start_s: float, end_s: float | None) -> tuple[VideoInfo, int]:
    """A file's information as if only a window of it were there, and the window's first frame.

    A frame belongs to the window in which it appears on screen, so windows that share a border
    share no frame. Where none appears there are no frames in what is returned.
    """
    if start_s == 0 and end_s is None:
        return info, 0
    since = info.times - info.times[0] + _TICK_SLACK_S
    first = int(np.searchsorted(since, start_s))
    past = info.frames if end_s is None else max(first, int(np.searchsorted(since, end_s)))
    times = info.times[first:past]
    if first == past:
        return replace(info, frames=0, times=times, duration_s=0.0), first
    until = info.times[past] if past < info.frames else info.times[0] + info.duration_s
    if end_s is not None:
        until = min(until, info.times[0] + end_s)
    return replace(info, frames=past - first, times=times, duration_s=float(until - times[0])), first


def no_frame(info: VideoInfo, clip: Clip) -> str:
    """The reason why a clip that is an empty window of its file is damaged."""
    end = "its end" if clip.end_s is None else f"{clip.end_s:g} s"
    return f"no frame from {clip.start_s:g} s to {end}: the video has {info.duration_s:g} s"

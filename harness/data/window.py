"""The part of a file that a clip is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.data.dataset import Clip
from harness.data.video import DamagedClip, VideoInfo

#: Presentation times are sums of rounded ticks, so a frame may be this early for its own second.
_TICK_SLACK_S = 1e-6


def is_whole(clip: Clip) -> bool:
    """Whether the clip is all of its file."""
    return clip.start_s == 0 and clip.end_s is None


def restricted(info: VideoInfo, clip: Clip) -> tuple[VideoInfo, int]:
    """A file's information as if only the clip's window were there, and the window's first frame.

    A frame belongs to the window in which it appears on screen, so windows that share a border
    share no frame. Raises ``DamagedClip`` for a window in which none appears.
    """
    since = info.times - info.times[0] + _TICK_SLACK_S
    first = int(np.searchsorted(since, clip.start_s))
    past = info.frames if clip.end_s is None else int(np.searchsorted(since, clip.end_s))
    if first >= past:
        end = "its end" if clip.end_s is None else f"{clip.end_s:g} s"
        raise DamagedClip(
            clip.path, f"no frame from {clip.start_s:g} s to {end}: the video has {info.duration_s:g} s"
        )
    times = info.times[first:past]
    until = info.times[past] if past < info.frames else info.times[0] + info.duration_s
    if clip.end_s is not None:
        until = min(until, info.times[0] + clip.end_s)
    return replace(info, frames=past - first, times=times, duration_s=float(until - times[0])), first

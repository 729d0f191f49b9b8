"""The two readers, the fast one and the arbiter, over files and folders of pictures."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from harness.data.video.damage import DecodingFailed
from harness.data.video.decoding import (
    Choose,
    Convert,
    Decoded,
    Wanted,
    can_be_visited,
    decode_all,
    decode_runs,
)
from harness.data.video.opening import opened
from harness.data.video.packets import Disagreement
from harness.data.video.pictures import probe_pictures, read_pictures
from harness.data.video.survey import VideoInfo, survey, survey_by_decoding

#: Part of every cache key: raise it when a change here may alter a returned frame.
DECODER_VERSION = 2


def probe(path: Path | str) -> VideoInfo:
    """Counts and times the frames of ``path`` from its packets, decoding one frame at most.

    A stream whose packets do not tell (times missing or repeated, no keyframe at its start) is
    decoded through. Raises :class:`DamagedClip`.
    """
    if os.path.isdir(path):
        return probe_pictures(path)
    with opened(path, 1) as (container, stream):
        clip = survey(path, container, stream)
    return (clip or survey_by_decoding(path, 1)).info


def read_frames(
    path: Path | str, choose: Choose, *, threads: int = 1, convert: Convert | None = None
) -> Decoded:
    """The frames that ``choose`` picks, decoding no more of the file than they need.

    ``choose`` gets the :class:`VideoInfo` and returns ascending frame indices in presentation
    order, repeats allowed; it is asked again if the file has to be read again. ``convert`` is
    applied to each distinct ``[H, W, 3]`` picture as soon as it is decoded, so that a clip need
    not be held at full size. ``threads`` is the decoder's own count; a pool over clips gains more.

    Raises :class:`DamagedClip`. Only what is decoded is checked: damage that cannot reach a wanted
    frame goes unnoticed. So does damage that no decoder sees: inside VP8 pictures, which libav's
    decoder fills up in silence, and of single bits that make another valid stream.
    """
    if os.path.isdir(path):
        return read_pictures(path, choose, convert=convert)
    # A decoder dropped into the middle of a sound file may stumble where one that comes from the
    # start does not: the full decode below has the last word.
    with suppress(Disagreement, DecodingFailed), opened(path, threads) as (container, stream):
        if can_be_visited(container, stream):
            clip = survey(path, container, stream)
            if clip is not None:
                wanted = Wanted(clip.info, choose, convert)
                decode_runs(container, stream, clip, wanted)
                return wanted.result()
    return read_frames_sequential(path, choose, threads=threads, convert=convert)


def read_frames_sequential(
    path: Path | str, choose: Choose, *, threads: int = 1, convert: Convert | None = None
) -> Decoded:
    """As :func:`read_frames`, by decoding every frame of the file in order.

    Any error that the decoder reports anywhere, a frame marked corrupt, or fewer frames than the
    packets announce raises :class:`DamagedClip`.
    """
    if os.path.isdir(path):
        return read_pictures(path, choose, convert=convert)
    with opened(path, threads) as (container, stream):
        clip = survey(path, container, stream)
    if clip is not None:
        try:
            return decode_all(path, clip, choose, threads, convert)
        except Disagreement:
            clip = None
    return decode_all(path, survey_by_decoding(path, threads), choose, threads, convert)

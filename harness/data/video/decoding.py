"""The wanted frames of a surveyed clip: by visits to the groups that hold them, or all in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from harness.data.video.damage import DamagedClip
from harness.data.video.opening import opened
from harness.data.video.packets import Cursor, Disagreement
from harness.data.video.survey import Survey, VideoInfo, all_frames
from harness.data.video.upright import upright

Choose = Callable[[VideoInfo], np.ndarray]
Convert = Callable[[np.ndarray], Any]

#: Where a part of a file can stand for the whole: the container says where each packet lies, and the
#: decoder reports a packet that it cannot use. Elsewhere (AVI, MPEG streams, older codecs) damage
#: before a group may change its pictures without a word, so everything is decoded.
_INDEXED = frozenset({"mov", "matroska"})
_STRICT = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d"})

#: Where a picture that nothing refers to leaves nothing behind, so that it can be left out. VP8 and
#: VP9 carry entropy and segment state from such a picture to the next one, and in HEVC one may be
#: referred to from a higher temporal layer. An H.264 decoder that meets a gap in the numbering fills
#: it from what it decoded last, so no packet may be lost in silence either, as Matroska's may.
_CAN_LEAVE_OUT = ("mov", "h264")


class Decoded(NamedTuple):
    """``frames``: one uint8 ``[H, W, 3]`` RGB array (or what ``convert`` made of it) per wanted
    index, repeats sharing one object; ``times [T]`` in seconds; ``indices [T]`` as chosen."""

    frames: list[Any]
    times: np.ndarray
    indices: np.ndarray


class Wanted:
    """The chosen frames of one clip, collected as they turn up, each under its index."""

    def __init__(self, info: VideoInfo, choose: Choose, convert: Convert | None) -> None:
        self.indices = np.asarray(choose(info), dtype=np.int64)
        inside = (self.indices >= 0) & (self.indices < info.frames)
        assert self.indices.ndim == 1 and inside.all(), "chosen frames must lie inside the clip"
        self.missing = set(self.indices.tolist())
        self._times = info.times
        self._convert = convert
        self._pictures: dict[int, Any] = {}

    def take(self, index: int, picture: Callable[[], np.ndarray]) -> None:
        """Keeps what ``picture()`` gives if frame ``index`` is wanted and not there yet."""
        if index in self.missing:
            self._pictures[index] = self._convert(picture()) if self._convert else picture()
            self.missing.remove(index)

    def result(self) -> Decoded:
        assert not self.missing
        frames = [self._pictures[index] for index in self.indices.tolist()]
        return Decoded(frames, self._times[self.indices], self.indices)


def can_be_visited(container, stream) -> bool:
    """Whether a few groups of this file may be decoded without the rest."""
    return not _INDEXED.isdisjoint(_formats(container)) and stream.codec_context.name in _STRICT


def _formats(container) -> list[str]:
    """The names of the container's format, such as mov, mp4, m4a, 3gp, 3g2 and mj2 for one reader."""
    return container.format.name.split(",")


def decode_runs(container, stream, clip: Survey, wanted: Wanted) -> None:
    """One visit per group of pictures that holds wanted frames, verifying every time stamp.

    A group that cannot be decoded on its own is tried once more with the one before it as a
    run-up: in an open group the decoder's books may refer to pictures of the group before, and
    with a gradual refresh the picture is whole only after a while.
    """
    packets, decoder = clip.packets, stream.codec_context
    form, codec = _CAN_LEAVE_OUT
    unwanted = "NONREF" if form in _formats(container) and decoder.name == codec else "DEFAULT"
    _take(clip.opening, clip, wanted)
    cursor = Cursor(container, stream, packets)
    groups = groupby(sorted(wanted.missing), key=lambda index: int(packets.start[index]))
    for start, members in [(start, list(group)) for start, group in groups]:
        try:
            _decode_run(cursor, decoder, clip, wanted, members, start, unwanted)
        except (Disagreement, av.FFmpegError):
            decoder.flush_buffers()
            earlier = int(np.searchsorted(packets.keys, start)) - 1
            if earlier < 0:
                # A second attempt could only gain what the first one taught the decoder.
                raise
            _decode_run(cursor, decoder, clip, wanted, members, int(packets.keys[earlier]), unwanted)


def _decode_run(
    cursor: Cursor,
    decoder,
    clip: Survey,
    wanted: Wanted,
    members: list[int],
    origin: int,
    unwanted: str,
) -> None:
    """Decodes the frames ``members`` of one group, beginning with packet ``origin``.

    ``unwanted`` is how the decoder treats the packets of other frames. It is drained after the last
    wanted packet, which yields the frame without decoding those that follow it.
    """
    packets, start = clip.packets, int(clip.packets.start[members[0]])
    first_pts = int(packets.packet_pts[start])
    targets = {int(clip.pts[index]) for index in members}
    last = max(int(packets.position[index]) for index in members)
    cursor.move_to(origin)
    while cursor.next <= last:
        packet = cursor.read()
        decoder.skip_frame = "DEFAULT" if packet.pts in targets else unwanted
        if packet.pts < first_pts:
            # Shown before the group, so it may refer to what was not read: its errors say
            # nothing, yet the decoder must have seen it to keep its books.
            frames: list = []
            with suppress(av.FFmpegError):
                frames = decoder.decode(packet)
        else:
            frames = decoder.decode(packet)
        _collect(frames, first_pts, origin == start, clip, wanted)
    _collect(decoder.decode(None), first_pts, origin == start, clip, wanted)
    decoder.flush_buffers()
    decoder.skip_frame = "DEFAULT"
    if not wanted.missing.isdisjoint(members):
        raise Disagreement("a wanted frame did not appear")


def _collect(frames: list, first_pts: int, fresh: bool, clip: Survey, wanted: Wanted) -> None:
    """Takes the wanted ones among the ``frames`` that belong to a group or follow it.

    In a ``fresh`` decoder the first must be a true keyframe, whatever the container calls it.
    """
    for frame in frames:
        if frame.pts is None or frame.pts < first_pts:
            continue
        if frame.is_corrupt or (fresh and frame.pts == first_pts and not frame.key_frame):
            raise Disagreement("a frame is corrupt, or no keyframe where one was announced")
        _take(frame, clip, wanted)


def _take(frame: av.VideoFrame, clip: Survey, wanted: Wanted) -> None:
    wanted.take(clip.place_of(frame.pts), lambda: upright(frame))


def decode_all(
    path: Path | str, clip: Survey, choose: Choose, threads: int, convert: Convert | None
) -> Decoded:
    """Every frame in order; raises :class:`Disagreement` if the frames are not those surveyed."""
    wanted, count, known = Wanted(clip.info, choose, convert), 0, 0
    with opened(path, threads) as (container, stream):
        for frame in all_frames(path, container, stream):
            place = count if clip.pts is None else clip.place_of(frame.pts)
            count += 1
            known += 0 <= place < clip.info.frames
            wanted.take(place, lambda frame=frame: upright(frame))
    if count < clip.info.frames:
        raise DamagedClip(path, f"only {count} of {clip.info.frames} frames can be decoded")
    if not count == known == clip.info.frames or wanted.missing:
        raise Disagreement("the frames are not those that the packets announce")
    return wanted.result()

"""What a video file holds, without its pictures: how many frames, when, how large.

The packets and the first frame tell it of nearly every file; where they do not, everything is
decoded once to count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from harness.data.video import gif
from harness.data.video.damage import DamagedClip, DecodingFailed
from harness.data.video.opening import opened
from harness.data.video.packets import NO_TIME, Cursor, Disagreement, PacketIndex, demux, index_packets
from harness.data.video.upright import upright_size


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds, without its pictures.

    ``width`` and ``height`` are those of the picture as shown, after rotation. ``times [frames]``
    are the presentation times in seconds, ascending, starting where the stream says.
    ``duration_s`` runs from the first frame to the end of the last. ``rate`` is what the container
    states in frames per second, an average where it varies; a folder of pictures has its own.
    """

    frames: int
    duration_s: float
    width: int
    height: int
    times: np.ndarray
    rate: float


@dataclass(frozen=True)
class Survey:
    """A file's information and its frames' ticks ``pts [frames]``, ascending, with the packets and
    the first frame, both None when known from decoding only. ``pts`` is None where ticks do not
    name the frames (not given, or given twice): then they are named by their order of decoding."""

    info: VideoInfo
    pts: np.ndarray | None
    packets: PacketIndex | None = None
    opening: av.VideoFrame | None = None

    def place_of(self, pts: int | None) -> int:
        """The index of the frame shown at tick ``pts``, -1 if there is none."""
        if pts is None:
            return -1
        place = int(np.searchsorted(self.pts, pts))
        return place if place < len(self.pts) and self.pts[place] == pts else -1


def survey(path: Path | str, container, stream) -> Survey | None:
    """What the packets and the first frame tell; None if they do not suffice."""
    packets = index_packets(container, stream)
    damage = packets.damage or (gif.shortfall(path) if container.format.name == "gif" else None)
    if damage:
        raise DamagedClip(path, damage)
    if not len(packets.packet_pts):
        raise DamagedClip(path, "holds no video frames")
    if not packets.complete or not len(packets.pts):
        return None
    try:
        opening = _first_frame(container, stream, packets)
    except Disagreement:
        return None
    times = packets.pts * float(stream.time_base)
    duration = float((packets.end - int(packets.pts[0])) * stream.time_base)
    info = VideoInfo(len(times), duration, *upright_size(opening), times, _rate_of(stream))
    return Survey(info, packets.pts, packets, opening)


def _first_frame(container, stream, packets: PacketIndex) -> av.VideoFrame:
    """The first frame that the decoder shows; only a decoded frame tells its rotation."""
    cursor, decoder = Cursor(container, stream, packets), stream.codec_context
    cursor.move_to(int(packets.keys[0]))
    frames: list = []
    while not frames and cursor.next < len(packets.packet_pts):
        packet = cursor.read()
        frames = decoder.decode(packet)
        if not frames and not packet.is_discard:
            frames = decoder.decode(None)
            decoder.flush_buffers()
            break
    decoder.flush_buffers()
    if not frames or frames[0].is_corrupt:
        raise Disagreement("the first keyframe shows nothing sound")
    return frames[0]


def survey_by_decoding(path: Path | str, threads: int) -> Survey:
    """Counts frames by decoding them all, where packets do not tell."""
    pts, end, size = [], 0, None
    with opened(path, threads) as (container, stream):
        for frame in all_frames(path, container, stream):
            size = size or upright_size(frame)
            pts.append(NO_TIME if frame.pts is None else frame.pts)
            end = max(end, (frame.pts or 0) + (frame.duration or 0))
        base, rate = stream.time_base, _rate_of(stream)
    if size is None:
        raise DamagedClip(path, "holds no video frames")
    count, ticks = len(pts), np.unique(np.array(pts, dtype=np.int64))
    if len(ticks) < count or ticks[0] == NO_TIME:
        times, duration, ticks = np.arange(count) / rate, count / rate, None
    else:
        times, duration = ticks * float(base), float((end - int(ticks[0])) * base)
    return Survey(VideoInfo(count, duration, *size, times, rate), ticks)


def _rate_of(stream) -> float:
    """The stream's average rate in frames per second, which is also what OpenCV reports; 25 if unknown."""
    return float(stream.average_rate or stream.guessed_rate or 25)


def all_frames(path: Path | str, container, stream) -> Iterator[av.VideoFrame]:
    """All frames of the stream from its first keyframe on; what precedes it cannot be decoded.

    Raises :class:`DecodingFailed` at a frame marked corrupt.
    """
    decoder, begun = stream.codec_context, False
    for packet in demux(container, stream):
        begun = begun or packet.is_keyframe
        if packet.size == 0 or not begun:
            continue
        yield from _sound(path, decoder.decode(packet))
    yield from _sound(path, decoder.decode(None))


def _sound(path: Path | str, frames: list) -> list:
    for frame in frames:
        if frame.is_corrupt:
            raise DecodingFailed(path, f"the frame at {frame.time} s is corrupt")
    return frames

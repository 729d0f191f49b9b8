"""Exact frames of a video file, and the time at which each is shown. No torch here.

A research number must not depend on which frames a decoder happened to return, so a frame is
named by its place in presentation order and every one that is returned has had its presentation
time checked against the packets of the file. :func:`read_frames` decodes only what the wanted
frames need; :func:`read_frames_sequential` decodes everything, is the arbiter whenever the fast
way meets a surprise, and is the reference in the tests.

Not covered: pixel aspect ratio (pixels are taken as square, as retrieval data loaders do),
mirrored display matrices, and rotations that are not multiples of 90 degrees.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from harness.data.packets import Cursor, Disagreement, PacketIndex, index_packets
from harness.errors import HarnessError

#: Part of every cache key: raise it when a change here may alter a returned frame.
DECODER_VERSION = 1

_of_thread = threading.local()


class DamagedClip(Exception):
    """A file that cannot be read as a whole, sound video; callers collect these.

    ``path`` is the file and ``reason`` one line on what is wrong with it. ``lasting`` is False
    where the fault may lie with the storage (file missing, permission, I/O error) rather than in
    the bytes, so that nobody remembers it.
    """

    def __init__(self, path: Path | str, reason: str, lasting: bool = True) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.lasting = Path(path), reason, lasting

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.lasting)


def raise_if_out_of_files(error: Exception, path: Path | str) -> None:
    """Raises ``HarnessError`` if ``error`` came from having too many files open.

    That says nothing about the file at ``path``: taken for damage or for a missing file, it would
    leave sound clips out of the training and give them the worst rank in the test.
    """
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
        raise HarnessError(
            f"too many open files, {path} cannot be opened", "raise the limit with `ulimit -n 4096`"
        ) from error


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds, without its pictures.

    ``width`` and ``height`` are those of the picture as shown, after rotation. ``times [frames]``
    are the presentation times in seconds, ascending, starting where the stream says.
    ``duration_s`` runs from the first frame to the end of the last.
    """

    frames: int
    duration_s: float
    width: int
    height: int
    times: np.ndarray


class Decoded(NamedTuple):
    """``frames``: one uint8 ``[H, W, 3]`` RGB array (or what ``convert`` made of it) per wanted
    index, repeats sharing one object; ``times [T]`` in seconds; ``indices [T]`` as chosen."""

    frames: list[Any]
    times: np.ndarray
    indices: np.ndarray


Choose = Callable[[VideoInfo], np.ndarray]
Convert = Callable[[np.ndarray], Any]


def probe(path: Path | str) -> VideoInfo:
    """Counts and times the frames of ``path`` from its packets, decoding one frame at most.

    A stream whose packets do not tell (times missing or repeated, no keyframe at its start) is
    decoded through. Raises :class:`DamagedClip`.
    """
    with _opened(path, 1) as (container, stream):
        clip = _survey(path, container, stream)
    return (clip or _survey_by_decoding(path, 1)).info


def read_frames(
    path: Path | str, choose: Choose, *, threads: int = 1, convert: Convert | None = None
) -> Decoded:
    """The frames that ``choose`` picks, decoding no more of the file than they need.

    ``choose`` gets the :class:`VideoInfo` and returns ascending frame indices in presentation
    order, repeats allowed; it is asked again if the file has to be read again. ``convert`` is
    applied to each distinct ``[H, W, 3]`` picture as soon as it is decoded, so that a clip need
    not be held at full size. ``threads`` is the decoder's own count; a pool over clips gains more.

    Raises :class:`DamagedClip`. Only what is decoded is checked: damage that cannot reach a wanted
    frame goes unnoticed.
    """
    try:
        with _opened(path, threads) as (container, stream):
            clip = _survey(path, container, stream)
            if clip is not None:
                wanted = _Wanted(clip, choose, convert)
                _decode_runs(container, stream, clip, wanted)
                return wanted.result()
    except (Disagreement, _DecodingFailed):
        # A decoder dropped into the middle of a sound file may stumble where one that comes from
        # the start does not: the full decode below has the last word.
        clip = None
    return read_frames_sequential(path, choose, threads=threads, convert=convert)


def read_frames_sequential(
    path: Path | str, choose: Choose, *, threads: int = 1, convert: Convert | None = None
) -> Decoded:
    """As :func:`read_frames`, by decoding every frame of the file in order.

    Any error that the decoder reports anywhere, a frame marked corrupt, or fewer frames than the
    packets announce raises :class:`DamagedClip`.
    """
    with _opened(path, threads) as (container, stream):
        clip = _survey(path, container, stream)
    if clip is not None:
        try:
            return _decode_all(path, clip, choose, threads, convert)
        except Disagreement:
            clip = None
    return _decode_all(path, _survey_by_decoding(path, threads), choose, threads, convert)


class _DecodingFailed(DamagedClip):
    """Damage met while decoding, as opposed to a file that cannot be opened at all."""


@dataclass(frozen=True)
class _Survey:
    """A file's information with its packets (None when known from decoding) and first frame."""

    info: VideoInfo
    pts: list[int | None]
    packets: PacketIndex | None = None
    opening: av.VideoFrame | None = None

    @cached_property
    def place(self) -> dict[int, int]:
        """Frame index by presentation tick."""
        return {pts: index for index, pts in enumerate(self.pts)}


class _Wanted:
    """The chosen frames of one clip, collected as they turn up, each under its index."""

    def __init__(self, clip: _Survey, choose: Choose, convert: Convert | None) -> None:
        self.indices = np.asarray(choose(clip.info), dtype=np.int64)
        inside = (self.indices >= 0) & (self.indices < clip.info.frames)
        assert self.indices.ndim == 1 and inside.all(), "chosen frames must lie inside the clip"
        self.missing = set(self.indices.tolist())
        self._times = clip.info.times
        self._convert = convert
        self._pictures: dict[int, Any] = {}

    def take(self, index: int, frame: av.VideoFrame) -> None:
        if index in self.missing:
            picture = _upright(frame)
            self._pictures[index] = self._convert(picture) if self._convert else picture
            self.missing.remove(index)

    def result(self) -> Decoded:
        assert not self.missing
        frames = [self._pictures[index] for index in self.indices.tolist()]
        return Decoded(frames, self._times[self.indices], self.indices)


@contextmanager
def _opened(path: Path | str, threads: int) -> Iterator[tuple]:
    """The container and its main video stream; whatever libav reports becomes damage, except that
    too many files are open.

    ``explode`` makes decoders report what they would otherwise paint over.
    """
    stage: type[DamagedClip] = DamagedClip
    try:
        # The prefix keeps a colon in a file name from being read as a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = _main_stream(path, container)
            context = stream.codec_context
            context.options = {"err_detect": "explode"}
            context.thread_count = threads
            if threads > 1:
                context.thread_type = "AUTO"
            stage = _DecodingFailed
            yield container, stream
    except av.FFmpegError as error:
        raise_if_out_of_files(error, path)
        what = "decoded" if stage is _DecodingFailed else "opened"
        reason = f"cannot be {what}: {(error.strerror or str(error)).strip().lower()}"
        raise stage(path, reason, lasting=not isinstance(error, OSError)) from error


def _main_stream(path: Path | str, container):
    """The first real video stream; cover pictures of audio files are none."""
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams or streams[0].codec_context is None:
        raise DamagedClip(path, "has no video stream that can be decoded")
    for other in container.streams:
        if other.index != streams[0].index:
            other.discard = "ALL"
    return streams[0]


def _survey(path: Path | str, container, stream) -> _Survey | None:
    """What the packets and the first frame tell; None if they do not suffice."""
    packets = index_packets(container, stream)
    if packets.damage:
        raise DamagedClip(path, packets.damage)
    if not packets.packet_pts:
        raise DamagedClip(path, "holds no video frames")
    if not packets.complete or not len(packets.pts):
        return None
    try:
        opening = _first_frame(container, stream, packets)
    except Disagreement:
        return None
    times = packets.pts * float(stream.time_base)
    duration = float((packets.end - int(packets.pts[0])) * stream.time_base)
    info = VideoInfo(len(times), duration, *_upright_size(opening), times)
    return _Survey(info, packets.pts.tolist(), packets, opening)


def _first_frame(container, stream, packets: PacketIndex) -> av.VideoFrame:
    """The first frame that the decoder shows; only a decoded frame tells its rotation."""
    cursor, decoder = Cursor(container, stream, packets), stream.codec_context
    cursor.move_to(packets.keys[0])
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


def _survey_by_decoding(path: Path | str, threads: int) -> _Survey:
    """Counts frames by decoding them all, where packets do not tell."""
    pts, end, first = [], 0, None
    with _opened(path, threads) as (container, stream):
        for frame in _all_frames(path, container, stream):
            first = first or frame
            pts.append(frame.pts)
            end = (frame.pts or 0) + (frame.duration or 0)
        base, rate = stream.time_base, stream.average_rate or stream.guessed_rate or 25
    if first is None:
        raise DamagedClip(path, "holds no video frames")
    if None in pts or any(b <= a for a, b in pairwise(pts)):
        times = np.arange(len(pts)) / float(rate)
        duration = len(pts) / float(rate)
    else:
        times = np.array(pts, dtype=np.int64) * float(base)
        duration = float((end - pts[0]) * base)
    return _Survey(VideoInfo(len(pts), duration, *_upright_size(first), times), pts)


def _decode_runs(container, stream, clip: _Survey, wanted: _Wanted) -> None:
    """One visit per group of pictures that holds wanted frames, verifying every time stamp.

    A group that cannot be decoded on its own is tried once more with the one before it as a
    run-up: in an open group the decoder's books may refer to pictures of the group before, and
    with a gradual refresh the picture is whole only after a while.
    """
    packets, decoder = clip.packets, stream.codec_context
    wanted.take(clip.place.get(clip.opening.pts, -1), clip.opening)
    cursor = Cursor(container, stream, packets)
    groups = groupby(sorted(wanted.missing), key=lambda index: int(packets.start[index]))
    for start, members in [(start, list(group)) for start, group in groups]:
        try:
            _decode_run(cursor, decoder, clip, wanted, members, start)
        except (Disagreement, av.FFmpegError):
            decoder.flush_buffers()
            earlier = packets.keys[max(packets.keys.index(start) - 1, 0)]
            _decode_run(cursor, decoder, clip, wanted, members, earlier)


def _decode_run(
    cursor: Cursor, decoder, clip: _Survey, wanted: _Wanted, members: list[int], origin: int
) -> None:
    """Decodes the frames ``members`` of one group, beginning with packet ``origin``.

    Frames that nothing refers to are not decoded unless wanted themselves. The decoder is drained
    after the last wanted packet, which yields the frame without decoding those that follow it.
    """
    packets, start = clip.packets, int(clip.packets.start[members[0]])
    first_pts = packets.packet_pts[start]
    targets = {clip.pts[index] for index in members}
    last = max(int(packets.position[index]) for index in members)
    cursor.move_to(origin)
    while cursor.next <= last:
        packet = cursor.read()
        decoder.skip_frame = "DEFAULT" if packet.pts in targets else "NONREF"
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


def _collect(frames: list, first_pts: int, fresh: bool, clip: _Survey, wanted: _Wanted) -> None:
    """Takes the wanted ones among the ``frames`` that belong to a group or follow it.

    In a ``fresh`` decoder the first must be a true keyframe, whatever the container calls it.
    """
    for frame in frames:
        if frame.pts is None or frame.pts < first_pts:
            continue
        if frame.is_corrupt or (fresh and frame.pts == first_pts and not frame.key_frame):
            raise Disagreement("a frame is corrupt, or no keyframe where one was announced")
        wanted.take(clip.place.get(frame.pts, -1), frame)


def _decode_all(
    path: Path | str, clip: _Survey, choose: Choose, threads: int, convert: Convert | None
) -> Decoded:
    """Every frame in order; raises :class:`Disagreement` if the frames are not those surveyed."""
    wanted, count, agree = _Wanted(clip, choose, convert), 0, True
    with _opened(path, threads) as (container, stream):
        for frame in _all_frames(path, container, stream):
            agree = agree and count < len(clip.pts) and frame.pts == clip.pts[count]
            if agree:
                wanted.take(count, frame)
            count += 1
    if count < len(clip.pts):
        raise DamagedClip(path, f"only {count} of {len(clip.pts)} frames can be decoded")
    if not agree:
        raise Disagreement("the frames are not those that the packets announce")
    return wanted.result()


def _all_frames(path: Path | str, container, stream) -> Iterator[av.VideoFrame]:
    """All frames of the stream from its first keyframe on; what precedes it cannot be decoded."""
    decoder, begun = stream.codec_context, False
    for packet in container.demux(stream):
        begun = begun or packet.is_keyframe
        if packet.size == 0 or not begun:
            continue
        yield from _sound(path, decoder.decode(packet))
    yield from _sound(path, decoder.decode(None))


def _sound(path: Path | str, frames: list) -> list:
    for frame in frames:
        if frame.is_corrupt:
            raise _DecodingFailed(path, f"the frame at {frame.time} s is corrupt")
    return frames


def _quarter_turns(frame: av.VideoFrame) -> int:
    """How many times the picture must be turned by 90 degrees, counter-clockwise, to stand up."""
    return round(frame.rotation / 90) % 4


def _upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of the frame as shown."""
    turned = _quarter_turns(frame) % 2
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def _reformatter() -> VideoReformatter:
    """This thread's converter: setting one up costs more than converting a small frame."""
    if not hasattr(_of_thread, "reformatter"):
        _of_thread.reformatter = VideoReformatter()
    return _of_thread.reformatter


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """The frame as shown, uint8 RGB ``[H, W, 3]``."""
    picture = _reformatter().reformat(frame, format="rgb24").to_ndarray()
    turns = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

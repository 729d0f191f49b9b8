"""The packets of a video stream: which frame each one carries, and a cursor over them.

Reading packets without decoding costs little and tells almost everything: how many frames are
shown and when, and from which keyframe each can be decoded. What the packets of a broken or odd
stream cannot tell is said too (``complete`` is False), never guessed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

#: Stands for a time that the container does not give.
NO_TIME = np.iinfo(np.int64).min

#: Up to this many packets are read past rather than sought over: a seek costs about as much.
AHEAD = 30

#: An MPEG-4 part 2 packet this small says "show the last picture again" and yields no frame.
_EMPTY_PICTURE = 10

#: The share of frames by which the header of an AVI file may be off.
_AVI_SLACK = 0.01

#: How Matroska writes a duration; a damaged one says nothing.
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)\s*")

#: Seconds by which a Matroska track may end before its own header says so.
_SLACK_S = 0.5


class Disagreement(Exception):
    """The decoder or a seek did something that the packet index does not predict."""


@dataclass(frozen=True)
class PacketIndex:
    """Frames in presentation order and packets in decoding order; every array is int64.

    ``pts [n]`` are the frames' times in stream ticks, ascending; ``position [n]`` the place of
    each one's packet in decoding order; ``start [n]`` the place of the keyframe from which it can
    be decoded. ``packet_pts`` and ``packet_dts`` (``NO_TIME`` where not given) are of all packets,
    those that are decoded but never shown (before the start of an edit list) included. ``end`` is
    the tick at which the last frame ends, ``keys`` the places of the keyframes. ``complete`` is True
    if all that can be relied on. ``damage`` says what the container itself reports broken.

    Arrays keep the index of an hour below 5 MB.
    """

    pts: np.ndarray
    position: np.ndarray
    start: np.ndarray
    packet_pts: np.ndarray
    packet_dts: np.ndarray
    end: int
    keys: np.ndarray
    complete: bool
    damage: str | None


def demux(container, stream) -> Iterator[av.Packet]:
    """The packets of ``stream`` from where the container stands, without the empty ones that end it.

    A broadcast stream may announce further streams on its way; PyAV then stumbles at the end of the
    file, where it can simply be asked again.
    """
    while True:
        try:
            for packet in container.demux(stream):
                if packet.size or packet.dts is not None:
                    yield packet
            return
        except IndexError:
            continue


def index_packets(container, stream) -> PacketIndex:
    """Reads every packet of ``stream`` from the start of ``container`` and decodes none."""
    pts, dts, keys, shown, damage = array("q"), array("q"), array("q"), array("q"), None
    duration, complete, empty, codec = 0, True, 0, stream.codec_context.name
    hides, repeats = codec in ("vp8", "libvpx"), codec == "mpeg4"
    for packet in demux(container, stream):
        if packet.size == 0:
            empty += 1
            continue
        if packet.is_corrupt and damage is None:
            damage = f"packet {len(pts)} is incomplete or marked corrupt"
        if packet.is_keyframe:
            keys.append(len(pts))
        if not packet.is_discard and not (hides and _is_hidden(packet)):
            shown.append(len(pts))
        if repeats and packet.size < _EMPTY_PICTURE:
            complete = False
        pts.append(NO_TIME if packet.pts is None else packet.pts)
        dts.append(NO_TIME if packet.dts is None else packet.dts)
        duration = packet.duration or duration
    times, order, places = _array(pts), _array(shown), _array(keys)
    # A time that is missing or given twice cannot name a frame.
    unique = len(np.unique(times)) == len(times) and NO_TIME not in times
    complete = complete and unique and len(places) > 0
    order = order[np.argsort(times[order])] if complete else order[:0]
    ticks = times[order]
    starts = _starts(ticks, order, places, times)
    complete = complete and bool((starts >= 0).all())
    step = duration or (int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0)
    end = int(ticks[-1]) + step if len(ticks) else 0
    return PacketIndex(
        pts=ticks,
        position=order,
        start=starts,
        packet_pts=times,
        packet_dts=_array(dts),
        end=end,
        keys=places,
        complete=complete,
        damage=damage or _shortfall(container, stream, len(pts) + empty, places, end if complete else None),
    )


def _array(values: array) -> np.ndarray:
    return np.frombuffer(values, np.int64) if values else np.zeros(0, np.int64)


def _is_hidden(packet) -> bool:
    """VP8 keeps pictures that only serve as references in packets of their own."""
    return not memoryview(packet)[0] >> 4 & 1


def _starts(ticks: np.ndarray, order: np.ndarray, keys: np.ndarray, times: np.ndarray) -> np.ndarray:
    """For each frame the last keyframe decoded before it and shown no later; -1 if none.

    The second condition matters in an open group of pictures: frames decoded after a keyframe
    but shown before it also refer to the group before.
    """
    choices = np.searchsorted(keys, order, side="right") - 1
    while len(late := np.flatnonzero((choices >= 0) & (times[keys[choices]] > ticks))):
        choices[late] -= 1
    return np.where(choices >= 0, keys[choices], -1)


def _shortfall(container, stream, packets: int, keys: np.ndarray, end: int | None) -> str | None:
    """What a cut-off file promises and lacks, or None."""
    if len(keys) and keys[0] > 0 and "mpeg" not in container.format.name:
        # Only a broadcast stream may be joined in the middle.
        return "its first keyframe is missing"
    if "avi" in container.format.name:
        # Its header is often off by a frame or two where a writer dropped or doubled some.
        promised = stream.frames
        if packets < promised - max(2, promised * _AVI_SLACK):
            return f"cut off: {packets} of {promised} frames are in the file"
    if "mov" in container.format.name:
        promised = len(stream.index_entries)
        if packets < promised:
            return f"cut off: {packets} of {promised} frames are in the file"
    if "matroska" in container.format.name and end is not None:
        promised_s = _matroska_seconds(container, stream)
        if promised_s is not None and float(end * stream.time_base) < promised_s - _SLACK_S:
            return f"cut off: the header promises {promised_s:.1f} s of video"
    return None


def _matroska_seconds(container, stream) -> float | None:
    """When a Matroska header says that this track ends, in seconds, if it says so."""
    tag = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds
    alone = len(container.streams) == 1 and container.duration
    return container.duration / 1e6 if alone else None


class Cursor:
    """Packets from any place in decoding order, checked one by one against the index."""

    def __init__(self, container, stream, index: PacketIndex) -> None:
        self._container, self._stream, self._index = container, stream, index
        self._by_time = np.argsort(index.packet_pts)
        self._packets: Iterator = iter(())
        self._held = None
        self.next = -1

    def move_to(self, position: int) -> None:
        """Makes packet ``position`` the next to be read, by reading ahead or seeking."""
        if self.next < 0 or not 0 <= position - self.next <= AHEAD:
            self._seek(position)
        while self.next < position:
            self.read()

    def read(self):
        """The next packet. Raises :class:`Disagreement` if it is not the one announced."""
        packet, self._held = self._held, None
        if packet is None:
            packet = next((p for p in self._packets if p.size), None)
        if packet is None or packet.pts != self._index.packet_pts[self.next]:
            raise Disagreement(f"packet {self.next} is not where the index has it")
        self.next += 1
        return packet

    def _seek(self, position: int) -> None:
        """Lands on ``position`` or before it; containers differ on which time they seek by."""
        index = self._index
        targets = [index.packet_pts[position], index.packet_dts[position]]
        targets += [index.packet_dts[0], index.packet_pts[0]]
        for target in dict.fromkeys(int(t) for t in targets if t != NO_TIME):
            self._container.seek(target, stream=self._stream)
            self._packets = demux(self._container, self._stream)
            packet = next((p for p in self._packets if p.size), None)
            place = -1 if packet is None or packet.pts is None else self._place_of(packet.pts)
            if 0 <= place <= position:
                self._held, self.next = packet, place
                return
        raise Disagreement(f"no seek reaches packet {position}")

    def _place_of(self, pts: int) -> int:
        """The place of the packet with time ``pts``, -1 if there is none."""
        times = self._index.packet_pts
        rank = int(np.searchsorted(times, pts, sorter=self._by_time))
        found = rank < len(times) and times[self._by_time[rank]] == pts
        return int(self._by_time[rank]) if found else -1

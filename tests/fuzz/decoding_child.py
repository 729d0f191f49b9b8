"""Reads damaged clips in a process of its own and says how each one ended.

Started as ``python -m tests.fuzz.decoding_child``; takes the paths of clips from standard input,
one per line, and answers each with one line of JSON, so that the parent knows the clip at fault when
an answer does not come.

The oracle below shares nothing with the reader but the wish to see a file's frames: it decodes the
whole file from its first packet on, steps over whatever fails and counts it.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from harness.data.video import DamagedClip, probe, read_frames, read_frames_sequential

#: Decoded times are ticks times a time base, in the reader's order of operations or another.
TIME_TOLERANCE_S = 1e-6


class Decode(NamedTuple):
    """Pictures as shown by their time in seconds (several may claim one time), all times in
    decoding order, and how many errors the decoder reported."""

    by_time: dict[int, list[np.ndarray]]
    times: list[float]
    errors: int


def decode_all(path: Path) -> Decode:
    """Every frame that a decoder with its default settings gets out of the file."""
    shown, errors = [], 0
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        rate = stream.average_rate or stream.guessed_rate or 25
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                shown += [(frame.pts, _picture(frame)) for frame in packet.decode()]
            except av.FFmpegError:
                errors += 1
            except IndexError:  # PyAV, at the end of a file in which further streams turned up
                packets = container.demux(stream)
        base = float(stream.time_base) if stream.time_base else 0.0
    ticks = [pts for pts, _ in shown]
    if None in ticks or len(set(ticks)) < len(ticks):
        times = [place / float(rate) for place in range(len(shown))]
    else:
        times = [pts * base for pts in ticks]
    by_time = defaultdict(list)
    for time, (_, picture) in zip(times, shown, strict=True):
        by_time[_tick(time)].append(picture)
    return Decode(by_time, times, errors)


def _tick(time: float) -> int:
    return round(time / TIME_TOLERANCE_S)


def _picture(frame: av.VideoFrame) -> np.ndarray:
    """The picture as shown, each pixel put where the display matrix sends it."""
    stored = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return stored
    a, b, _, c, d = (int(factor) for factor in np.frombuffer(matrix, np.int32, 5))
    if abs(a) + abs(d) < abs(b) + abs(c):
        a = d = 0
        b, c = (-1 if factor < 0 else 1 for factor in (b, c))
    else:
        b = c = 0
        a, d = (-1 if factor < 0 else 1 for factor in (a, d))
    y, x = np.indices(stored.shape[:2])
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    shown = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    shown[down, across] = stored
    return shown


def _spread(info) -> np.ndarray:
    return np.linspace(0, info.frames - 1, 12).astype(np.int64)


def _late(info) -> np.ndarray:
    return np.array([info.frames * 5 // 7])


def _every(info) -> np.ndarray:
    return np.arange(info.frames)


READERS = {
    "spread": (read_frames, _spread),
    "one": (read_frames, _late),
    "every": (read_frames, _every),
    "sequential": (read_frames_sequential, _every),
}


def verdict(path: Path) -> dict:
    """How each reader ended, ``damaged`` or ``exact``, or in ``wrong`` how it misled."""
    ends, wrong, reason, oracle = {}, [], "", None
    for name, (reader, choose) in READERS.items():
        try:
            decoded = reader(path, choose)
        except DamagedClip as error:
            ends[name], reason = "damaged", error.reason
            continue
        ends[name] = "exact"
        oracle = oracle or decode_all(path)
        wrong += [f"{name}: {what}" for what in _differences(decoded, oracle, choose is _every)]
    if oracle is not None:
        wrong += _probe_differs(path, ends)
    return {
        "ends": ends,
        "reason": reason,
        "wrong": wrong,
        "errors": oracle.errors if oracle else None,
        "frames": len(oracle.times) if oracle else None,
    }


def _differences(decoded, oracle: Decode, whole: bool) -> list[str]:
    found = []
    for time, picture in zip(decoded.times, decoded.frames, strict=True):
        candidates = oracle.by_time.get(_tick(time), [])
        if not candidates:
            found.append(f"nothing is shown at {time:.3f} s")
        elif not any(np.array_equal(picture, other) for other in candidates):
            found.append(f"another picture is shown at {time:.3f} s")
    if whole and len(decoded.frames) != len(oracle.times):
        found.append(f"{len(decoded.frames)} frames, yet {len(oracle.times)} are shown")
    return found[:3]


def _probe_differs(path: Path, ends: dict) -> list[str]:
    """A file that can be read can be probed."""
    try:
        probe(path)
    except DamagedClip as error:
        return [f"probe: {error.reason}"]
    return []


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(verdict(Path(line.rstrip("\n")))), flush=True)


if __name__ == "__main__":
    main()

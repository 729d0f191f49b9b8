"""What reading costs: memory over the idle process for an hour of video, and no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.support import clips

#: Frames of an hour at 25 per second.
HOUR = 90_000

_PEAK = """
import json, sys
import numpy as np
from harness.data.video import probe, read_frames, read_frames_sequential
from harness.data.transform import Geometry

def kilobytes(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

path, reader = sys.argv[1:]
Geometry().apply(np.zeros((64, 96, 3), np.uint8))
before = kilobytes("VmRSS")
twelve = lambda info: np.linspace(0, info.frames - 1, 12).astype(int)
frames = probe(path).frames
decoded = {"fast": read_frames, "all": read_frames_sequential}[reader](path, twelve)
print(json.dumps([frames, len(decoded.frames), (kilobytes("VmHWM") - before) / 1024]))
"""


def _hour(source: Path, path: Path) -> Path:
    """``source``, 60 frames, over and over for an hour, its packets copied."""
    with av.open(str(source)) as old, av.open(str(path), "w", format="mp4") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        packets = [p for p in old.demux(stream) if p.size]
        pieces = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in packets]
        length = round(60 / 25 / stream.time_base)
        for turn in range(HOUR // 60):
            for data, pts, dts, key in pieces:
                packet = av.Packet(data)
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, key, copy
                new.mux(packet)
    return path


@pytest.fixture(scope="module")
def hour(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("hour")
    return _hour(clips.write_clip(root / "short", **clips.KINDS["bframes"]), root / "hour.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("reader", ["fast", "all"])
def test_an_hour_takes_little_memory(hour, reader):
    """Twelve frames of an hour-long film raise the peak by less than 60 MB, read either way."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _PEAK, str(hour), reader]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    frames, read, megabytes = json.loads(done.stdout)
    assert (frames, read) == (HOUR, 12)
    assert megabytes < 60, f"{megabytes:.0f} MB"

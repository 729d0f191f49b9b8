"""Small real clips, written with PyAV, whose every frame says which frame it is.

Ten blocks in the upper part of a picture spell its number in binary (white is 1), which survives
lossy coding, scaling and rotation by the reader; a drifting gradient below gives the encoder real
motion, so that B-frames and references matter.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

BLOCK = 16
BITS = 10
WIDTH, HEIGHT = 96, 64

_SOUND_RATE, _SOUND_SAMPLES = 16000, 1024


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Frame ``number`` as uint8 ``[height, width, 3]``."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([(x * 2 + number * 3) % 256, (y * 3 + number) % 256, (x + y) % 256], axis=-1)
    image = image.astype(np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, BITS // 2)
        value = 255 if number >> bit & 1 else 0
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = value
    return image


def number_of(image: np.ndarray) -> int:
    """The number spelt in a picture ``[H, W, 3]``, read from the middle of each block."""
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, BITS // 2)
        y, x = row * BLOCK + BLOCK // 4, column * BLOCK + BLOCK // 4
        middle = image[y : y + BLOCK // 2, x : x + BLOCK // 2]
        number |= int(middle.mean() > 127) << bit
    return number


def write_clip(
    path: Path,
    frames: int = 60,
    *,
    container: str = "mp4",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    mux: dict[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pixels: str = "yuv420p",
    ticks: list[int] | None = None,
    rotation: int = 0,
    sound: bool = False,
    rate: Fraction = Fraction(25),
) -> Path:
    """Writes ``frames`` numbered pictures at ``rate`` per second, or at ``ticks`` of 1/1000 s each.

    ``size`` is ``(width, height)`` as coded; ``rotation`` is the counter-clockwise turn, in degrees,
    that a player is asked to make: the pictures are stored turned back by as much. With ``sound``
    there is an AAC track as long as the pictures, its packets between theirs.
    """
    base = Fraction(1, 1000) if ticks else 1 / rate
    # Without the flag a Matroska file gets a random name, and seeded damage would hit another file.
    with av.open(str(path), "w", format=container, options={"fflags": "bitexact"} | (mux or {})) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], pixels
        stream.codec_context.time_base = base
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        voice, spoken = out.add_stream("aac", rate=_SOUND_RATE) if sound else None, 0
        for number in range(frames):
            upright = size if rotation % 180 == 0 else size[::-1]
            image = np.rot90(picture(number, *upright), -rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = ticks[number] if ticks else number
            frame.time_base = base
            out.mux(stream.encode(frame))
            while voice is not None and spoken * _SOUND_SAMPLES < number * _SOUND_RATE / rate:
                out.mux(voice.encode(_silence(spoken)))
                spoken += 1
        out.mux(stream.encode(None))
        if voice is not None:
            out.mux(voice.encode(None))
    return path


def can_write(options: dict) -> bool:
    """Whether this PyAV has the encoder that a kind of clip asks for."""
    return options.get("codec", "libx264") in av.codecs_available


def as_parameter(kind: str, options: dict):
    """``kind`` as a test's parameter, skipped where it cannot be written."""
    reason = f"this PyAV cannot encode {options.get('codec', 'libx264')}"
    return pytest.param(kind, marks=pytest.mark.skipif(not can_write(options), reason=reason))


def _silence(number: int) -> av.AudioFrame:
    """Piece ``number`` of silence."""
    samples = np.zeros((1, _SOUND_SAMPLES), np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = _SOUND_RATE, _SOUND_SAMPLES * number
    return frame


def mirror(source: Path, path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """``source``, an mp4 whose picture is not turned, with another display matrix ``(a, b, c, d)``."""
    one = 1 << 16
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    a, b, c, d = (factor * one for factor in matrix)
    data = source.read_bytes()
    # The first matrix belongs to the film as a whole, the second to its only track.
    place = data.index(plain, data.index(b"tkhd"))
    wanted = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:place] + wanted + data[place + len(plain) :])
    return path


def cut_without_decoding(source: Path, path: Path, first: int) -> Path:
    """Copies the packets of ``source`` so that playback starts at frame ``first``, not a keyframe.

    The mp4 writer records the earlier packets as lying before an edit list's start: they must be
    decoded and never shown.
    """
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", format="mp4", options={"avoid_negative_ts": "disabled"}) as new,
    ):
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        shift = round(first / 25 / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = copy
            new.mux(packet)
    return path


def write_audio(path: Path) -> Path:
    """One second of silence as AAC in an mp4, with no picture."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=_SOUND_RATE)
        for number in range(16):
            out.mux(stream.encode(_silence(number)))
        out.mux(stream.encode(None))
    return path


def truncate(source: Path, path: Path, share: float) -> Path:
    """The first ``share`` of the bytes of ``source``."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def scribble(source: Path, path: Path, start: float, length: int, seed: int = 0) -> Path:
    """``source`` with ``length`` bytes from the share ``start`` of the file on made random."""
    data = bytearray(source.read_bytes())
    at = int(len(data) * start)
    noise = np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8)
    data[at : at + length] = noise.tobytes()
    path.write_bytes(bytes(data))
    return path


def _x264(**more: str) -> dict[str, str]:
    # On pictures as small as these, x264's macroblock tree does not do the same thing every time.
    return {"preset": "veryfast", "crf": "20", "mbtree": "0", **more}


_X265 = {"preset": "ultrafast", "x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none"}
_AV1 = {"preset": "12", "g": "12", "svtav1-params": "lp=1"}

#: name -> keyword arguments of ``write_clip``; every reader test runs over all of them.
KINDS: dict[str, dict] = {
    "bframes": {"options": _x264(g="12", bf="3")},
    "pyramid": {"options": _x264(g="20", bf="4", **{"x264-params": "b-pyramid=normal:ref=4"})},
    "long_gop": {"options": _x264(g="600", bf="3")},
    "open_gop": {
        "frames": 90,
        "options": _x264(g="12", bf="3", **{"x264-params": "open-gop=1:b-pyramid=normal:scenecut=0"}),
    },
    "intra": {"options": _x264(g="1", bf="0")},
    "refresh": {"frames": 90, "options": _x264(g="20", bf="0", **{"x264-params": "intra-refresh=1"})},
    "vfr": {
        "options": _x264(g="12", bf="2"),
        "ticks": [n * 40 + 13 * (n % 3) + 700 * (n // 20) for n in range(60)],
    },
    "odd": {"options": _x264(g="12", bf="2"), "size": (97, 65), "pixels": "yuv444p"},
    "vp9": {
        "container": "webm",
        "codec": "libvpx-vp9",
        "size": (97, 65),
        "options": {
            "g": "15",
            "deadline": "realtime",
            "cpu-used": "8",
            "crf": "30",
            "b": "0",
            "auto-alt-ref": "1",
            "lag-in-frames": "12",
        },
    },
    "vp8": {
        "container": "webm",
        "codec": "libvpx",
        "options": {
            "g": "15",
            "deadline": "realtime",
            "cpu-used": "8",
            "b": "400000",
            "auto-alt-ref": "1",
            "lag-in-frames": "12",
        },
    },
    "hevc": {"codec": "libx265", "options": _X265},
    "mkv": {"container": "matroska", "options": _x264(g="12", bf="3")},
    "avi": {"container": "avi", "codec": "mpeg4", "options": {"g": "12", "qscale": "3"}},
    "avi_bframes": {"container": "avi", "codec": "mpeg4", "options": {"g": "12", "bf": "2", "b": "800000"}},
    "ts": {"container": "mpegts", "options": _x264(g="12", bf="3")},
    "mpeg2_ts": {
        "container": "mpegts",
        "codec": "mpeg2video",
        "options": {"g": "12", "bf": "2", "b": "1500000"},
    },
    "fragmented": {"options": _x264(g="12", bf="3"), "mux": {"movflags": "frag_keyframe+empty_moov"}},
    "single": {"frames": 1, "options": _x264()},
    "two": {"frames": 2, "options": _x264()},
    "rotated": {"options": _x264(g="12", bf="3"), "size": (64, 96), "rotation": -90},
    "sound": {"options": _x264(g="12", bf="3"), "sound": True},
    "ten_bit": {"options": _x264(g="12", bf="3"), "pixels": "yuv420p10le"},
    "hevc_ten_bit": {"codec": "libx265", "options": _X265, "pixels": "yuv420p10le"},
    "full_range": {"options": _x264(g="12", bf="3"), "pixels": "yuvj420p"},
    "interlaced": {"options": _x264(g="12", bf="3", **{"x264-params": "tff=1"})},
    "interlaced_ts": {
        "container": "mpegts",
        "codec": "mpeg2video",
        "options": {"g": "12", "bf": "2", "b": "1500000", "flags": "+ildct+ilme"},
    },
    "av1": {"codec": "libsvtav1", "options": _AV1},
    "av1_webm": {"container": "webm", "codec": "libsvtav1", "options": _AV1},
    "vp9_mp4": {"codec": "libvpx-vp9", "options": {"g": "15", "deadline": "realtime", "cpu-used": "8"}},
    "gif": {"container": "gif", "codec": "gif", "pixels": "rgb8"},
}

#: The kinds of file that a data set gathered from people's own uploads holds: suffix -> as KINDS.
ZOO: dict[str, dict] = {
    "mov": {"container": "mov", "options": _x264(g="12", bf="3"), "sound": True},
    "avi": {"container": "avi", "codec": "mjpeg", "pixels": "yuvj422p"},
    "mp4": {"options": _x264(g="12", bf="3"), "sound": True},
    "mpg": {"container": "mpeg", "codec": "mpeg1video", "options": {"g": "12", "bf": "2", "b": "1500000"}},
    "m4v": {"container": "ipod", "codec": "mpeg4", "options": {"g": "12", "qscale": "3"}, "sound": True},
    "3gp": {"container": "3gp", "codec": "h263", "options": {"g": "12", "qscale": "3"}, "size": (176, 144)},
    "wmv": {"container": "asf", "codec": "wmv2", "options": {"g": "12", "b": "800000"}},
    "3g2": {"container": "3g2", "codec": "mpeg4", "options": {"g": "12", "qscale": "3"}},
    "mts": {"container": "mpegts", "options": _x264(g="12", bf="3"), "sound": True},
    "m2ts": {"container": "mpegts", "options": _x264(g="12", bf="3"), "mux": {"mpegts_m2ts_mode": "1"}},
    "flv": {"container": "flv", "options": _x264(g="12", bf="3")},
    "vob": {"container": "vob", "codec": "mpeg2video", "options": {"g": "12", "bf": "2", "b": "1500000"}},
}

"""Makes video files: frames into several containers and codecs, the same bytes each time on one machine.

Not covered: sound, and any frame rate that changes within a clip.
"""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from harness.errors import HarnessError


@dataclass(frozen=True)
class Format:
    """A container and a codec, by the names that libav gives its writers.

    ``options`` are the encoder's, ``mux`` the container's. Without ``bitexact`` some containers hold
    a random number or the time of day. ``pixels`` is how the codec stores a pixel.
    """

    container: str
    codec: str
    options: Mapping[str, str] = field(default_factory=dict)
    mux: Mapping[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"


_BITEXACT = {"fflags": "+bitexact"}
# As in files that people download: predicted and reordered frames, a keyframe every second or so.
# What x264 decides by looking ahead (quality by frame and block, kinds of frames) is not the same each
# time, even in one thread; a fixed quantiser and fixed places of B-frames leave nothing to decide.
_X264 = {"preset": "veryfast", "qp": "26", "g": "12", "bf": "2", "b_strategy": "0", "sc_threshold": "0"}
_MPEG4 = {"qscale": "6", "g": "12", "bf": "2"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0", "g": "12"}

#: The usual content of a file, by its suffix. ``.mpg`` takes 24, 25 or 30 frames a second, no others, and
#: ``.gif`` whole hundredths of a second for each frame, and 256 colours.
FORMATS: dict[str, Format] = {
    ".mp4": Format("mp4", "libx264", _X264, _BITEXACT),
    ".m4v": Format("ipod", "libx264", _X264, _BITEXACT),
    ".mov": Format("mov", "libx264", _X264, _BITEXACT),
    ".mkv": Format("matroska", "libx264", _X264, _BITEXACT),
    ".webm": Format("webm", "libvpx-vp9", _VP9, _BITEXACT),
    ".avi": Format("avi", "mpeg4", _MPEG4, _BITEXACT),
    ".3gp": Format("3gp", "mpeg4", {**_MPEG4, "bf": "0"}, _BITEXACT),
    ".mpg": Format("mpeg", "mpeg1video", _MPEG4, _BITEXACT),
    ".wmv": Format("asf", "wmv2", {"qscale": "6", "g": "12"}, _BITEXACT),
    ".gif": Format("gif", "gif", {}, _BITEXACT, pixels="rgb8"),
}


def encode(frames: np.ndarray, fps: int, how: Format) -> bytes:
    """Encode uint8 ``[T, H, W, 3]`` RGB frames (even sides) as a file of that format.

    The bytes are the same each time if the encoder's ``options`` leave it no choice; those of
    :data:`FORMATS` do.
    """
    file = io.BytesIO()
    # One for all frames: setting up the colour conversion costs more than a small frame's coding.
    reformatter = VideoReformatter()
    with av.open(file, "w", format=how.container, options=dict(how.mux)) as container:
        stream = container.add_stream(how.codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = how.pixels
        stream.time_base = Fraction(1, fps)
        context, colours = stream.codec_context, {}
        if how.pixels.startswith("yuv"):
            # Said in the stream, so that a decoder does not have to guess the matrix from the size.
            context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.SMPTE170M
            colours = {"dst_colorspace": Colorspace.SMPTE170M, "dst_color_range": ColorRange.MPEG}
        # Several threads may divide a picture differently, and with it the bytes.
        context.thread_count = 1
        context.options = dict(how.options)
        for number, pixels in enumerate(frames):
            if how.pixels == "rgb8":
                frame = av.VideoFrame.from_ndarray(_in_256_colours(pixels), format="rgb8")
            else:
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = reformatter.reformat(picture, format=how.pixels, **colours)
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def _in_256_colours(pixels: np.ndarray) -> np.ndarray:
    """uint8 ``[H, W, 3]`` as ``[H, W]``: three bits of red, three of green, two of blue.

    The nearest of each. libav scatters the error over neighbours, which makes a file ten times as large.
    """
    red, green, blue = (
        np.rint(pixels[..., k] / 255.0 * top).astype(np.uint8) for k, top in enumerate((7, 7, 3))
    )
    return red << 5 | green << 2 | blue


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which takes the name ``folder`` at the end of the block.

    If the block fails or is interrupted, nothing is left of it. Raises HarnessError where
    ``folder`` is anything but an empty folder or a name still free.
    """
    target = folder.resolve()
    _refuse_taken(target)
    parents = [parent for parent in target.parents if not parent.exists()]
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        _refuse_taken(target)
        os.rename(draft, target)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in parents:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(error, OSError):
            raise HarnessError(f"{folder} cannot be written: {error}", "name another folder") from error
        raise


def _refuse_taken(target: Path) -> None:
    if target == Path.cwd():
        # Renaming onto it would leave the user's shell in a folder that no longer has a name.
        raise HarnessError(f"{target} is the working folder", "name a folder that does not exist yet")
    if target.exists() and not target.is_dir():
        raise HarnessError(f"{target} is a file", "name a folder that is empty or does not exist yet")
    if target.is_dir() and any(target.iterdir()):
        raise HarnessError(
            f"{target} is not empty", "name a folder that is empty or does not exist yet; nothing is replaced"
        )

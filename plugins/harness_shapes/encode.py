"""Writes frames as H.264 in mp4 through PyAV, the same bytes each time on one machine."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

#: Fine enough to keep a 10-pixel outline sharp, coarse enough to be a real compressed picture.
QP = 20


def encode_mp4(frames: np.ndarray, fps: int, qp: int = QP, gop: int = 1, b_frames: int = 0) -> bytes:
    """Encode uint8 ``[T, H, W, 3]`` RGB frames (even sides) as an mp4 file.

    Every frame gets the quantiser ``qp``, and with the default ``gop`` of 1 every frame is coded
    on its own: the picture quality of a frame then says nothing about its place in the clip.
    Larger ``gop`` and ``b_frames`` give the usual predicted and reordered frames.
    """
    file = io.BytesIO()
    # One for all frames: setting up the colour conversion costs more than a small frame's coding.
    reformatter = VideoReformatter()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        context = stream.codec_context
        # Said in the stream, so that a decoder does not have to guess the matrix from the size.
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.SMPTE170M
        context.thread_count = 1
        context.options = {
            "preset": "veryfast",
            "qp": str(qp),
            "bf": str(b_frames),
            "g": str(gop),
            # x264 quantises the kinds of frames differently unless both ratios are one.
            "x264-params": f"ipratio=1:pbratio=1:keyint={gop}:scenecut=0",
        }
        for number, pixels in enumerate(frames):
            frame = reformatter.reformat(
                av.VideoFrame.from_ndarray(pixels, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.SMPTE170M,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()

"""How the frames of a shapes clip are coded: every one on its own, at one quality."""

from __future__ import annotations

import numpy as np

from harness.data.writing import Format, encode

#: Fine enough to keep a 10-pixel outline sharp, coarse enough to be a real compressed picture.
QP = 20


def encode_mp4(frames: np.ndarray, fps: int, qp: int = QP, gop: int = 1, b_frames: int = 0) -> bytes:
    """Encode uint8 ``[T, H, W, 3]`` RGB frames (even sides) as an mp4 file.

    Every frame gets the quantiser ``qp``, and with the default ``gop`` of 1 every frame is coded
    on its own: the picture quality of a frame then says nothing about its place in the clip.
    Larger ``gop`` and ``b_frames`` give the usual predicted and reordered frames.
    """
    options = {
        "preset": "veryfast",
        "qp": str(qp),
        "bf": str(b_frames),
        "g": str(gop),
        # x264 quantises the kinds of frames differently unless both ratios are one.
        "x264-params": f"ipratio=1:pbratio=1:keyint={gop}:scenecut=0",
    }
    return encode(frames, fps, Format("mp4", "libx264", options))

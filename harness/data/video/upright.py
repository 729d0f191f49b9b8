"""From a decoded frame to the picture that a player shows: RGB, turned and mirrored as asked.

Pixels are taken as square, as retrieval data loaders do. A turn by anything but quarters is rounded
to quarters. Fields of interlaced video stay woven into one picture.
"""

from __future__ import annotations

import threading

import av
import numpy as np
from av.video.reformatter import VideoReformatter

_of_thread = threading.local()


def upright(frame: av.VideoFrame) -> np.ndarray:
    """The frame as shown, uint8 RGB ``[H, W, 3]``, contiguous."""
    # One thread: many clips are read at once, and each is small.
    picture = _reformatter().reformat(frame, format="rgb24", threads=1).to_ndarray()
    turned, flip_y, flip_x = _attitude(frame)
    if not (turned or flip_x or flip_y):
        return picture
    picture = picture.transpose(1, 0, 2) if turned else picture
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of the frame as shown."""
    return (frame.height, frame.width) if _attitude(frame)[0] else (frame.width, frame.height)


def _attitude(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """How to show the stored picture: swap rows and columns first?, then flip down?, across?

    A display matrix maps the stored place (x, y) to (a x + c y, b x + d y), with a, b, c, d in its
    places 0, 1, 3, 4. Negative factors leave the picture outside the screen; players move it back.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32, 5).astype(np.int64).tolist()
    turned = abs(a) + abs(d) < abs(b) + abs(c)
    return (True, b < 0, c < 0) if turned else (False, d < 0, a < 0)


def _reformatter() -> VideoReformatter:
    """This thread's converter: setting one up costs more than converting a small frame."""
    if not hasattr(_of_thread, "reformatter"):
        _of_thread.reformatter = VideoReformatter()
    return _of_thread.reformatter

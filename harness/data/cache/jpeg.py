"""Frames as JPEG pictures: a fifth to a tenth of the space, for slightly other pixels. Pillow only.

A run that stores its frames so reads them back so with and without a cache: what a model sees
depends on the recipe, never on what happened to be stored before.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

#: Colour at full resolution: at equal size that is nearer to the frame than halved colour of a
#: higher quality, by up to 2 dB.
QUALITY, SUBSAMPLING = 90, "4:4:4"

#: How much smaller than the pixels they are taken to be where nothing has been measured:
#: photographs are 5 to 8 times, smooth or dark video more.
ABOUT_TIMES_SMALLER = 7

#: Part of the cache key.
KEY = f"jpeg {QUALITY} {SUBSAMPLING}"


def encode(frame: np.ndarray) -> bytes:
    """A frame uint8 ``[3, H, W]`` as one picture."""
    from PIL import Image

    made = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
    picture.save(made, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
    return made.getvalue()


def decode(pictures: Sequence[bytes]) -> np.ndarray:
    """Pictures of one size as uint8 ``[T, 3, H, W]``."""
    from PIL import Image

    frames = None
    for place, picture in enumerate(pictures):
        pixels = np.asarray(Image.open(io.BytesIO(picture)))
        if frames is None:
            height, width, _ = pixels.shape
            frames = np.empty((len(pictures), 3, height, width), dtype=np.uint8)
        frames[place] = pixels.transpose(2, 0, 1)
    assert frames is not None, "a clip has at least one frame"
    return frames

"""Picture geometry: from a decoded frame to the square that a tower takes. Pillow and numpy only.

Values stay uint8; mean and deviation are applied on the device, so one cached clip serves every
tower of the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError


@dataclass(frozen=True)
class Geometry:
    """Resize to ``size`` pixels square, exactly as torchvision does on Pillow images.

    ``fit="crop"``: the short side becomes ``size``, then the centre is cut out (CLIP's own
    preprocessing); ``fit="squash"``: straight to the square, aspect ratio not kept (CLIP-ViP).
    ``interpolation`` is ``"bicubic"`` or ``"bilinear"``, both antialiased by Pillow.
    """

    size: int = 224
    fit: str = "crop"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise HarnessError(f"a frame cannot be {self.size} pixels wide", "set size, e.g. 224")
        if self.fit not in ("crop", "squash"):
            raise HarnessError(f"unknown fit '{self.fit}'", "choose 'crop' or 'squash'")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise HarnessError(
                f"unknown interpolation '{self.interpolation}'", "choose 'bicubic' or 'bilinear'"
            )

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """uint8 ``[H, W, 3]`` to uint8 ``[3, size, size]``, contiguous."""
        height, width = picture.shape[:2]
        target = self._target(width, height)
        if target != (width, height):
            from PIL import Image

            how = Image.Resampling[self.interpolation.upper()]
            picture = np.asarray(Image.fromarray(picture).resize(target, how))
        width, height = target
        # round() goes to the even number at one half, as torchvision's centre crop does.
        left, top = (round((side - self.size) / 2) for side in (width, height))
        square = picture[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(square.transpose(2, 0, 1))

    def _target(self, width: int, height: int) -> tuple[int, int]:
        """``(width, height)`` after the resize and before the crop."""
        if self.fit == "squash":
            return self.size, self.size
        short, long = sorted((width, height))
        stretched = int(self.size * long / short)
        return (self.size, stretched) if width <= height else (stretched, self.size)

    def key(self) -> str:
        """A stable name for cache addresses."""
        return f"{self.fit}-{self.size}-{self.interpolation}"

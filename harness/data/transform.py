"""Picture geometry: from a decoded frame to the square that a tower takes. Pillow and numpy only.

Values stay uint8; mean and deviation are applied on the device, so one cached clip serves every
tower of the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.data.resize import as_levels, resized
from harness.errors import HarnessError

#: Who resizes: Pillow, or torch's arithmetic on tensors without and with its antialiasing filter.
RESIZES = ("pillow", "tensor", "tensor_antialias")


@dataclass(frozen=True)
class Geometry:
    """Resize to ``size`` pixels square, as torchvision does on Pillow images or on tensors.

    ``fit="crop"``: the short side becomes ``size``, then the centre is cut out (CLIP's own
    preprocessing); ``fit="squash"``: straight to the square, aspect ratio not kept (CLIP-ViP).
    ``interpolation`` is ``"bicubic"`` or ``"bilinear"``. ``resize`` is ``"pillow"``, which antialiases
    both; ``"tensor"``, torchvision's on tensors before 0.17, without antialiasing (CLIP-ViP); or
    ``"tensor_antialias"``, its default since. The latter two are rounded and clamped to uint8 here, where
    a reference goes on with floats (:mod:`harness.data.resize`).
    """

    size: int = 224
    fit: str = "crop"
    interpolation: str = "bicubic"
    resize: str = "pillow"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise HarnessError(f"a frame cannot be {self.size} pixels wide", "set size, e.g. 224")
        if self.fit not in ("crop", "squash"):
            raise HarnessError(f"unknown fit '{self.fit}'", "choose 'crop' or 'squash'")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise HarnessError(
                f"unknown interpolation '{self.interpolation}'", "choose 'bicubic' or 'bilinear'"
            )
        if self.resize not in RESIZES:
            raise HarnessError(f"unknown resize '{self.resize}'", f"choose {', '.join(RESIZES)}")

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """uint8 ``[H, W, 3]`` to uint8 ``[3, size, size]``, contiguous."""
        height, width = picture.shape[:2]
        target = self._target(width, height)
        if target != (width, height):
            picture = self._resized(picture, target)
        width, height = target
        # round() goes to the even number at one half, as torchvision's centre crop does.
        left, top = (round((side - self.size) / 2) for side in (width, height))
        square = picture[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(square.transpose(2, 0, 1))

    def _resized(self, picture: np.ndarray, target: tuple[int, int]) -> np.ndarray:
        if self.resize != "pillow":
            antialias = self.resize == "tensor_antialias"
            return as_levels(resized(picture, *target, self.interpolation, antialias))
        from PIL import Image

        how = Image.Resampling[self.interpolation.upper()]
        return np.asarray(Image.fromarray(picture).resize(target, how))

    def _target(self, width: int, height: int) -> tuple[int, int]:
        """``(width, height)`` after the resize and before the crop."""
        if self.fit == "squash":
            return self.size, self.size
        short, long = sorted((width, height))
        stretched = int(self.size * long / short)
        return (self.size, stretched) if width <= height else (stretched, self.size)

    def key(self) -> str:
        """A stable name for cache addresses; Pillow's frames are called as they were when there was no other."""
        name = f"{self.fit}-{self.size}-{self.interpolation}"
        return name if self.resize == "pillow" else f"{name}-{self.resize}"

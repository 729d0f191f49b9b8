"""Settings of the generated data set and the name of what they generate. Imports no numpy."""

from __future__ import annotations

from typing import Annotated

import msgspec

from harness import Options

#: Raise this whenever any pixel, caption, clip name or encoder setting changes.
GENERATOR_VERSION = 1


class ShapesOptions(Options):
    """``seed`` picks the jitter of every clip; ``train_clips`` is how many train clips to use.

    A smaller ``train_clips`` is a prefix of a larger one, so both share their files. The default
    shows each of the 192 combinations of colour, shape and motion six times.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    train_clips: Annotated[int, msgspec.Meta(ge=1)] = 1152


def fingerprint(seed: int) -> str:
    """Name the generated content: version and seed, as encoders differ in bytes by build."""
    return f"shapes-v{GENERATOR_VERSION}-seed{seed}"

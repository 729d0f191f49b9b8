"""A folder of numbered pictures as a clip: ``video0/img_0001.jpg``, ``<id>/<id>_000.jpg`` and the like.

The frames are the pictures whose names end in a number, in the order of their numbers; other files are
no frames. The numbers must be evenly spaced, from wherever they start: a gap is a lost frame, which
would put all later ones at wrong times.

Frame ``i`` is shown at ``i / rate`` seconds. The rate is taken from the name of the folder itself or
of one of the two above it, the nearest first, that states one (``frames_fps4``, ``videos_6fps``), and
is 1 per second otherwise. Orientation tags are not followed: extracted frames stand upright.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from harness.data.files import PICTURE_SUFFIXES
from harness.data.video.damage import DamagedClip, raise_if_out_of_files, raise_if_special
from harness.data.video.decoding import Choose, Convert, Decoded, Wanted
from harness.data.video.survey import VideoInfo

_NUMBER = re.compile(r"(\d+)$")
_RATE = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)_?fps(?![a-z0-9])|(?<![a-z])fps_?(\d+(?:\.\d+)?)", re.IGNORECASE
)


def probe_pictures(folder: Path | str) -> VideoInfo:
    """Counts and times the pictures of ``folder``; opens the first only, for the size.

    Raises :class:`DamagedClip`.
    """
    return _survey(Path(folder), numbered_pictures(folder))


def read_pictures(folder: Path | str, choose: Choose, *, convert: Convert | None = None) -> Decoded:
    """The pictures that ``choose`` picks, as :func:`harness.data.video.read_frames` does for a file.

    A picture that cannot be decoded, or is not as large as the first one, raises
    :class:`DamagedClip`.
    """
    folder = Path(folder)
    files = numbered_pictures(folder)
    info = _survey(folder, files)
    wanted = Wanted(info, choose, convert)
    for index in sorted(wanted.missing):
        wanted.take(index, lambda file=files[index]: _picture(folder, file, (info.width, info.height)))
    return wanted.result()


def numbered_pictures(folder: Path | str) -> list[Path]:
    """The picture files of ``folder`` in the order of their numbers. Raises :class:`DamagedClip` where
    there are none, where two share a number, and where one is missing between others."""
    folder, numbered = Path(folder), {}
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise_if_out_of_files(error, folder)
        raise DamagedClip(folder, error.strerror or str(error), lasting=False) from error
    for file in files:
        number = number_in(file.name)
        if number is None:
            continue
        other = numbered.setdefault(number, file)
        if other != file:
            raise DamagedClip(folder, f"{other.name} and {file.name} have the same number")
    if not numbered:
        raise DamagedClip(folder, "is a folder without numbered pictures")
    numbers = sorted(numbered)
    steps = np.diff(numbers)
    if len(steps) and steps.min() != steps.max():
        gap = int(np.argmax(steps))
        last, following = numbered[numbers[gap]], numbered[numbers[gap + 1]]
        raise DamagedClip(folder, f"pictures are missing between {last.name} and {following.name}")
    return [numbered[number] for number in numbers]


def number_in(name: str) -> int | None:
    """The number of a picture called ``name``; None of a file that is no frame."""
    stem, suffix = os.path.splitext(name)
    number = _NUMBER.search(stem)
    if number is None or suffix.lower() not in PICTURE_SUFFIXES or name.startswith("."):
        return None
    return int(number[1])


def rate_of(folder: Path | str) -> float:
    """Pictures per second, from the names of the folder and the two above it; 1 if none says."""
    path = Path(folder).absolute()
    for name in (path.name, path.parent.name, path.parent.parent.name):
        if stated := _RATE.search(name):
            rate = float(stated[1] or stated[2])
            if rate > 0:
                return rate
    return 1.0


def _survey(folder: Path, files: list[Path]) -> VideoInfo:
    height, width = _picture(folder, files[0], None).shape[:2]
    rate = rate_of(folder)
    return VideoInfo(len(files), len(files) / rate, width, height, np.arange(len(files)) / rate, rate)


def _picture(folder: Path, file: Path, size: tuple[int, int] | None) -> np.ndarray:
    """The picture as uint8 RGB ``[H, W, 3]``; it must have the ``size`` (width, height) if given."""
    from PIL import Image

    try:
        raise_if_special(file)
    except DamagedClip as error:
        raise DamagedClip(folder, f"{file.name} {error.reason}", lasting=False) from error
    try:
        with Image.open(file) as image:
            if size is not None and image.size != size:
                wide, high = image.size
                raise DamagedClip(folder, f"{file.name} is {wide}x{high}, the first {size[0]}x{size[1]}")
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise_if_out_of_files(error, folder)
        # Pillow's own errors carry no number; those of the file system do.
        kept = getattr(error, "errno", None) is None
        raise DamagedClip(folder, f"{file.name} cannot be decoded: {error}", lasting=kept) from error

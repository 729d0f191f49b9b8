"""A picture of what a search found: for each hit a strip of frames, with rank, score and file name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data import Clip
from harness.data.strip import strip_of
from harness.engine.search import Findings, Hit, Ranking, on_one_line
from harness.errors import HarnessError
from harness.results.atomic import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

#: File suffixes, with the name that Pillow has for each format.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

#: Frames in a strip, evenly spaced from the first to the last one.
FRAMES = 6

#: Sizes in pixels: the box that a frame is fitted into, gaps, letters, a line of them, and the least
#: width of a sheet, for the letters' sake.
FRAME_WIDTH, FRAME_HEIGHT, GAP, LETTERS, LINE, MIN_WIDTH = 192, 108, 6, 15, 24, 640

#: A JPEG cannot be higher, in pixels.
JPEG_HEIGHT = 65_500

_ROW = LINE + FRAME_HEIGHT + GAP
_PAPER, _INK, _FAINT = "white", "black", "dimgray"


def check_picture(path: Path) -> None:
    """Refuse a place where no picture can go, before any work is done for it."""
    if path.suffix.lower() not in FORMATS:
        raise HarnessError(f"{path} does not end like a picture", f"end it with {', '.join(FORMATS)}")
    if path.is_dir():
        raise HarnessError(f"{path} is a folder", "give the picture another name")
    if not path.parent.is_dir():
        raise HarnessError(f"{path.parent} is no folder, so no picture can go there", "make it first")


def write_contact_sheet(path: Path, findings: Findings) -> None:
    """Draw all hits of all sentences, one below the other, and write them to ``path``."""
    from PIL import Image, ImageDraw

    form = FORMATS[path.suffix.lower()]
    height = GAP + sum(_height(ranking) for ranking in findings.rankings)
    if form == "JPEG" and height > JPEG_HEIGHT:
        raise HarnessError(
            f"the picture would be {height} pixels high, a JPEG can have {JPEG_HEIGHT}",
            "end its name with .png, or ask for fewer hits with --top",
        )
    files = {hit.file for ranking in findings.rankings for hit in ranking.hits}
    strips = {
        file: strip_of(Clip(file, findings.folder / file), FRAMES, FRAME_WIDTH, FRAME_HEIGHT)
        for file in sorted(files)
    }
    sheet = Image.new("RGB", (max(MIN_WIDTH, *map(_width, strips.values())), height), _PAPER)
    pen, top = ImageDraw.Draw(sheet), GAP
    for ranking in findings.rankings:
        _write(pen, sheet.width, top, ranking.sentence, _INK)
        for row, hit in enumerate(ranking.hits):
            line = top + LINE + row * _ROW
            _write(pen, sheet.width, line, _caption(hit), _FAINT)
            left = GAP
            for frame in strips[hit.file]:
                sheet.paste(frame, (left, line + LINE))
                left += frame.width + GAP
        top += _height(ranking)
    content = io.BytesIO()
    sheet.save(content, form)
    write_atomically(path, content.getvalue(), "give another --picture")


def _height(ranking: Ranking) -> int:
    return LINE + len(ranking.hits) * _ROW + GAP


def _width(strip: Sequence[Image]) -> int:
    return GAP + sum(frame.width + GAP for frame in strip)


def _caption(hit: Hit) -> str:
    return f"{hit.rank} · {hit.score:.4f} · {hit.length_s:.1f} s · {on_one_line(hit.file)}"


def _write(pen: ImageDraw, width: int, top: int, text: str, colour: str) -> None:
    """One line of text, cut short where it does not fit."""
    from PIL import ImageFont

    font = ImageFont.load_default(LETTERS)
    text = " ".join(text.split())
    while len(text) > 1 and font.getlength(text) > width - 2 * GAP:
        text = text[: -max(2, len(text) // 50)] + "…"
    pen.text((GAP, top), text, fill=colour, font=font)

"""Strips of clips as pictures that lie in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from harness.data import Clip

#: Frames of a strip, and the box of each in pixels.
FRAMES, WIDTH, HEIGHT = 3, 128, 96
_QUALITY = 72


@dataclass(frozen=True)
class Pictures:
    """Strips of the clips of a gallery, each decoded once. Without ``clips`` there are none."""

    clips: Mapping[str, Clip] = field(default_factory=dict)
    _made: dict[str, str] = field(default_factory=dict)

    def tile(self, clip: str, label: str, *, meant: bool = False) -> str:
        """The strip of a clip above its label and id; its id alone where there are no videos at all."""
        kind = "tile meant" if meant else "tile"
        return f'<div class="{kind}">{self._picture(clip)}<b>{escape(label)}</b> {escape(clip)}</div>'

    def _picture(self, clip: str) -> str:
        if not self.clips:
            return ""
        if clip not in self._made:
            self._made[clip] = _strip(self.clips[clip]) if clip in self.clips else ""
        if not self._made[clip]:
            return '<div class="none">no picture</div>'
        alt = f"{FRAMES} frames of {clip}"
        return f'<img src="data:image/jpeg;base64,{self._made[clip]}" alt="{escape(alt)}" loading="lazy">'


def _strip(clip: Clip) -> str:
    """The frames of a clip side by side, a JPEG in base64; empty where it cannot be read."""
    from PIL import Image

    from harness.data.strip import strip_of

    frames = strip_of(clip, FRAMES, WIDTH, HEIGHT)
    if not frames:
        return ""
    gap = 2
    width = sum(frame.width for frame in frames) + gap * (len(frames) - 1)
    strip, left = Image.new("RGB", (width, max(frame.height for frame in frames)), "white"), 0
    for frame in frames:
        strip.paste(frame, (left, 0))
        left += frame.width + gap
    content = io.BytesIO()
    strip.save(content, "JPEG", quality=_QUALITY)
    return base64.b64encode(content.getvalue()).decode("ascii")

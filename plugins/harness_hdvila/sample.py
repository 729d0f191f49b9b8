"""A miniature of HD-VILA: lines of subtitles, captions of middle frames, clips in folders of their videos."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.data import write_captions
from harness.data.scenes import film, invent

_COUNTS = {"train": 16, "val": 8}

#: Clips are cut from longer videos, so many from each.
_PER_VIDEO = 4

#: What is said in a clip is seldom what is seen in it.
_SPOKEN = ("so what you see here is that {}", "okay now {} and", "and then uh {} right", "look {}")


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 24 clips, a subtitle each, and an auxiliary caption for each but the last two."""
    scenes = invent("hdvila", [1] * sum(_COUNTS.values()))
    captions = []
    for split, count in _COUNTS.items():
        rows = []
        for number in range(count):
            scene = scenes.pop()
            place = len(scenes) // _PER_VIDEO
            video = f"Inv_{place * 7919 + 10007:05d}-{'xy'[place % 2]}"
            clip = f"{video}.{len(scenes) % _PER_VIDEO}.mp4"
            film(scene, folder / "videos" / video / clip, 2 + number % 3)
            said, seen = scene.sentences()[number % 15], scene.sentences()[(number + 7) % 15]
            rows.append({"clip_id": clip, "text": _SPOKEN[number % len(_SPOKEN)].format(said)})
            captions.append((clip, seen))
        _write_lines(folder / f"{split}.jsonl", rows)
    write_captions(folder / "captions.jsonl", captions[:-2], {"captioner": "invented", "dataset": "hdvila"})


def _write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

"""A small folder of videos with one csv of their captions, to start one's own from."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.data.scenes import film, invent

_COUNTS = {"train": 16, "test": 8}
_SENTENCES = 2
_SUFFIXES = (".mp4", ".webm", ".mov", ".avi")


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 24 clips in four containers, two captions each, a row for each caption."""
    scenes = invent("folder", [1] * sum(_COUNTS.values()))
    rows = []
    for split, count in _COUNTS.items():
        for number in range(count):
            scene = scenes.pop()
            # The same names in both folders, as cameras give them: the path tells them apart.
            name = f"{split}ing/clip_{number:03d}{_SUFFIXES[number % len(_SUFFIXES)]}"
            film(scene, folder / name, 2 + number % 3)
            rows += [(name, text, split) for text in scene.sentences()[:_SENTENCES]]
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("video", "caption", "split"), *rows])

"""A miniature of WebVid: two csv files, and videos in folders of the pages they come from."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.data.scenes import film, invent

_COUNTS = {"train": 16, "val": 8}
_HEADER = ("videoid", "contentUrl", "duration", "page_dir", "name")


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 24 clips, one text each; the text has commas, as many of the real ones."""
    scenes = invent("webvid", [1] * sum(_COUNTS.values()))
    for split, count in _COUNTS.items():
        rows = []
        for number in range(count):
            scene, seconds = scenes.pop(), 2 + number % 3
            video = str(1_000_003 + 7919 * len(scenes))
            page = f"{50 * (number // 4) + 1:06d}_{50 * (number // 4) + 50:06d}"
            film(scene, folder / "videos" / page / f"{video}.mp4", seconds)
            text = scene.sentences()[number % 15]
            name = f"{text[0].upper()}{text[1:]}, drawn animation, loop"
            url = f"https://example.org/videos/{video}.mp4"
            rows.append((video, url, f"PT00H00M{seconds:02d}S", page, name))
        with (folder / f"results_2M_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([_HEADER, *rows])

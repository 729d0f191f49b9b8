"""A miniature of TGIF-QA: GIFs, and the owner's two tables of questions that a frame can answer."""

from __future__ import annotations

import csv
import random
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.data.scenes import Scene, film, invent

_COUNTS = {"Train": 16, "Test": 8}
_HEADER = ("gif_name", "question", "answer", "type", "vid_id", "key", "description")
_TYPES = {"object": 0, "number": 1, "colour": 2, "location": 3}
#: A GIF states how long a frame is shown in hundredths of a second.
_FPS = 10


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 24 GIFs of 2 s in ``gifs``, and three questions about each."""
    rng = random.Random("tgif")
    scenes = invent("tgif", [1] * sum(_COUNTS.values()))
    first = 0
    for split, count in _COUNTS.items():
        rows: list[Sequence[object]] = [_HEADER]
        for number in range(first, first + count):
            name = f"tumblr_{''.join(rng.choices(string.ascii_lowercase + string.digits, k=17))}o1_250"
            film(scenes[number], folder / "gifs" / f"{name}.gif", 2, _FPS)
            rows += _questions(name, number, scenes[number])
        first += count
        with (folder / f"{split}_frameqa_question.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\r\n").writerows(rows)


def _questions(name: str, number: int, scene: Scene) -> Iterator[Sequence[object]]:
    described = f"{scene.sentences()[0]} ."
    for place, (question, answer, kind) in enumerate(scene.questions()):
        yield name, f"{question} ?", answer, _TYPES[kind], f"FRAMEQA{3 * number + place}", number, described

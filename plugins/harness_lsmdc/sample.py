"""A miniature of the film clips and their three files, with invented films."""

from __future__ import annotations

from pathlib import Path

from harness.data.scenes import Scene, film, invent

_FILES = {
    "LSMDC16_annos_training.csv": (16, ("0001_A_Walk_Of_Circles", "0002_Bars_And_Rings", "0003_The_Square")),
    "LSMDC16_annos_val.csv": (4, ("1001_Diamonds_At_Noon",)),
    "LSMDC16_challenge_1000_publictect.csv": (8, ("2001_Under_Stripes", "2002_No_Dots")),
}


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 28 clips in folders by film, and one row for each; one has two."""
    scenes = invent("lsmdc", [1] * sum(count for count, _ in _FILES.values()))
    for file_name, (count, films) in _FILES.items():
        rows, shown = [], [scenes.pop() for _ in range(count)]
        for number, scene in enumerate(shown):
            title = films[number * len(films) // count]
            start_ms, length_ms = 62_345 + 9_870 * number, 2000 + 500 * (number % 4)
            times = [_clock(start_ms), _clock(start_ms + length_ms)]
            clip = f"{title}_{'-'.join(times)}"
            film(scene, folder / title / f"{clip}.avi", length_ms / 1000)
            # What was cut out of the film reaches a little further than what the sentence is about.
            times += [_clock(start_ms - 345), _clock(start_ms + length_ms + 155)]
            rows.append([clip, *times, _sentence(scene, number)])
        if "training" in file_name:
            # In the real file a few clips come again, with another sentence.
            rows.append([*rows[5][:-1], _sentence(shown[5], 9)])
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / file_name).write_text(text, encoding="utf-8")


def _sentence(scene: Scene, number: int) -> str:
    text = scene.sentences()[number % 15]
    return f"{text[0].upper()}{text[1:]}."


def _clock(ms: int) -> str:
    """Milliseconds as ``hh.mm.ss.ms``."""
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}.{seconds // 60 % 60:02d}.{seconds % 60:02d}.{ms:03d}"

"""A miniature of MSVD: avi files, three lists of ids, a pickle with captions, and files of questions."""

from __future__ import annotations

import json
import pickle
import random
import string
from pathlib import Path

from harness.data.scenes import film, invent

_COUNTS = {"train": 16, "val": 4, "test": 8}
_LETTERS = string.ascii_letters + string.digits + "-_"


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 28 clips of five to nine captions and three questions each."""
    rng = random.Random("msvd")
    scenes = invent("msvd", [1] * sum(_COUNTS.values()))
    captions: dict[str, list[list[str]]] = {}
    questions: dict[str, list[dict[str, object]]] = {}
    for split, count in _COUNTS.items():
        names = [_name(number, rng) for number in range(count)]
        for number, name in enumerate(names):
            scene = scenes.pop()
            film(scene, folder / "YouTubeClips" / f"{name}.avi", _seconds(number))
            captions[name] = [text.split() for text in scene.sentences()[: 5 + number % 5]]
            asked = questions.setdefault(split, [])
            for question, answer, _ in scene.questions():
                row = {"answer": answer, "id": len(asked), "question": f"{question}?"}
                asked.append({**row, "video_id": len(captions)})
        (folder / f"{split}_list.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    for split, asked in questions.items():
        (folder / f"{split}_qa.json").write_text(json.dumps(asked), encoding="utf-8")
    numbered = (f"{name} vid{number}\n" for number, name in enumerate(captions, start=1))
    (folder / "youtube_mapping.txt").write_text("".join(numbered), encoding="utf-8")
    # The real file is of this old protocol as well.
    (folder / "raw-captions.pkl").write_bytes(pickle.dumps(captions, protocol=2))


def _seconds(number: int) -> int:
    return 2 + number % 3


def _name(number: int, rng: random.Random) -> str:
    """Video id, first and last second, such as ``-4wsuPCjDBc_5_15``; some begin with a dash."""
    start = "-_ab"[number % 4]
    first = rng.randrange(200)
    return f"{start}{''.join(rng.choices(_LETTERS, k=10))}_{first}_{first + _seconds(number)}"

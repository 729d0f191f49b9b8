"""A miniature of ActivityNet Captions: three JSON files, two lists of ids, videos in three containers."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from pathlib import Path

from harness.data.scenes import Scene, film, invent

_TRAIN, _VAL = 16, 8
_SUFFIXES = (".mp4", ".mkv", ".webm")
_LETTERS = string.ascii_letters + string.digits + "-_"
_STARTS = ("First", " Then", " After that", " In the end")


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 24 clips of 6 to 10 s; the 8 of val_1 are described again in val_2, but one."""
    names = _names(_TRAIN + _VAL + 2)
    scenes = invent("activitynet", [2 + number % 3 for number in range(_TRAIN + _VAL)])
    shown = {}
    for number, (name, scene) in enumerate(zip(names, scenes)):
        seconds = 6 + number % 5
        film(scene, folder / "videos" / f"{name}{_SUFFIXES[number % len(_SUFFIXES)]}", seconds, 10)
        shown[name] = (scene, seconds)
    train, val = names[:_TRAIN], names[_TRAIN : _TRAIN + _VAL]
    _write(folder / "train.json", {name: _described(*shown[name], 0) for name in train})
    _write(folder / "val_1.json", {name: _described(*shown[name], 0) for name in val})
    _write(folder / "val_2.json", {name: _described(*shown[name], 1) for name in val[1:]})
    # Either list of ids holds one that nobody described.
    _write(folder / "train_ids.json", _mixed([*train, names[-2]]))
    _write(folder / "val_ids.json", _mixed([*val, names[-1]]))


def _names(count: int) -> list[str]:
    """Ids as the real ones, 11 characters after ``v_``; some begin with a dash or a low line."""
    rng = random.Random("activitynet")
    starts = [*"-_" + "a" * (count - 4), *"-_"]
    rng.shuffle(starts)
    return [f"v_{start}{''.join(rng.choices(_LETTERS, k=10))}" for start in starts]


def _described(scene: Scene, seconds: float, annotator: int) -> dict:
    """One sentence for each act; all but the first begin with a blank, as most of the real ones do."""
    acts = len(scene.acts)
    share = seconds / acts
    return {
        "duration": seconds,
        "timestamps": [[round(share * act, 2), round(share * (act + 1), 2)] for act in range(acts)],
        "sentences": [
            f"{_STARTS[act]} {scene.sentences(act)[(act + 5 * annotator) % 15]}." for act in range(acts)
        ],
    }


def _mixed(names: Sequence[str]) -> list[str]:
    return random.Random("ids").sample(names, len(names))


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")

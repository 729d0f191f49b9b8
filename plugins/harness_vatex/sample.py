"""A miniature of VATEX: its owner's three JSON files, and the lists of the split used in retrieval."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from pathlib import Path

from harness.data.scenes import Act, Scene, film, invent

# The usual test and validation videos of retrieval are both out of the owner's validation set; the
# owner's test set has videos of its own.
_COUNTS = {"train": 16, "val": 4, "test": 8}
_PUBLIC_TEST = 2
_SENTENCES = 10
_LETTERS = string.ascii_letters + string.digits + "-_"


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 30 clips of ten English and, but for the public test, ten Chinese sentences."""
    rng = random.Random("vatex")
    total = sum(_COUNTS.values()) + _PUBLIC_TEST
    scenes = {_name(number, rng): scene for number, scene in enumerate(invent("vatex", [1] * total))}
    for number, (name, scene) in enumerate(scenes.items()):
        film(scene, folder / "videos" / f"{name}.mp4", 2 + number % 3)
    left = list(scenes)
    parts = {}
    for split, count in _COUNTS.items():
        parts[split], left = left[:count], left[count:]
        text = "".join(f"{name}\n" for name in parts[split])
        (folder / f"{split}_list.txt").write_text(text, encoding="utf-8")
    held_out = rng.sample(parts["val"] + parts["test"], len(parts["val"] + parts["test"]))
    _write(folder / "vatex_training_v1.0.json", parts["train"], scenes, chinese=True)
    _write(folder / "vatex_validation_v1.0.json", held_out, scenes, chinese=True)
    _write(folder / "vatex_public_test_english_v1.1.json", left, scenes, chinese=False)


def _name(number: int, rng: random.Random) -> str:
    """Video id, first and last second in six digits; the span is ten seconds, as in the real names."""
    first = 3 * number
    start = "-_ab"[number % 4]
    return f"{start}{''.join(rng.choices(_LETTERS, k=10))}_{first:06d}_{first + 10:06d}"


def _write(path: Path, names: Sequence[str], scenes: dict[str, Scene], chinese: bool) -> None:
    records = []
    for name in names:
        record: dict = {"videoID": name}
        record["enCap"] = [f"{text[0].upper()}{text[1:]}." for text in scenes[name].sentences()[:_SENTENCES]]
        if chinese:
            record["chCap"] = _in_chinese(scenes[name].acts[0])
        records.append(record)
    path.write_text(json.dumps(records), encoding="utf-8")


_COLOURS = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色",
    "blue": "蓝色", "purple": "紫色", "pink": "粉色", "white": "白色",
}  # fmt: skip
_SHAPES = {
    "circle": "圆形", "ring": "圆环", "square": "正方形",
    "diamond": "菱形", "triangle": "三角形", "bar": "长条",
}  # fmt: skip
_MOTIONS = {
    "right": "从左向右移动", "left": "从右向左移动", "up": "向上升起", "down": "向下落下", "grow": "越变越大",
    "shrink": "越变越小", "circle": "转了一圈", "swing": "左右摇摆", "bounce": "跳了两下", "rest": "静止不动",
}  # fmt: skip
_BEGINNINGS = ("", "画面中", "视频里", "可以看到", "这里")


def _in_chinese(act: Act) -> list[str]:
    """Ten Chinese sentences about an act."""
    colour, shape, motion = _COLOURS[act.colour], _SHAPES[act.shape], _MOTIONS[act.motion]
    return [f"{begin}一个{colour}{of}{shape}{motion}。" for of in ("的", "") for begin in _BEGINNINGS]

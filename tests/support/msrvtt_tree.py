"""Makes a small MSR-VTT: real mp4 files and annotations in the layout of CLIP4Clip.

The videos show the shapes of ``harness_shapes``, 64x48 and coded with predicted and reordered
frames as downloaded videos are, so that a run over the tree decodes for real and can learn.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness_shapes.captions import canonical, phrasings
from harness_shapes.encode import encode_mp4
from harness_shapes.render import render
from harness_shapes.scenes import COMBINATIONS, Combination

HEIGHT, WIDTH, FRAMES, FPS = 48, 64, 24, 12

#: First test id of the real list; far enough from the training ids not to meet them.
FIRST_TEST = 9770


@dataclass(frozen=True)
class MsrvttTree:
    """Where the tree lies and what its annotation files name, missing videos included."""

    root: Path
    train_ids: tuple[str, ...]
    train_7k_ids: tuple[str, ...]
    test_ids: tuple[str, ...]

    def video(self, video_id: str) -> Path:
        """The path of a video, whether or not it was written."""
        return self.root / "MSRVTT_Videos" / f"{video_id}.mp4"

    def annotation(self, name: str) -> Path:
        """The path of an annotation file."""
        return self.root / "msrvtt_data" / name


def make_tree(
    root: Path,
    train: int = 24,
    test: int = 8,
    missing: Collection[str] = (),
    damaged: Collection[str] = (),
    unreadable: Collection[str] = (),
    sentences: int = 3,
    json_key: str = "sentences",
) -> MsrvttTree:
    """Write the tree under ``root``.

    Train clips are ``video0`` on, test clips ``video9770`` on. By id, ``missing`` videos get no
    file, ``damaged`` ones open but fail on decoding, ``unreadable`` ones are no video at all.
    Each training clip has ``sentences`` captions; ``json_key`` picks the JSON dialect. The list
    called train-7k holds the first three quarters of the training clips.
    """
    assert train + test <= len(COMBINATIONS)
    tree = MsrvttTree(
        root,
        tuple(f"video{i}" for i in range(train)),
        tuple(f"video{i}" for i in range(train * 3 // 4)),
        tuple(f"video{FIRST_TEST + i}" for i in range(test)),
    )
    # Strides through all colours, shapes and motions, so that even a few clips differ clearly.
    ids = tree.train_ids + tree.test_ids
    shown = {name: COMBINATIONS[i * 41 % len(COMBINATIONS)] for i, name in enumerate(ids)}
    unknown = {*missing, *damaged, *unreadable} - set(ids)
    assert not unknown, f"not in the tree: {sorted(unknown)}"
    tree.video("any").parent.mkdir(parents=True)
    tree.annotation("any").parent.mkdir(parents=True)
    for number, (name, what) in enumerate(shown.items()):
        if name in missing:
            continue
        content = b"this is not a video\n" * 40
        if name not in unreadable:
            frames = render(what, np.random.default_rng(number), HEIGHT, WIDTH, FRAMES)
            content = encode_mp4(frames, FPS, gop=12, b_frames=2)
        tree.video(name).write_bytes(_damage(content) if name in damaged else content)
    _write_annotations(tree, shown, sentences, json_key)
    return tree


def _damage(content: bytes) -> bytes:
    """Overwrite the coded pictures but not the index, so that opening the file still succeeds."""
    at = content.index(b"mdat")
    length = int.from_bytes(content[at - 4 : at], "big")
    start, end = at + 4, at - 4 + length
    return content[:start] + b"\xff" * (end - start) + content[end:]


def _write_annotations(
    tree: MsrvttTree, shown: dict[str, Combination], sentences: int, json_key: str
) -> None:
    _write_csv(tree.annotation("MSRVTT_train.9k.csv"), ["video_id"], [[i] for i in tree.train_ids])
    _write_csv(tree.annotation("MSRVTT_train.7k.csv"), ["video_id"], [[i] for i in tree.train_7k_ids])
    _write_csv(
        tree.annotation("MSRVTT_JSFUSION_test.csv"),
        ["key", "vid_key", "video_id", "sentence"],
        [
            [f"ret{k}", name.replace("video", "msr"), name, canonical(shown[name])]
            for k, name in enumerate(tree.test_ids)
        ],
    )
    id_field = {"sentences": "video_id", "annotations": "image_id"}[json_key]
    said = [(name, text) for name, what in shown.items() for text in phrasings(what)[:sentences]]
    data = {
        "videos": [
            {"video_id": name, "id": k, "split": "test" if name in tree.test_ids else "train"}
            for k, name in enumerate(shown)
        ],
        json_key: [{id_field: name, "caption": text, "sen_id": k} for k, (name, text) in enumerate(said)],
    }
    tree.annotation("MSRVTT_data.json").write_text(json.dumps(data), encoding="utf-8")


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])

"""A miniature of MSR-VTT as its owner gave it out, with the lists of retrieval and the questions."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

from harness.data.scenes import Scene, film, invent

_TRAIN, _VAL, _TEST = 16, 4, 12
#: Of the test videos, so many are the 1k-A test; the others belong to train-9k, as in the real lists.
_TEST_1K_A = 8
_SENTENCES = 4
_FOLDERS = {"train": "TrainValVideo", "validate": "TrainValVideo", "test": "TestVideo"}
#: Where the numbers of each part begin in the real data set.
_FIRST = {"train": 0, "validate": 6513, "test": 7010}


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 32 clips and the owner's two JSON files, the 7k, 9k and 1k-A lists,
    and the three files of questions."""
    counts = {"train": _TRAIN, "validate": _VAL, "test": _TEST}
    videos = [
        {"video_id": f"video{_FIRST[split] + number}", "split": split}
        for split, count in counts.items()
        for number in range(count)
    ]
    scenes = dict(zip((video["video_id"] for video in videos), invent("msrvtt", [1] * len(videos))))
    for number, video in enumerate(videos):
        name, start, length = video["video_id"], 5.0 + 3.25 * number, 2.0 + number % 3
        film(scenes[name], folder / _FOLDERS[video["split"]] / f"{name}.mp4", length)
        video |= {
            "category": number % 20,
            "url": f"https://example.org/watch?v=invented{number:03d}",
            "start time": start,
            "end time": start + length,
            "id": int(name.removeprefix("video")),
        }
    _write_json(folder / "train_val_videodatainfo.json", videos[: _TRAIN + _VAL], scenes)
    _write_json(folder / "test_videodatainfo.json", videos[_TRAIN + _VAL :], scenes)
    _write_lists(folder, [video["video_id"] for video in videos], scenes)
    _write_questions(folder, videos, scenes)


def _write_json(path: Path, videos: Sequence[dict], scenes: dict[str, Scene]) -> None:
    said = [
        {"caption": text, "video_id": video["video_id"]}
        for video in videos
        for text in scenes[video["video_id"]].sentences()[:_SENTENCES]
    ]
    # The real file has the sentences of a video scattered, numbered from 0 in either file.
    random.Random(path.name).shuffle(said)
    data = {
        "info": {"description": "invented clips in the layout of MSR-VTT", "version": "1.0"},
        "videos": list(videos),
        "sentences": [{**sentence, "sen_id": number} for number, sentence in enumerate(said)],
    }
    path.write_text(json.dumps(data), encoding="utf-8")


def _write_lists(folder: Path, names: Sequence[str], scenes: dict[str, Scene]) -> None:
    test = names[-_TEST_1K_A:]
    _write_csv(folder / "MSRVTT_train.9k.csv", [["video_id"], *([name] for name in names[:-_TEST_1K_A])])
    # Sorted as text in the real file: video0, video1000, video1001.
    _write_csv(folder / "MSRVTT_train.7k.csv", [["video_id"], *([n] for n in sorted(names[: _TRAIN + _VAL]))])
    header = ["key", "vid_key", "video_id", "sentence"]
    # Not in the order of the numbers, nor always a video's first sentence, as in the real file.
    mixed = random.Random("1k-A").sample(test, len(test))
    rows = [
        [f"ret{key}", name.replace("video", "msr"), name, scenes[name].sentences()[key % _SENTENCES]]
        for key, name in enumerate(mixed)
    ]
    _write_csv(folder / "MSRVTT_JSFUSION_test.csv", [header, *rows])


def _write_questions(folder: Path, videos: Sequence[dict], scenes: dict[str, Scene]) -> None:
    number = 0
    for split, name in (("train", "train"), ("validate", "val"), ("test", "test")):
        rows = []
        for video in videos:
            if video["split"] != split:
                continue
            for question, answer, _ in scenes[video["video_id"]].questions():
                rows.append(
                    {
                        "answer": answer,
                        "category_id": video["category"],
                        "id": number,
                        "question": f"{question}?",
                        "video_id": video["id"],
                    }
                )
                number += 1
        (folder / f"{name}_qa.json").write_text(json.dumps(rows), encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)

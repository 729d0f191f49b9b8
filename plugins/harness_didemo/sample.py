"""A miniature of DiDeMo as its owner gave it out, with the odd names that its files have.

It is small in time too: a chunk is a sixth of a clip, where the real ones are five seconds long.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from harness.data.scenes import Scene, film, invent

_COUNTS = {"train": 16, "val": 4, "test": 8}
_SUFFIXES = (".mov", ".avi", ".mp4", ".mpg", ".m4v", ".3gp", ".wmv")
_CHUNKS = 6


@dataclass(frozen=True)
class _Video:
    """``names`` are those in the annotations, the list having the first; ``file`` is that on disk.

    ``suffix`` says what the file holds.
    """

    stem: str
    names: tuple[str, ...]
    file: str
    suffix: str
    scene: Scene


def write_sample(folder: Path) -> None:
    """Fill ``folder`` with 28 listed clips and one more, lists, and one to six sentences a clip."""
    rng = random.Random("didemo")
    scenes = invent("didemo", [1 + number % 3 for number in range(sum(_COUNTS.values()) + 1)])
    first_id = 0
    for split, count in _COUNTS.items():
        # The real training list, too, lacks a few of the videos that are described.
        unlisted = 1 if split == "train" else 0
        videos = [_named(split, number, scenes.pop(), rng) for number in range(count + unlisted)]
        for number, video in enumerate(videos):
            # MPEG-1 knows few frame rates, of which this is one.
            fps = 25 if video.suffix == ".mpg" else 12
            film(video.scene, folder / "videos" / video.file, 2 + number % 3, fps, video.suffix)
        listed = [video.names[0] for video in videos[:count]]
        (folder / f"{split}_list.txt").write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
        records = _records(videos, first_id, rng)
        (folder / f"{split}_data.json").write_text(json.dumps(records), encoding="utf-8")
        first_id += len(records)


def _named(split: str, number: int, scene: Scene, rng: random.Random) -> _Video:
    """A video with the container of its number, and names as odd as the real ones sometimes are."""
    stem, suffix = _stem(rng), _SUFFIXES[number % len(_SUFFIXES)]
    names, file = (f"{stem}{suffix}",), f"{stem}{suffix}"
    if (split, number) == ("test", 0):
        names = (f"{stem}.mov", f"{stem}.mp4")  # two names for one video
    elif (split, number) == ("test", 1):
        names, file = (f"{stem}.",), stem  # a container that nobody knew: nothing after the dot
    elif (split, number) == ("train", 1):
        names = (f"{stem}.",)  # the same, but whoever fetched the file found out
    return _Video(stem, names, file, suffix, scene)


def _stem(rng: random.Random) -> str:
    """Owner, number and key of an invented video, in the form that Flickr's have."""
    return f"{rng.randrange(10**8):08d}@N{rng.randrange(10):02d}_{rng.randrange(10**10):010d}_{rng.getrandbits(40):010x}"


def _records(videos: list[_Video], first_id: int, rng: random.Random) -> list[dict]:
    """The sentences of all videos of a split, mixed as in the real file."""
    records = []
    for number, video in enumerate(videos):
        acts = len(video.scene.acts)
        # At least one for each name, and now and then six.
        for place in range(max(len(video.names), 1 + number % 6)):
            act = place % acts
            chunk = min(_CHUNKS * act // acts + place % 2, _CHUNKS - 1)
            records.append(
                {
                    "num_segments": _CHUNKS,
                    "description": video.scene.sentences(act)[place],
                    "dl_link": f"https://example.org/video_download?id={video.stem.split('_')[1]}",
                    "times": [[chunk, chunk]] * 3 + [[chunk, min(chunk + 1, _CHUNKS - 1)]],
                    "video": video.names[place % len(video.names)],
                }
            )
    rng.shuffle(records)
    return [{**record, "annotation_id": first_id + number} for number, record in enumerate(records)]

"""Writes the splits of a data set in the two forms that most other code reads.

``jsonl``: a line ``{"clip_id": id, "text": text or list of texts}`` for each clip, as the loader of
CLIP-ViP wants it, with the number of pictures as ``num_frame`` where the clip is a folder of them.
``json``: one object ``{file name: [texts]}``, as that of mmaction2 does. Paragraphs
are written joined, as one text. Which part of a file belongs to a clip cannot be said in either, nor can
a question: a split of questions alone is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.dataset import Clip, Dataset
from harness.data.files import VIDEO_SUFFIXES, stem_of
from harness.errors import HarnessError
from harness.results.atomic import write_atomically

#: A clip and its texts, in the order of the annotation file.
_Item = tuple[Clip, Sequence[str]]


@dataclass(frozen=True)
class Written:
    """A file that was written, and how much of which split is in it."""

    path: Path
    split: str
    clips: int
    texts: int


@dataclass(frozen=True)
class Converted:
    """``files`` that were written, and ``unreadable``: the reason for each split that was not."""

    files: Sequence[Written]
    unreadable: Mapping[str, str]


def convert(dataset: Dataset, form: str, folder: Path) -> Converted:
    """Writes every split of captions whose files are there, each under the name that is usual for it.

    Raises HarnessError, before anything is written, where one of the files is there already, and where
    there is nothing to write.
    """
    write = FORMS[form]
    texts: dict[Path, tuple[str, list[_Item]]] = {}
    unreadable = {}
    for split in dataset.splits():
        path = folder / dataset.written_as(split, form)
        if path in texts:
            raise HarnessError(
                f"{texts[path][0]} and {split} would both be written to {path}",
                "the data set has to name them apart",
            )
        try:
            if dataset.captions(split) or not dataset.questions(split):
                texts[path] = split, list(_items(dataset, split))
        except HarnessError as error:
            unreadable[split] = str(error)
    if not texts and not unreadable:
        raise HarnessError(
            f"none of its splits has captions: {', '.join(dataset.splits())}",
            "neither form can hold questions; use the files as they are",
        )
    for path in texts:
        if path.exists():
            raise HarnessError(
                f"{path} is there already and is not replaced", "name another folder, or remove it first"
            )
    done = []
    for path, (split, items) in texts.items():
        write_atomically(path, write(items), "name another folder")
        done.append(Written(path, split, len(items), sum(len(said) for _, said in items)))
    return Converted(done, unreadable)


def _items(dataset: Dataset, split: str) -> Iterator[_Item]:
    said: dict[str, list[str]] = {}
    for caption in dataset.captions(split):
        said.setdefault(caption.clip_id, []).append(caption.text)
    for clip in dataset.clips(split):
        yield clip, said.get(clip.id, [])


def _jsonl(items: Sequence[_Item]) -> str:
    records = (
        {"clip_id": clip.id, "text": said[0] if len(said) == 1 else said, **_pictures(clip)}
        for clip, said in items
    )
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _pictures(clip: Clip) -> dict[str, int]:
    """How many pictures a clip has that is a folder of them; of a damaged one nothing is said."""
    if clip.path is None or not clip.path.is_dir():
        return {}
    from harness.data.video.pictures import DamagedClip, numbered_pictures  # brings the video libraries

    try:
        return {"num_frame": len(numbered_pictures(clip.path))}
    except DamagedClip:
        return {}


def _json(items: Sequence[_Item]) -> str:
    named = {_file_name(clip): said for clip, said in items}
    assert len(named) == len(items), "clips with different ids have different file names"
    return json.dumps(named, ensure_ascii=False, indent=1) + "\n"


def _file_name(clip: Clip) -> str:
    """The name of the clip's file as it was found, as long as it says the clip's id; else one that does."""
    if clip.path is None:
        return f"{clip.id}.mp4"
    if clip.path.is_dir():  # a folder of pictures
        return clip.id
    if stem_of(clip.path.name) == clip.id:
        return clip.path.name
    suffix = clip.path.suffix
    return clip.id + (suffix if suffix.lower() in VIDEO_SUFFIXES else ".mp4")


#: How the clips of a split are written in each form.
FORMS: Mapping[str, Callable[[Sequence[_Item]], str]] = {"jsonl": _jsonl, "json": _json}

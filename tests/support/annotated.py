"""Small hand-written data sets, and what is compared about data sets of any size."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import DatasetSpec
from harness.data import AnnotatedDataset
from harness.results.digest import texts_hash


def put(folder: Path, files: Mapping[str, Any], videos: Iterable[str] = ()) -> Path:
    """Write annotation files in the form that their suffixes say, and empty video files.

    Text is written as it is; anything else as JSON, as a line of JSON for each item, or pickled.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(item) + "\n" for item in content), encoding="utf-8")
        elif path.suffix == ".pkl":
            path.write_bytes(pickle.dumps(content))
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    for name in videos:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def said(dataset: AnnotatedDataset, split: str) -> list[tuple[str, str]]:
    """(clip id, text) of every query of a split, in order."""
    return [(caption.clip_id, caption.text) for caption in dataset.captions(split)]


def found(dataset: AnnotatedDataset, split: str) -> dict[str, str | None]:
    """Where each clip's video lies below the root, in the order of the split."""
    return {
        clip.id: clip.path and clip.path.relative_to(dataset.tree.root).as_posix()
        for clip in dataset.clips(split)
    }


def identity(dataset: AnnotatedDataset, split: str) -> str:
    """The hash of a split's ids and texts, as the results of a run state it."""
    texts = [(caption.id, caption.text, caption.clip_id) for caption in dataset.captions(split)]
    return texts_hash(texts, [clip.id for clip in dataset.clips(split)])


def open_spec(spec: DatasetSpec, root: Path, **options: Any) -> AnnotatedDataset:
    """A data set as its plugin declares it, by its factory."""
    module, _, name = spec.factory.partition(":")
    return getattr(importlib.import_module(module), name)(spec.options(**options), root)

"""The sample lists of CLIP4Clip's loaders, on the annotation trees stored with them.

A file of listings maps each data set to its annotation files (``files``), the videos that are there
(``videos``, empty files do) and what the reference lists from them. Where we differ on purpose, the
comparison is made after undoing it, and nothing else is undone:

* It drops LSMDC, DiDeMo and ActivityNet clips without a video file, which makes a test easier; we
  keep them as missing. Compared are the clips with a file.
* It keeps the runs of blanks that arise where sentences beginning with a blank are joined.
* It lists the sentences of a repeated clip, and all of MSR-VTT's, in the order of the file; ours
  come clip by clip. Compared are the texts of each clip, in order, and the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from golden import area, read_json

from harness.data import AnnotatedDataset
from harness.plugins import registry
from tests.support.annotated import open_spec, put

FOLDER = area("clip4clip")

#: The splits of a listing that we call something else.
SPLITS = {
    "msrvtt": {"train": "train-9k", "test": "test-1k-A"},
    "lsmdc": {"val": "val-7408", "test": "test-1000"},
    "didemo": {"test": "test-1004"},
    "activitynet": {"val": "val_1"},
}
#: Files that the reference is given by option, under a name that says what they are.
FILES = {"train.csv": "MSRVTT_train.9k.csv", "test.csv": "MSRVTT_JSFUSION_test.csv"}
AS_JSON = " (as json)"  # how a listing marks a file that is none
#: As the reference has it.
OPTIONS = {"didemo": {"first_seconds": 31.0}, "activitynet": {"annotated_seconds": True}}

#: (clip, text) or (clip, text, start, end)
Items = list[list[Any]]


def _listings() -> list[tuple[str, dict[str, Any]]]:
    """(data set, its tree) from every file of the folder in which each entry has annotation files."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        content = read_json(path)
        if isinstance(content, dict) and all(isinstance(v, dict) and "files" in v for v in content.values()):
            found += content.items()
    return found


def _expectations() -> list[Any]:
    """One parameter per data set and listing; a single failing one when there is none."""
    found = []
    for dataset, tree in _listings():
        kinds = {kind: value for kind, value in tree.items() if kind not in ("files", "videos", "columns")}
        for split, value in kinds.pop("expect", {}).items():
            kinds[f"expect {split}"] = value
        assert kinds, f"the tree of {dataset} comes without a listing"
        for kind, value in kinds.items():
            name = f"clip4clip-datasets-{dataset}-{kind.replace(' ', '-')}"
            found.append(pytest.param(dataset, tree, kind, value, id=name))
    return found or [pytest.param("", {}, "none", None, id="clip4clip-datasets-none-found")]


def _open(dataset: str, tree: dict[str, Any], folder: Path) -> AnnotatedDataset:
    files = {FILES.get(name, name).removesuffix(AS_JSON): content for name, content in tree["files"].items()}
    put(folder, files, (f"videos/{name}" for name in tree.get("videos", ())))
    spec, _ = registry().find("datasets", dataset)
    return open_spec(spec, folder, **OPTIONS.get(dataset, {}))


def _normal(items: Iterable[Iterable[Any]], dataset: AnnotatedDataset) -> dict[str, list[tuple[Any, ...]]]:
    """Text and window of each item, by our id of its clip, single blanks throughout."""
    by_clip: dict[str, list[tuple[Any, ...]]] = {}
    for clip, text, *window in items:
        by_clip.setdefault(dataset.id_of(clip), []).append((" ".join(text.split()), *window))
    return by_clip


def _ours(dataset: AnnotatedDataset, split: str, keep_missing: bool, with_window: bool) -> Items:
    clips = {clip.id: clip for clip in dataset.clips(split) if keep_missing or clip.path is not None}
    return [
        [c.clip_id, c.text] + ([clips[c.clip_id].start_s, clips[c.clip_id].end_s] if with_window else [])
        for c in dataset.captions(split)
        if c.clip_id in clips
    ]


def _check_items(dataset: AnnotatedDataset, split: str, expected: Items, keep_missing: bool) -> None:
    assert expected
    ours = _ours(dataset, split, keep_missing, with_window=len(expected[0]) == 4)
    assert _normal(ours, dataset) == _normal(expected, dataset)


def _check_ids(dataset: AnnotatedDataset, expected: list[str]) -> None:
    assert [clip.id for clip in dataset.clips("train-9k")] == expected


def _check_length(dataset: AnnotatedDataset, expected: int) -> None:
    assert len(dataset.clips("train-9k")) == expected


def _check_split(dataset: AnnotatedDataset, split: str, expected: Any) -> None:
    """A plain listing is of what has a file; one with cut-off points is of all, in the list's order."""
    if isinstance(expected, list):
        _check_items(dataset, split, expected, keep_missing=False)
        return
    assert set(expected) == {"items", "cut_off_points"}, f"unknown kind of listing: {sorted(expected)}"
    _check_items(dataset, split, expected["items"], keep_missing=True)
    assert _ours(dataset, split, True, False) == expected["items"]
    sizes = [len(texts) for texts in _normal(expected["items"], dataset).values()]
    assert list(accumulate(sizes)) == expected["cut_off_points"]


KINDS: dict[str, Callable[[AnnotatedDataset, Any], None]] = {
    "train_expanded": lambda d, e: _check_items(d, "train-9k", e, keep_missing=True),
    "train_unexpanded_video_ids": _check_ids,
    "train_unexpanded_len": _check_length,
    "test": lambda d, e: _check_items(d, "test-1k-A", e, keep_missing=True),
}


@pytest.mark.parametrize("dataset, tree, kind, expected", _expectations())
def test_golden(tmp_path: Path, dataset: str, tree: dict[str, Any], kind: str, expected: Any) -> None:
    """Every stored listing is ours; an unknown kind, an unknown data set or an empty folder fails."""
    assert tree, f"no listing in {FOLDER}"
    made = _open(dataset, tree, tmp_path)
    part, _, split = kind.partition(" ")
    if part == "expect":
        _check_split(made, SPLITS.get(dataset, {}).get(split, split), expected)
        return
    assert kind in KINDS, f"unknown kind of expectation: {kind}"
    KINDS[kind](made, expected)

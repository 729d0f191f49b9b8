"""A similarity matrix from anywhere becomes a record: `harness import-scores`.

Rows are the texts of a protocol and columns its clips, both in the order of the annotation file. Who
made the scores, on what they were trained and how the model was chosen is what the caller says; the
figures follow from the matrix alone, by the same counting as those of a run.
"""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from harness import __version__
from harness.data import Dataset
from harness.errors import HarnessError
from harness.plan.recipe import component, describe_component
from harness.plugins import Registry, load_factory
from harness.results import ranks
from harness.results.digest import digest, sha256_file
from harness.results.footnotes import IMPORTED_FILE, IMPORTED_SHA256
from harness.results.legacy_ranks import legacy_expand
from harness.results.protocol import as_used
from harness.results.record import Metrics, Protocol, Queries, ResultRecord, Selection, TiePolicy
from harness.results.record_file import load, record_path, write
from harness.results.resampling import resampled
from harness.specs import DatasetSpec, ProtocolSpec

#: A train split for a model that was trained on nothing of the data set, and for one of which nobody knows.
NO_SPLIT = ("none", "unknown")


@dataclass(frozen=True)
class Stated:
    """What the caller says of the scores, none of which can be seen in them."""

    method: str
    train_split: str = "unknown"
    selection: Selection = "unknown"
    ties: TiePolicy = "average"
    seed: int = 0
    backbone: str = ""
    pretraining: str = ""
    frames: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Scores:
    """A matrix ``[texts, clips]`` and the file it was read from."""

    values: np.ndarray
    file: str
    sha256: str


@dataclass(frozen=True)
class Layout:
    """What rows and columns stand for: ``gold`` int64 ``[texts]`` is each text's column; ``texts`` and
    ``clips`` are ids, empty where the data set is not at hand."""

    protocol: Protocol
    gold: np.ndarray
    texts: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()

    def name(self, row: int, column: int) -> str:
        """One score's place, as a reader of the file and of the annotations finds it."""
        place = f"text {row}, clip {column}, counted from 0"
        return place + (f": {self.texts[row]} and {self.clips[column]}" if self.texts else "")


def read_scores(path: Path, video_rows: bool = False) -> Scores:
    """A matrix of real numbers from ``.npy``, ``.npz`` with one array, ``.csv``, or ``.txt`` with commas or
    blanks between the numbers; with ``video_rows`` it is turned so that rows are texts."""
    try:
        values = _read(path)
        sha256 = sha256_file(path)
    except OSError as error:
        raise HarnessError(
            f"cannot read {path}: {error.strerror or error}", "give a .npy, .npz, .csv or .txt file"
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise HarnessError(
            f"{path} holds no matrix of numbers: {' '.join(str(error).split())}",
            "write it with numpy.save, or with numpy.savetxt without a heading",
        ) from error
    if values.dtype.kind not in "fiu":
        raise HarnessError(f"{path} holds values of type {values.dtype}", "scores are real numbers")
    if values.ndim != 2 or not values.size:
        raise HarnessError(
            f"{path} holds an array of shape {list(values.shape)}", "scores are a matrix, a row for each text"
        )
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    return Scores(values.T if video_rows else values, path.name, sha256)


def _read(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".txt"):
        text = path.read_text(encoding="utf-8-sig")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, which is refused by its shape
            return np.loadtxt(
                text.splitlines(), delimiter="," if "," in text.partition("\n")[0] else None, ndmin=2
            )
    if suffix not in (".npy", ".npz"):
        raise HarnessError(f"{path} is of no known kind", "give a .npy, .npz, .csv or .txt file")
    with open(path, "rb") as file:
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return found
        if len(found.files) != 1:
            raise HarnessError(
                f"{path} holds {len(found.files)} arrays: {', '.join(found.files) or 'none'}",
                "write a file with the scores alone",
            )
        return found[found.files[0]]


def layout_of(dataset: Dataset, stated: ProtocolSpec) -> Layout:
    """The layout of a protocol as the data set's own files have it."""
    texts, clips = dataset.captions(stated.test), [clip.id for clip in dataset.clips(stated.test)]
    column = {name: index for index, name in enumerate(clips)}
    return Layout(
        as_used(stated, [(text.id, text.text, text.clip_id) for text in texts], clips, len(texts)),
        np.array([column[text.clip_id] for text in texts], dtype=np.int64),
        tuple(text.id for text in texts),
        tuple(clips),
    )


def one_text_per_video(stated: ProtocolSpec, scores: Scores) -> Layout:
    """The layout that the caller vouches for: text ``i`` is that of clip ``i``. Ids and texts are unknown."""
    texts, clips = scores.values.shape
    for what, found, wanted in (("texts", texts, stated.n_queries), ("clips", clips, stated.n_gallery)):
        if wanted and found != wanted:
            raise HarnessError(
                f"{scores.file} has {texts} texts x {clips} clips, but {stated.name} has {wanted} {what}",
                "name another --protocol, or check --direction",
            )
    if texts != clips:
        raise HarnessError(
            f"{scores.file} has {texts} texts x {clips} clips, which is not one text for each clip",
            "leave out --one-text-per-video and give --data-root, whose files say which text is whose",
        )
    protocol = Protocol(name=stated.name, query_unit=stated.query_unit, n_queries=texts, n_gallery=clips)
    return Layout(protocol, np.arange(texts))


def check_scores(scores: Scores, layout: Layout) -> None:
    """Refuse a matrix of another shape than the protocol's, and one with a score that is not a number.

    Minus infinity is a score: a mask, below every number and as low as the next mask. Plus infinity is what
    an overflow leaves behind, and would put its clip first.
    """
    wanted = (layout.protocol.n_queries, layout.protocol.n_gallery)
    if scores.values.shape != wanted:
        turned = scores.values.shape == wanted[::-1]
        raise HarnessError(
            f"{scores.file} has {scores.values.shape[0]} texts x {scores.values.shape[1]} clips, "
            f"{layout.protocol.name} has {wanted[0]} x {wanted[1]}",
            "its rows are clips: turn it with --direction"
            if turned
            else "every text of the protocol is a row and every clip a column; check --protocol",
        )
    for bad, what, hint in (
        (
            np.isnan(scores.values),
            "NaN",
            "find out which output of the model is NaN; every text needs a score for every clip",
        ),
        (
            np.isposinf(scores.values),
            "plus infinity",
            "look for an overflow in the model, such as in half precision; only minus infinity is taken, as a mask",
        ),
    ):
        if bad.any():
            row, column = (int(index) for index in np.argwhere(bad)[0])
            raise HarnessError(
                f"{int(bad.sum())} of {bad.size} scores in {scores.file} are {what}, "
                f"the first of {layout.name(row, column)}",
                hint,
            )


def check_train_split(stated: str, spec: DatasetSpec) -> None:
    """Refuse another spelling of a split that the data set's protocols name: the row would stand in a
    section of its own. Other names are free, since not all splits that papers train on are known."""
    if not stated.strip():
        raise HarnessError("--train-split is empty", f"known: {', '.join(NO_SPLIT)} and the data set's own")
    for known in (*NO_SPLIT, *(protocol.train for protocol in spec.protocols)):
        if stated != known and _letters(stated) == _letters(known):
            raise HarnessError(
                f"'{spec.name}' has no training split '{stated}'", f"write it as it is known: {known}"
            )


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def processed(
    scores: Scores, postprocess: dict[str, Any], registry: Registry
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices that text-to-video and video-to-text ranks are counted on."""
    spec, plugin, options = component(postprocess, "postprocessors", registry)
    nothing_missing = np.zeros(scores.values.shape[1], dtype=bool)
    return load_factory(spec.factory, plugin)(options)(scores.values, nothing_missing)


def record_of(
    scores: Scores,
    layout: Layout,
    stated: Stated,
    dataset: DatasetSpec,
    postprocess: dict[str, Any],
    registry: Registry,
) -> ResultRecord:
    """Count every query in both directions, and say where the scores came from.

    Imports that agree in everything but the seed are one row, so the digest is of what was stated and
    asked; which file it was stands in ``environment``, from which tables make a footnote.
    """
    check_scores(scores, layout)
    forth, back = processed(scores, postprocess, registry)
    t2v = ranks.text_to_video(forth, layout.gold)
    v2t, _ = ranks.video_to_text(back, layout.gold)
    queries = Queries(t2v=t2v.pack(), v2t=v2t.pack())
    said = {
        name: getattr(stated, name) for name in stated.__dataclass_fields__ if name not in ("seed", "note")
    }
    asked = [layout.protocol.name, layout.protocol.ids_texts_hash, *scores.values.shape]
    _, plugin, _ = component(postprocess, "postprocessors", registry)
    try:
        return ResultRecord(
            method=stated.method,
            dataset=dataset.name,
            task="retrieval",
            protocol=layout.protocol,
            postprocess=describe_component(postprocess, "postprocessors", registry),
            ties=stated.ties,
            train_split=stated.train_split,
            selection=stated.selection,
            metrics=Metrics(
                t2v=ranks.metrics(t2v, ties=stated.ties), v2t=ranks.metrics(v2t, ties=stated.ties)
            ),
            queries=queries,
            resampling=resampled(queries, stated.ties),
            backbone=stated.backbone or None,
            pretraining=stated.pretraining or None,
            frames=stated.frames,
            recipe_digest=digest({"imported": said, "protocol": asked}),
            seed=stated.seed,
            versions={"harness": __version__, plugin.key: plugin.version},
            environment={IMPORTED_FILE: scores.file, IMPORTED_SHA256: scores.sha256},
            created=datetime.now(UTC).replace(microsecond=0).isoformat(),
            note=stated.note.strip(),
        )
    except ValueError as error:  # what a record refuses of what was stated, such as a method's name
        raise HarnessError(f"these scores cannot be recorded: {error}", "say it otherwise") from error


def legacy_figures(
    scores: Scores, layout: Layout, postprocess: dict[str, Any], registry: Registry
) -> dict[str, dict[str, float]]:
    """By direction, what the widely copied code would print of one text for each clip: see
    :func:`harness.results.legacy_ranks.legacy_expand`. For comparison with old logs; never recorded."""
    check_scores(scores, layout)
    if sorted(layout.gold) != list(range(scores.values.shape[1])):
        raise HarnessError(
            f"the legacy metric is for one text per clip, {layout.protocol.name} is otherwise",
            "leave out --ties legacy",
        )
    forth, back = processed(scores, postprocess, registry)
    return {
        "t2v": legacy_expand(forth, layout.gold),
        "v2t": legacy_expand(back.T, np.argsort(layout.gold)),
    }


def keep(record: ResultRecord, leaderboards: str | os.PathLike[str]) -> Path:
    """Write the record to its place. Another file's scores there are refused: one would hide the other."""
    path = record_path(leaderboards, record)
    if path.exists():
        before = load(path).environment
        if before.get(IMPORTED_SHA256) != record.environment[IMPORTED_SHA256]:
            raise HarnessError(
                f"{path} holds the scores of another file, {before.get(IMPORTED_FILE, 'unknown')}, with everything "
                "else the same",
                "say what differs, such as --seed or --method, or delete that record if it is obsolete",
            )
    return write(record, path)

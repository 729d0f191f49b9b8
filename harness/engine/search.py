"""Rank the videos of any folder by sentences, with a finished model: `harness search`.

There is no data set, nothing to compare with and no record: a model, a folder, and what it finds.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from harness.data import Caption, Clip
from harness.data.files import scan
from harness.data.video import DamagedClip, probe
from harness.engine.encode import encode_clips, encode_texts
from harness.engine.execute import here
from harness.engine.finished import Finished
from harness.engine.loading import finished_model, make_batches
from harness.engine.run import decode_threads
from harness.engine.score import score_matrix
from harness.errors import HarnessError
from harness.plan.run_plan import Protocol, RunPlan
from harness.plan.schema import Recipe
from harness.plugins import Registry


@dataclass(frozen=True)
class Hit:
    """One video in the order of its score. ``file`` is relative to the folder; ``length_s`` is that
    of its video stream, in seconds."""

    rank: int
    score: float
    file: str
    length_s: float


@dataclass(frozen=True)
class Ranking:
    """The best videos for one sentence, best first; of equal scores the first by name leads."""

    sentence: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Findings:
    """What a search found: ``videos`` were ranked, ``unreadable`` ones left out, with the reason."""

    folder: Path
    videos: int
    unreadable: dict[str, str]
    rankings: tuple[Ranking, ...]


def videos_under(folder: Path) -> list[Clip]:
    """Every video file under a folder, by path; the id of a clip is its path from the folder.

    A file whose name has no suffix counts where a video is found in it.
    """
    tree = scan(folder)
    unnamed = [path for path in tree.others.paths() if not path.suffix and _is_video(path)]
    paths = sorted([*tree.videos.paths(), *unnamed])
    if not paths:
        raise HarnessError(
            f"there is no video in {folder}", "give --data-root a folder with video files in it"
        )
    return [Clip(str(path.relative_to(folder)), path) for path in paths]


def search(
    finished: Finished,
    recipe: Recipe,
    registry: Registry,
    folder: Path,
    sentences: Sequence[str],
    *,
    top: int,
    use_cache: bool = True,
) -> Findings:
    """Rank the videos under ``folder`` by each sentence with a model that ``recipe`` describes.

    Frames, geometry and text length are the recipe's. Videos that cannot be decoded are left out
    and named.
    """
    if not all(sentence.strip() for sentence in sentences):
        raise HarnessError("a sentence to search for is empty", 'say what to look for: "a red circle grows"')
    clips = videos_under(folder)
    workers, settings = here(), recipe.evaluation
    model = finished_model(finished.file, recipe, registry, workers.device)
    batches = make_batches(_plan(finished, recipe, folder, use_cache), model, decode_threads(workers=0))
    videos, unreadable = encode_clips(model, clips, batches, workers, settings)
    if videos is None:
        name, reason = next(iter(unreadable.items()))
        raise HarnessError(
            f"none of the {len(clips)} videos in {folder} can be read; {name}: {reason}", "check the files"
        )
    queries = [Caption(str(number), "", text.strip()) for number, text in enumerate(sentences)]
    texts = encode_texts(model, queries, batches, workers, settings)
    scores = score_matrix(model, texts, videos, workers, settings.tile_memory_mb)
    if not np.isfinite(scores).all():
        raise HarnessError("the model gives scores that are no numbers", "it did not train well: use another")
    ranked = [clip for clip in clips if clip.id not in unreadable]
    rankings = [_ranking(query.text, row, ranked, top) for query, row in zip(queries, scores, strict=True)]
    return Findings(
        folder, len(ranked), {shown(name): why for name, why in unreadable.items()}, tuple(rankings)
    )


def _ranking(sentence: str, scores: np.ndarray, clips: Sequence[Clip], top: int) -> Ranking:
    best = np.argsort(-scores, kind="stable")[:top]
    hits = (
        Hit(rank, float(scores[place]), clips[place].id, probe(clips[place].path).duration_s)
        for rank, place in enumerate(best, start=1)
    )
    return Ranking(sentence, tuple(hits))


def shown(name: str) -> str:
    """A file name as text: what is no UTF-8 in it is replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def on_one_line(name: str) -> str:
    """A file name as it can stand in a line: line breaks and other control characters are escaped."""
    return "".join(
        repr(sign)[1:-1] if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in shown(name)
    )


def _is_video(path: Path) -> bool:
    try:
        probe(path)
    except DamagedClip:
        return False
    return True


def _plan(finished: Finished, recipe: Recipe, folder: Path, use_cache: bool) -> RunPlan:
    """The plan whose clips are read: the run's own, or for a mere file one without a data set."""
    if finished.trained_on is not None:
        return msgspec.structs.replace(finished.trained_on, recipe=recipe, use_cache=use_cache)
    nothing = Protocol(name="", train="", test="", query_unit="", n_queries=0, n_gallery=0, texts_hash="")
    return RunPlan(
        method=finished.method,
        dataset="",
        fingerprint="",
        task="",
        protocol=nothing,
        seed=0,
        recipe=recipe,
        versions={},
        data_root=str(folder),
        use_cache=use_cache,
    )

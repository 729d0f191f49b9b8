"""The score matrix of a test split, in blocks that fit a memory budget."""

from __future__ import annotations

import math

import numpy as np
import torch

from harness.engine.progress import meter
from harness.engine.workers import Workers
from harness.models import Features
from harness.models.assembly import VideoTextModel

#: Bytes that one pair of a cross-encoder is assumed to need per feature element: activations of
#: a few layers in float32.
PAIR_COST = 64


def score_matrix(
    model: VideoTextModel, texts: Features | None, clips: Features | None, workers: Workers, budget_mb: int
) -> np.ndarray | None:
    """Similarities ``[texts, clips]`` in float64 on the first worker, None elsewhere.

    A module that compares cached vectors is one product per block of texts. A pairwise one is
    scored in tiles, shared by the workers: the tiles depend on the budget only, so the scores are
    the same for any number of workers.
    """
    if not model.temporal.pairwise:
        return _scores(model, texts, clips, workers, _rows(clips, budget_mb)) if workers.first else None
    shared = workers.gather_objects((texts, clips))[0] if workers.world > 1 else (texts, clips)
    return _tiles(model, *shared, workers, budget_mb)


def _scores(
    model: VideoTextModel, texts: Features, clips: Features, workers: Workers, rows: int
) -> np.ndarray:
    device = workers.device
    clips = clips.map(lambda t: t.to(device))
    scores = np.empty((len(texts), len(clips)))
    with torch.inference_mode():
        for start in range(0, len(texts), rows):
            block = texts[slice(start, start + rows)].map(lambda t: t.to(device))
            scores[start : start + rows] = model.score(block, clips).double().cpu().numpy()
    return scores


def _tiles(
    model: VideoTextModel, texts: Features, clips: Features, workers: Workers, budget_mb: int
) -> np.ndarray | None:
    elements = texts.tokens[0].numel() + clips.tokens[0].numel()
    side = max(1, math.isqrt(budget_mb * 2**20 // (PAIR_COST * elements)))
    corners = [(row, column) for row in range(0, len(texts), side) for column in range(0, len(clips), side)]
    mine = corners[workers.rank :: workers.world]
    tiles = {}
    with torch.inference_mode(), meter("scoring pairs", len(mine), shown=workers.first) as shown:
        for row, column in mine:
            text = texts[slice(row, row + side)].map(lambda t: t.to(workers.device))
            clip = clips[slice(column, column + side)].map(lambda t: t.to(workers.device))
            tiles[row, column] = model.score(text, clip).double().cpu().numpy()
            shown.update(len(tiles))
    parts = workers.gather_objects(tiles)
    if not workers.first:
        return None
    scores = np.empty((len(texts), len(clips)))
    for part in parts:
        for (row, column), tile in part.items():
            scores[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    return scores


def _rows(clips: Features, budget_mb: int) -> int:
    return max(1, budget_mb * 2**20 // (8 * max(1, len(clips))))

"""The score matrix of a test split, in blocks that fit a memory budget."""

from __future__ import annotations

import math

import numpy as np
import torch

from harness.engine.progress import meter
from harness.engine.workers import Workers
from harness.models import Features
from harness.models.assembly import VideoTextModel

#: Numbers that a pair of a cross-encoder needs for each element of its features, at the peak. A layer
#: with an inner part four times as wide has 15 alive at once; the resident memory of a process that
#: scores tiles was measured at up to twice that, as an allocator keeps what it will use again.
PAIR_COST = 32


def score_matrix(
    model: VideoTextModel, texts: Features | None, clips: Features | None, workers: Workers, budget_mb: int
) -> np.ndarray | None:
    """Similarities ``[texts, clips]`` in float64 on the first worker, None elsewhere.

    A module that compares cached vectors is one product per block of texts. A pairwise one is
    scored in tiles, shared by the workers: the tiles depend on the budget and the shapes of the
    features only, so the scores are the same for any number of workers. ``budget_mb`` bounds what a
    block or a tile takes while it is made, beside the features and the matrix itself; a single row or
    pair is scored whatever it takes.
    """
    if not model.temporal.pairwise:
        if not workers.first:
            return None
        return _scores(model, texts, clips, workers, block_rows(texts, clips, budget_mb))
    shared = workers.gather_objects((texts, clips))[0] if workers.world > 1 else (texts, clips)
    return _tiles(model, *shared, workers, budget_mb)


def tile_side(texts: Features, clips: Features, budget_mb: int) -> int:
    """Texts, and clips, of a tile that a pairwise module scores within the budget."""
    pair = PAIR_COST * (_row_bytes(texts.tokens) + _row_bytes(clips.tokens))
    return max(1, math.isqrt(budget_mb * 2**20 // pair))


def block_rows(texts: Features, clips: Features, budget_mb: int) -> int:
    """Texts of a block that is scored against all clips within the budget.

    A row holds the scores as the module made them and as it returns them, then in float64. The vectors
    of both sides are there twice while they are brought to unit length.
    """
    text, clip = (_vectors(features) for features in (texts, clips))
    row = len(clip) * (2 * clip.element_size() + 8) + 2 * _row_bytes(text)
    left = budget_mb * 2**20 - 2 * len(clip) * _row_bytes(clip)
    return max(1, left // row)


def _vectors(features: Features) -> torch.Tensor:
    return features.tokens if features.pooled is None else features.pooled


def _row_bytes(tensor: torch.Tensor) -> int:
    return tensor[0].numel() * tensor.element_size()


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
    side = tile_side(texts, clips, budget_mb)
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

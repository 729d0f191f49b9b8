"""How fast a test split is scored, against the tile-by-tile loop of a reference; no tower is run.

A temporal module sits on a stand-in backbone whose frames already hold their features, so the time is
that of the module and of the scores alone. A module that compares cached vectors encodes every clip
once here; a reference that caches frame features only runs it again for every tile of texts and clips.
Both take turns, so that whatever else the machine does slows both. Of a pairwise module, which has to
score every pair anyhow, pairs per second are measured.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from harness.bench.stand_in import StandIn, clips_of, refuse_backbone, texts_of
from harness.engine.execute import here
from harness.engine.progress import clock, meter
from harness.engine.score import score_matrix
from harness.errors import HarnessError
from harness.models import BuildContext, Features, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel, build_backbone, make
from harness.models.batch import concatenate
from harness.plan.schema import Evaluation
from harness.plugins import Registry
from harness.results.table import markdown_table

FRAMES, TEXT_LENGTH = 12, 32
#: Texts, and clips, in a tile of the reference.
TILE = 16
#: Tiles that are timed, evenly chosen, where not all are.
TIMED_TILES = 150
#: Whole passes of the harness, between which the tiles are timed.
ROUNDS = 3


@dataclass(frozen=True)
class Cached:
    """A module that compares cached vectors: seconds for all scores, ``tiles_s`` projected from
    ``timed`` of ``tiles`` tiles; ``difference`` is the largest between two scores of the same pair."""

    module: str
    harness_s: float
    tiles_s: float
    timed: int
    tiles: int
    difference: float

    @property
    def ratio(self) -> float:
        return self.tiles_s / self.harness_s


@dataclass(frozen=True)
class Pairwise:
    """A module that scores pair by pair: ``pairs`` were timed, ``all_s`` is projected for all."""

    module: str
    pairs: int
    pairs_per_s: float
    all_s: float


@dataclass(frozen=True)
class Result:
    """What was measured, and why the modules of ``left_out`` were not."""

    texts: int
    clips: int
    width: int
    device: str
    threads: int
    cached: tuple[Cached, ...]
    pairwise: tuple[Pairwise, ...]
    left_out: dict[str, str]


def measure(
    registry: Registry,
    backbone: str,
    modules: Sequence[str],
    texts: int,
    clips: int,
    pair_side: int,
    all_tiles: bool,
) -> Result:
    """Every module of ``modules``, or of all that are installed those that can run on a stand-in.

    ``backbone`` is the tower whose text layers modules start from, with random weights. Of a pairwise
    module ``pair_side`` texts and clips are scored, no more than there are. Raises
    :class:`HarnessError` for a named module that cannot run on a stand-in.
    """
    torch.manual_seed(0)
    device = here().device
    stand_in = StandIn(build_backbone({"name": backbone}, registry, load=False), max(texts, pair_side))
    names = [registry.find("temporal modules", name)[0].name for name in modules]
    cached, pairwise, left_out = [], [], {}
    for name in dict.fromkeys(names or [spec.name for spec, _ in registry.specs("temporal modules")]):
        try:
            model = _model(name, stand_in, registry).to(device)
        except HarnessError as error:
            if names:
                raise
            left_out[name] = error.message
            continue
        if model.temporal.pairwise:
            pairwise.append(_pairs(name, model, min(pair_side, texts), min(pair_side, clips), texts * clips))
        else:
            cached.append(_against_tiles(name, model, texts, clips, all_tiles))
    width, threads = stand_in.dim, torch.get_num_threads()
    return Result(texts, clips, width, device.type, threads, tuple(cached), tuple(pairwise), left_out)


def _model(name: str, stand_in: StandIn, registry: Registry) -> VideoTextModel:
    context = BuildContext(stand_in, FRAMES, TEXT_LENGTH, refuse_backbone)
    return VideoTextModel(stand_in, make({"name": name}, "temporal modules", registry, context)).eval()


def _against_tiles(name: str, model: VideoTextModel, texts: int, clips: int, all_tiles: bool) -> Cached:
    device, stand_in = here().device, model.backbone
    text = _encode(model, texts_of(stand_in, texts, TEXT_LENGTH))
    large = [batch.to(device) for batch in clips_of(stand_in, clips, FRAMES, Evaluation().batch_size)]
    small = [batch.to(device) for batch in clips_of(stand_in, clips, FRAMES, TILE)]
    corners = [(row, column) for row in range(0, texts, TILE) for column in range(len(small))]
    count = len(corners) if all_tiles else min(TIMED_TILES, len(corners))
    chosen = [corners[place] for place in np.linspace(0, len(corners) - 1, count).round().astype(int)]
    _whole(model, text, large)  # the first use of anything is slower
    _tile(model, text, small, *chosen[0])
    passes, spent, difference = [], 0.0, 0.0
    with meter(f"{name}: tiles", count) as shown:
        for turn in range(ROUNDS):
            began = time.perf_counter()
            scores = _whole(model, text, large)
            passes.append(time.perf_counter() - began)
            for place in range(turn * count // ROUNDS, (turn + 1) * count // ROUNDS):
                row, column = chosen[place]
                began = time.perf_counter()
                tile = _tile(model, text, small, row, column)
                spent += time.perf_counter() - began
                mine = scores[row : row + TILE, column * TILE : (column + 1) * TILE]
                difference = max(difference, float(np.abs(mine - tile).max()))
                shown.update(place + 1)
    harness_s = statistics.median(passes)
    return Cached(name, harness_s, spent / count * len(corners), count, len(corners), difference)


def _whole(model: VideoTextModel, text: Features, batches: Sequence[VideoBatch]) -> np.ndarray:
    """The harness's way: the module once for each clip, then the scores."""
    with torch.inference_mode():
        video = concatenate([model.encode(batch) for batch in batches])
    return score_matrix(model, text, video, here(), Evaluation().tile_memory_mb)


def _tile(
    model: VideoTextModel, text: Features, batches: Sequence[VideoBatch], row: int, column: int
) -> np.ndarray:
    """The reference's way: the module anew for the clips of a tile, then its scores."""
    with torch.inference_mode():
        return model.score(text[row : row + TILE], model.encode(batches[column])).double().cpu().numpy()


def _pairs(name: str, model: VideoTextModel, texts: int, clips: int, wanted: int) -> Pairwise:
    text = _encode(model, texts_of(model.backbone, texts, TEXT_LENGTH))
    with torch.inference_mode():
        batches = clips_of(model.backbone, clips, FRAMES, Evaluation().batch_size)
        video = concatenate([model.encode(batch.to(here().device)) for batch in batches])
        model.score(text[:TILE], video[:TILE])
    began = time.perf_counter()
    score_matrix(model, text, video, here(), Evaluation().tile_memory_mb)
    rate = texts * clips / (time.perf_counter() - began)
    return Pairwise(name, texts * clips, rate, wanted / rate)


def _encode(model: VideoTextModel, texts: TextBatch) -> Features:
    with torch.inference_mode():
        return model.encode(texts.to(here().device))


def to_json(result: Result) -> str:
    values = asdict(result)
    for shown, row in zip(values["cached"], result.cached, strict=True):
        shown["ratio"] = row.ratio
    what = {"frames": FRAMES, "tile": TILE, "tile_memory_mb": Evaluation().tile_memory_mb}
    return json.dumps(what | values, indent=2)


def summary(result: Result) -> str:
    """A table for each kind of module, with what was projected, and the modules left out."""
    parts = [
        f"{result.texts:,} texts x {result.clips:,} clips, {FRAMES} frames of width {result.width}, "
        f"{result.device}, threads: {result.threads}; the head alone, on frame features that are there"
    ]
    if result.cached:
        parts += [_cached_table(result.cached), _how_timed(result.cached[0])]
    if result.pairwise:
        parts += [_pairwise_table(result.pairwise, result.texts * result.clips)]
        parts += [
            f"pairs in tiles of {Evaluation().tile_memory_mb} MB, the default evaluation.tile_memory_mb"
        ]
    parts += [f"left out: {name}: {reason}" for name, reason in result.left_out.items()]
    return "\n\n".join(parts)


def _cached_table(rows: Sequence[Cached]) -> str:
    headers = ["module", "once per clip (s)", f"per tile of {TILE} x {TILE} (s)", "ratio", "difference"]
    figures = [
        (f"{row.harness_s:.2f}", f"{row.tiles_s:.1f}", f"{row.ratio:.1f}", f"{row.difference:.1e}")
        for row in rows
    ]
    return markdown_table(headers, [[row.module, *shown] for row, shown in zip(rows, figures, strict=True)])


def _how_timed(row: Cached) -> str:
    timed = f"the tiles' time is projected from {row.timed:,} of {row.tiles:,}, evenly chosen"
    if row.timed == row.tiles:
        timed = f"all {row.tiles:,} tiles timed"
    return f"{timed}; difference: the largest between the two scores of a pair"


def _pairwise_table(rows: Sequence[Pairwise], wanted: int) -> str:
    headers = ["pairwise module", "pairs timed", "pairs/s", f"all {wanted:,} (projected)"]
    figures = [(f"{row.pairs:,}", f"{row.pairs_per_s:,.0f}", clock(row.all_s)) for row in rows]
    return markdown_table(headers, [[row.module, *shown] for row, shown in zip(rows, figures, strict=True)])

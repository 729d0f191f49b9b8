"""What a process of the two-rank cases does. Plain functions, so that a spawned process finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from clip4clip import Case

from harness.engine.train import Trainer
from harness.engine.workers import Workers
from harness.models import Batch, Encoding, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel
from harness.plan.schema import Stage
from harness.plugins import registry
from harness_clip4clip import official
from harness_standard.info_nce import InfoNCE
from harness_standard.plugin import InfoNCEOptions


def training_step(
    workers: Workers, path: Path, per_rank: int, gather: str
) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """This worker's loss of a recorded batch, the norms of its own gradients, and the averaged ones.

    Gradients stand by official name, None where there is none; of the averaged ones the norm, the
    sum and the first four entries.
    """
    case = Case(path)
    model = VideoTextModel(*case.model()).train()
    trainer = Trainer(model, None, {}, None, workers, registry(), 0, path.parent)
    share = _share(case, workers.rank * per_rank, per_rank)
    stage = Stage(gather=gather, precision="fp32")
    loss = trainer.compute_loss(
        InfoNCE(InfoNCEOptions(same_clip="negative")),
        share,
        trainer.encode(share, stage).features,
        tuple(map(str, range(workers.world * per_rank))),
        stage,
    )
    loss.backward()
    names = official.names(model.backbone, model.temporal)
    parameters = {names[name]: p for name, p in model.named_parameters()}
    own = {name: None if p.grad is None else p.grad.norm().item() for name, p in parameters.items()}
    workers.average_gradients(list(parameters.values()))
    averaged = {name: None if p.grad is None else _facts(p.grad) for name, p in parameters.items()}
    return loss.item(), own, averaged


def _facts(grad: torch.Tensor) -> dict[str, Any]:
    flat = grad.flatten()
    return {"norm": flat.norm().item(), "sum": flat.sum().item(), "first": flat[:4].tolist()}


def _share(case: Case, start: int, count: int) -> Batch:
    texts, clips = case.batch()
    rows = slice(start, start + count)
    tokens = texts.encoding("recorded")
    encodings = {"recorded": Encoding(tokens.tokens[rows], tokens.mask[rows])}
    ids = texts.ids[rows]
    return Batch(
        {
            "text": TextBatch(ids, ids, ids, encodings),
            "video": VideoBatch(ids, clips.frames[rows], clips.mask[rows], clips.times[rows]),
        }
    )

"""What a worker of the invariance tests does. Plain functions, so that a spawned process finds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.data import Dataset
from harness.engine import checkpoint
from harness.engine.encode import encode_clips, encode_texts
from harness.engine.generate import write_texts
from harness.engine.inputs import Batches, by_clip
from harness.engine.loading import make_batches, open_dataset
from harness.engine.randomness import key
from harness.engine.score import score_matrix
from harness.engine.train import Trainer
from harness.engine.training_data import training_data
from harness.engine.worker import Job, work
from harness.engine.workers import Workers
from harness.models import beam_search, said
from harness.models.assembly import VideoTextModel, build_model, sources_of
from harness.plan.run_plan import RunPlan
from harness.plugins import registry
from harness.results.retrieved import RETRIEVED
from tests.support import pairs


def opened(plan: RunPlan) -> tuple[VideoTextModel, Dataset, Batches]:
    """The freshly initialised model of a plan, in fp64, with its data."""
    pairs.register()
    torch.manual_seed(key(plan.seed, "initial weights"))
    model = build_model(plan.recipe, registry()).double()
    return model, open_dataset(plan, registry()), make_batches(plan, model, 1)


def train(
    workers: Workers, plan: RunPlan, folder: Path, micro_batch: int = 0
) -> tuple[list[float], dict[str, Tensor]]:
    """All losses of a training run, and every parameter's gradient of its first step."""
    model, dataset, batches = opened(plan)
    data = {
        name: training_data(
            plan.dataset,
            plan.protocol.train,
            dataset,
            plan.recipe.data,
            plan.fraction(name),
            sources_of(stage, registry()),
            batches,
            workers,
        )
        for name, stage in plan.recipe.stages.items()
    }
    losses: list[float] = []
    gradients: dict[str, Tensor] = {}

    def note(event: dict[str, Any]) -> None:
        if not losses:
            found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            gradients.update({name: grad.clone() for name, grad in found.items()})
        losses.append(event["loss"])

    folder.mkdir(exist_ok=True)
    Trainer(
        model=model,
        recipe=plan.recipe,
        samples={name: found.samples for name, found in data.items()},
        batches=batches,
        workers=workers,
        registry=registry(),
        seed=plan.seed,
        folder=folder,
        micro_batch=micro_batch,
        on_step=note,
    ).run()
    return losses, gradients


def save_untrained(workers: Workers, plan: RunPlan, folder: Path) -> Path:
    """A checkpoint of the plan's model with its initial weights."""
    model, _, _ = opened(plan)
    return checkpoint.save_model(folder, model)


def evaluate(workers: Workers, plan: RunPlan, folder: Path, model: Path) -> Any:
    """The counts, the unreadable clips and what was retrieved of a checkpoint; None on all workers but the first."""
    pairs.register()
    outcome = work(Job(plan=plan, folder=str(folder), model=str(model)), workers)
    return outcome and (
        outcome.queries,
        outcome.metrics,
        outcome.missing,
        (folder / RETRIEVED).read_bytes(),
    )


def probe(workers: Workers, plan: RunPlan, folder: Path, model: Path) -> Any:
    """The probes of a checkpoint and its unreadable clips; None on all workers but the first."""
    outcome = work(Job(plan=plan, folder=str(folder), model=str(model), probes=True), workers)
    return outcome and (outcome.probes, outcome.missing)


def write(workers: Workers, plan: RunPlan, asked: bool, count: int) -> Any:
    """What an untrained model, its weights stirred, writes about the first ``count`` test clips, of which
    the fourth is missing."""
    model, dataset, batches = opened(plan)
    with torch.no_grad():
        for parameter in model.temporal.parameters():
            parameter += torch.randn_like(parameter) * (0.5 if parameter.ndim > 1 else 0.1)
    clips = [replace(c, path=None) if n == 3 else c for n, c in enumerate(dataset.clips("test")[:count])]
    beams = 1 if asked else 2

    def said_of(module, memory, prompt, width) -> list[str]:
        end = module.writes.vocabulary.end
        started = module.start(memory, prompt, width * beams)
        ids, _ = beam_search(started, len(memory) * width, beams, 5, end)
        return [said(row, module.writes) for row in ids.tolist()]

    prompts = by_clip(dataset.questions("test")) if asked else None
    return write_texts(model, clips, prompts, said_of, batches, workers, plan.recipe.evaluation)


def score(workers: Workers, plan: RunPlan, counts: tuple[int, int], budget_mb: int) -> np.ndarray | None:
    """Scores of the first so many texts and clips, in tiles that fit a budget."""
    model, dataset, batches = opened(plan)
    n_texts, n_clips = counts
    test, settings = plan.protocol.test, plan.recipe.evaluation
    clips, _ = encode_clips(model, dataset.clips(test)[:n_clips], batches, workers, settings)
    texts = encode_texts(model, dataset.captions(test)[:n_texts], batches, workers, settings)
    return score_matrix(model, texts, clips, workers, budget_mb)


def gather_twice(workers: Workers, rows: int) -> tuple[float, Tensor]:
    """A loss whose sum hands one gradient tensor to two gathers, and the gradient of its weights."""
    share = workers.share(rows)
    values = (torch.arange(rows, dtype=torch.float64) + 1)[share.start : share.stop]
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    left, right = workers.gather(values * weights[0]), workers.gather(values * weights[1])
    loss = ((left + right) ** 2).sum()
    loss.backward()
    workers.average_gradients([weights])
    return loss.item(), weights.grad

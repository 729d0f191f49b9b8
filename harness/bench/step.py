"""A training step of a large batch: whole, and a few samples at a time (``--micro-batch``).

Each is taken in a fresh process, on the same random clips and texts, by the trainer's own code. Peak
memory is what the process gains over holding model and batch; on a GPU, what its allocator counts.
The gradients are compared by the norm of each parameter's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from harness.bench import memory
from harness.engine.execute import here
from harness.engine.train import Trainer, autocast
from harness.errors import HarnessError
from harness.models import Batch, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel, build_loss, build_model, sources_of
from harness.plan.packaged import lay_recipes
from harness.plan.plan import Request, lay_request
from harness.plan.recipe import resolve
from harness.plan.schema import Recipe
from harness.plugins import registry
from harness.results.table import NOTHING, markdown_table

#: Steps that are timed, after a first one that is not.
TIMED = 3


@dataclass(frozen=True)
class Step:
    """``micro_batch`` samples at a time (0: all of them); a median of seconds, megabytes at the peak
    (None where the system does not say), the loss, and the norm of every gradient."""

    micro_batch: int
    seconds: float
    peak_mb: float | None
    loss: float
    norms: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    method: str
    backbone: str
    loss: str
    batch: int
    frames: int
    device: str
    arithmetic: str  # in bf16 the order of a sum shows in the gradients: compare them in single precision
    whole: Step
    parts: Step

    @property
    def loss_difference(self) -> float:
        return abs(self.parts.loss - self.whole.loss) / abs(self.whole.loss)

    @property
    def gradient_difference(self) -> float:
        """The largest between the norms of a parameter's gradients, over the largest norm."""
        pairs = zip(self.parts.norms, self.whole.norms, strict=True)
        return max(abs(a - b) for a, b in pairs) / max(self.whole.norms)


def measure(method: str, settings: Sequence[str], backbone: str, batch: int, micro_batch: int) -> Result:
    """Two fresh processes, one after the other."""
    if micro_batch >= batch:
        raise HarnessError(
            f"micro-batches of {micro_batch} are no part of a batch of {batch}",
            "choose a smaller --micro-batch",
        )
    recipe = recipe_of(method, settings, backbone)
    stage = next(reversed(recipe.stages.values()))
    whole, parts = (_in_a_process(method, settings, backbone, batch, rows) for rows in (0, micro_batch))
    return Result(
        method,
        recipe.model.backbone["name"],
        stage.loss["name"],
        batch,
        recipe.data.frames,
        here().device.type,
        "bf16" if isinstance(autocast(here().device, stage.precision), torch.autocast) else "fp32",
        whole,
        parts,
    )


def take(method: str, settings: Sequence[str], backbone: str, batch: int, micro_batch: int) -> Step:
    """The steps, in this process. The model's weights stay as they are."""
    recipe = recipe_of(method, settings, backbone)
    stage = next(reversed(recipe.stages.values()))
    torch.manual_seed(0)
    model = build_model(recipe, registry(), load=False).to(here().device).train()
    loss = build_loss(stage.loss, registry()).to(here().device)
    trainer = Trainer(model, recipe, {}, None, here(), registry(), 0, Path(), micro_batch=micro_batch)
    inputs = made_up(recipe, model, sources_of(stage, registry()), batch).to(here().device)
    seconds, before = [], _reset()
    for _ in range(1 + TIMED):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(1)
        began = time.perf_counter()
        encoded = trainer.encode(inputs, stage)
        value = trainer.compute_loss(loss, inputs, encoded.features, inputs.clip_ids, stage)
        value.backward()
        encoded.backward()
        if here().device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    norms = tuple(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)
    return Step(micro_batch, statistics.median(seconds[1:]), _peak(before), value.item(), norms)


def made_up(recipe: Recipe, model: VideoTextModel, sources: Sequence[str], batch: int) -> Batch:
    """A batch of random pixels and tokens, each sample of a clip of its own."""
    random = torch.Generator().manual_seed(2)
    ids = tuple(map(str, range(batch)))
    size, length = model.backbone.preprocess.size, recipe.data.text_length

    def source(name: str) -> VideoBatch | TextBatch:
        if name in ("video", "frame"):
            shape = (batch, recipe.data.frames if name == "video" else 1)
            pixels = torch.randint(0, 256, (*shape, 3, size, size), dtype=torch.uint8, generator=random)
            return VideoBatch(ids, pixels, torch.ones(shape, dtype=torch.bool), torch.zeros(shape))
        encodings = {}
        for tokenizer in model.tokenizers:
            words = [f"sample {row} of {name}" for row in range(batch)]
            encodings[tokenizer.name] = tokenizer.encode(words, length)
        return TextBatch(ids, ids, ids, encodings)

    return Batch({name: source(name) for name in sources})


def recipe_of(method: str, settings: Sequence[str], backbone: str) -> Recipe:
    spec, _ = registry().find("methods", method)
    layers = lay_recipes(spec, None)
    lay_request(
        layers, Request(method=method, dataset="", backbone=backbone, settings=tuple(settings)), spec, ""
    )
    return resolve(layers, registry())


def _in_a_process(method: str, settings: Sequence[str], backbone: str, batch: int, micro_batch: int) -> Step:
    code = "import sys; from harness.bench.step import print_step; print_step(sys.argv[1])"
    asked = json.dumps([method, list(settings), backbone, batch, micro_batch])
    # glibc otherwise keeps what was freed, and the peak would depend on how well the gaps are filled.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    done = subprocess.run([sys.executable, "-c", code, asked], stdout=subprocess.PIPE, env=environment)
    if done.returncode:
        raise HarnessError(
            f"the process that took the step ended with {done.returncode}", "choose a smaller --batch"
        )
    values = json.loads(done.stdout.splitlines()[-1])
    return Step(**{**values, "norms": tuple(values["norms"])})


def print_step(asked: str) -> None:
    """In that process."""
    print(json.dumps(asdict(take(*json.loads(asked)))))


def _reset() -> float | None:
    if here().device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    if not memory.is_told():
        return None
    memory.reset_peak()
    return memory.resident_mb()


def _peak(before: float | None) -> float | None:
    if before is None:
        return None
    cuda = here().device.type == "cuda"
    return (torch.cuda.max_memory_allocated() / 2**20 if cuda else memory.peak_mb()) - before


def to_json(result: Result) -> str:
    differences = {name: getattr(result, name) for name in ("loss_difference", "gradient_difference")}
    values = asdict(result) | differences
    for part in ("whole", "parts"):
        del values[part]["norms"]
    return json.dumps(values, indent=2)


def summary(result: Result) -> str:
    """A row for each, and what the smaller one costs and saves."""
    rows = []
    for step in (result.whole, result.parts):
        name = f"{step.micro_batch} at a time" if step.micro_batch else "whole"
        peak = NOTHING if step.peak_mb is None else f"{step.peak_mb:,.0f}"
        rows.append([name, f"{step.seconds:.2f}", peak, f"{step.loss:.9g}"])
    lines = [
        markdown_table(["batch", "seconds", "MB at peak", "loss"], rows),
        "",
        f"{result.method}, {result.backbone}, {result.loss}: batch {result.batch} of {result.frames} frames, on "
        f"{result.device} in {result.arithmetic}; medians of {TIMED} steps",
        f"difference of the losses {result.loss_difference:.1e}, of the gradients' norms "
        f"{result.gradient_difference:.1e}; time {result.parts.seconds / result.whole.seconds:.2f}x",
    ]
    if result.whole.peak_mb and result.parts.peak_mb:
        lines[-1] += f", memory {result.parts.peak_mb / result.whole.peak_mb:.2f}x"
    return "\n".join(lines)

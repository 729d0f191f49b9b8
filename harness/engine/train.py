"""The training loop: stages of epochs of steps over the global batch."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.engine import checkpoint
from harness.engine.inputs import Batches, Sample, epoch_order, prefetched
from harness.engine.length import effective_batch, lengths
from harness.engine.micro_batch import Encoded, encoded, score_in_tiles
from harness.engine.optimisation import clip_gradients, freeze, make_optimizer
from harness.engine.progress import meter
from harness.engine.randomness import key
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.models import Batch, Features, Loss, LossInputs, TextBatch, VideoBatch, Writer
from harness.models.assembly import (
    VideoTextModel,
    build_loss,
    build_schedule,
    loss_spec,
    sources_of,
    stage_options,
)
from harness.plan.schema import Recipe, Stage
from harness.plugins import Registry


@dataclass
class Progress:
    """Where training stands: the next step to do. Saved in every checkpoint.

    ``steps`` are those done so far in all stages, ``seen`` the samples in their batches, ``seconds`` what
    they took by the clock, waiting for data and writing checkpoints included; ``worker_seconds`` is its
    sum over the workers.
    ``damaged`` names, by stage, the clips that could not be read, with the reason. ``best`` is the best
    score of an epoch so far, and ``best_epoch`` (from 1) the first one that had it, where epochs are judged.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    steps: int = 0
    seen: int = 0
    seconds: float = 0.0
    worker_seconds: float = 0.0
    damaged: dict[str, dict[str, str]] = field(default_factory=dict)
    best: float = -math.inf
    best_epoch: int = 0


@dataclass
class Trainer:
    """Everything that the loop needs and that does not change during a run; ``samples`` by stage."""

    model: VideoTextModel
    recipe: Recipe
    samples: Mapping[str, Sequence[Sample]]
    batches: Batches
    workers: Workers
    registry: Registry
    seed: int
    folder: Path
    checkpoint_every: int = 0
    #: The number of samples that a stage's steps are counted on, where it is not that of its samples.
    counted_on: Mapping[str, int] = field(default_factory=dict)
    #: Samples that a worker encodes at once, with the same gradient; 0: its whole share of a batch.
    micro_batch: int = 0
    #: Called once with the number of steps that the checkpoint holds, before the first new one.
    on_start: Callable[[int], None] = lambda steps: None
    on_step: Callable[[dict[str, Any]], None] = lambda event: None
    #: Scores the model after each epoch of the last stage, on all workers; the first one's score counts.
    judge: Callable[[], float | None] | None = None

    def run(self) -> Progress:
        """Train all stages, continuing from the folder's checkpoint where there is one."""
        saved = checkpoint.load_checkpoint(self.folder)
        progress = Progress(**saved["progress"]) if saved else Progress()
        if saved:
            self.model.load_state_dict(saved["model"])
        if self.workers.first:
            self.on_start(progress.steps)
        for index, (name, stage) in enumerate(self.recipe.stages.items()):
            if index >= progress.stage:
                self._stage(index, name, stage, progress, saved)
                saved = None
        if progress.best_epoch:
            self.workers.barrier()
            checkpoint.load_best(self.folder, self.model)
        self._enter(None, len(self.recipe.stages), fresh=False)
        return progress

    def _stage(self, index: int, name: str, stage: Stage, progress: Progress, saved: dict | None) -> None:
        # Keyed, as the state of torch's own generator differs between workers and after a resume.
        torch.manual_seed(key(self.seed, "initial loss", name))
        self._enter(stage, index, fresh=progress.epoch == progress.step == 0)
        loss = build_loss(stage.loss, self.registry).to(self.workers.device)
        if stage.precision == "fp64":
            loss.double()
        whole = nn.ModuleDict({"model": self.model, "loss": loss})
        patterns = [_whole(pattern) for pattern in stage.trainable]
        chosen = freeze(whole, patterns, stage.freeze_layers, self._depth)
        parameters = [(n.removeprefix("model."), p) for n, p in chosen]
        schedule, samples = build_schedule(stage.schedule, self.registry), self.samples[name]
        optimizer = make_optimizer(stage, parameters, self.registry)
        if saved and saved["progress"]["stage"] == index and saved.get("optimizer"):
            optimizer.load_state_dict(saved["optimizer"])
            loss.load_state_dict(saved["loss"])
        batch = effective_batch(stage, len(samples), self.workers.world)
        per_epoch = len(samples) // batch
        counts = {stage: len(own) for stage, own in self.samples.items()}
        length = lengths(self.recipe, counts, counts | self.counted_on, self.workers.world)[name]
        sources = sources_of(stage, self.registry)
        done = progress.epoch * per_epoch + progress.step
        self.model.train()
        began = time.monotonic()
        now = progress.seconds  # by the first worker's clock, so that all of them end with the same step
        begun, total = length.meter(done, now)
        with meter(f"training {name}", total, begun, self.workers.first) as shown:
            # An epoch that a checkpoint was written at the very end of has still to be judged.
            while progress.step or not length.ended(done, now):
                order = epoch_order(len(samples), self.seed, name, progress.epoch)
                jobs = [
                    self._job(samples, name, progress.epoch, order, step, batch, sources)
                    for step in range(progress.step, min(per_epoch, progress.step + length.left(done)))
                ]
                for inputs, damaged in prefetched(jobs):
                    where = f"at stage {name}, epoch {progress.epoch}, step {done + 1}"
                    shares = self.workers.gather_objects((inputs.clip_ids, damaged, progress.seconds))
                    now = shares[0][2]
                    if length.ended(done, now):
                        break
                    for _, share, _ in shares:
                        progress.damaged.setdefault(name, {}).update(share)
                    clip_ids = [name for names, _, _ in shares for name in names]
                    rate = schedule(*length.place(done, now), stage.lr)
                    event = self._step(stage, loss, parameters, optimizer, inputs, clip_ids, rate, where)
                    done += 1
                    progress.step += 1
                    progress.steps += 1
                    progress.seen += batch
                    began, took = time.monotonic(), time.monotonic() - began
                    progress.seconds += took
                    progress.worker_seconds += took * self.workers.world
                    event.update(stage=name, epoch=progress.epoch, step=done, seconds=progress.seconds)
                    place, end = length.place(done, progress.seconds)
                    event["part"] = round(place / end, 4)
                    if self.workers.first:
                        self.on_step(event)
                    shown.update(length.meter(done, progress.seconds)[0], f"loss {event['loss']:.4f}")
                    if self.checkpoint_every and done % self.checkpoint_every == 0:
                        self._save(progress, optimizer, loss)
                progress.epoch, progress.step = progress.epoch + 1, 0
                if self.judge and index == len(self.recipe.stages) - 1:
                    self._judge(self.judge, progress)
                self._save(progress, optimizer, loss)
        progress.stage, progress.epoch, progress.step = index + 1, 0, 0
        self._save(progress, None, None)

    def _enter(self, stage: Stage | None, index: int, fresh: bool) -> None:
        """Tell the temporal module which stage it is in; None: training is over."""
        earlier = list(self.recipe.stages.values())[:index]
        before = stage_options(self.recipe, earlier[-1], self.registry) if earlier else None
        self.model.temporal.enter_stage(stage_options(self.recipe, stage, self.registry), before, fresh)

    def _judge(self, judge: Callable[[], float | None], progress: Progress) -> None:
        score = self.workers.gather_objects(judge())[0]
        if score > progress.best:
            progress.best, progress.best_epoch = score, progress.epoch
            if self.workers.first:
                checkpoint.save_best(self.folder, self.model)
        self.model.train()

    def _depth(self, name: str) -> int | None:
        """The depth of a parameter by its name in the model and loss as a whole."""
        own = name.removeprefix("model.backbone.")
        return None if own == name else self.model.backbone.depth(own)

    def _job(self, samples: Sequence[Sample], stage: str, epoch: int, order, step: int, batch: int, sources):
        share = self.workers.share(batch)
        chosen = [samples[int(i)] for i in order[step * batch :][share.start : share.stop]]
        return lambda: self.batches.training(chosen, self.seed, stage, epoch, sources=sources)

    def _step(
        self,
        stage: Stage,
        loss: Loss,
        parameters,
        optimizer,
        inputs: Batch,
        clip_ids: list[str],
        rate: float,
        where: str,
    ) -> dict[str, Any]:
        torch.manual_seed(key(self.seed, where, self.workers.rank))
        named = ", ".join(clip_ids[:8]) + (", ..." if len(clip_ids) > 8 else "")
        blame = f"{where}; clips of the batch: {named}"
        inputs = inputs.to(self.workers.device)
        self._clamp("before_forward", stage)
        encoded = self.encode(inputs, stage)
        value = self.compute_loss(loss, inputs, encoded.features, clip_ids, stage)
        # Without a gather each worker has a loss of its own.
        seen = self.workers.mean(value) if self._ungathered(stage) else value.detach()
        if not torch.isfinite(seen):
            raise HarnessError(
                f"the loss is {seen.item()}, {blame}",
                "look at those clips, lower train.lr, or give train.precision more digits",
            )
        self._clamp("before_backward", stage)
        optimizer.zero_grad(set_to_none=True)
        if value.requires_grad:  # what is trained may be beside what the loss uses: see clip_gradients
            value.backward()
        encoded.backward()
        self.workers.average_gradients([p for _, p in parameters])
        norm = clip_gradients(parameters, stage.clip_grad_norm, blame)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        optimizer.step()
        self._clamp("after_step", stage)
        return {"loss": seen.item(), "grad_norm": norm, "lr": stage.lr * rate}

    def _clamp(self, now: str, stage: Stage) -> None:
        """Keep the factor on similarities within 1 and its limit, at the moment that the stage asks for."""
        if stage.clamp_logit_scale == now:
            # Through data: the graph of this step was made with the value before.
            self.model.backbone.logit_scale.data.clamp_(0, math.log(stage.max_logit_scale))

    def _ungathered(self, stage: Stage) -> bool:
        return stage.gather == "reference" and self.model.temporal.pairwise

    def encode(self, inputs: Batch, stage: Stage) -> Encoded:
        """Features of this worker's share of a batch, in the stage's precision."""
        spec = loss_spec(stage, self.registry)
        wanted = inputs.sources if spec.features is None else spec.features

        def encode(source: VideoBatch | TextBatch) -> Features:
            with autocast(self.workers.device, stage.precision):
                return self.model.encode(source, spec.generates and isinstance(source, VideoBatch))

        sources = {name: source for name, source in inputs.sources.items() if name in wanted}
        return encoded(encode, sources, self.micro_batch, self.workers.device)

    def compute_loss(
        self,
        loss: Loss,
        inputs: Batch,
        local: dict[str, Features],
        clip_ids: Sequence[str],
        stage: Stage,
    ) -> Tensor:
        """The loss of the global batch, from this worker's share of it, with the stage's gradient.

        ``local`` are the features of that share, ``clip_ids`` names the clips of the whole global
        batch, in the order of the workers. A pairwise head under the ``reference`` gather has the
        loss of this worker's share alone.
        """
        if self._ungathered(stage):
            features, clip_ids = local, inputs.clip_ids
        elif stage.gather == "reference":
            features = {name: self.workers.gather_feature_values(f) for name, f in local.items()}
        else:
            features = {name: self.workers.gather_features(f) for name, f in local.items()}
        numbers = {name: number for number, name in enumerate(clip_ids)}
        codes = torch.tensor([numbers[name] for name in clip_ids], device=self.workers.device)
        return loss(
            LossInputs(
                features=features,
                positives=codes[:, None] == codes[None, :],
                logit_scale=self.model.logit_scale,
                similarity=partial(self._similarity, local, features),
                batch=inputs,
                total=self.workers.total,
                writer=self._writer(local, stage),
            )
        )

    def _writer(self, local: dict[str, Features], stage: Stage) -> Writer | None:
        if not loss_spec(stage, self.registry).generates:
            return None
        memory = local["video"].memory
        assert memory is not None, "a loss that generates has its clips encoded with a memory"
        return Writer(self.model.writer, memory, partial(autocast, self.workers.device, stage.precision))

    def _similarity(
        self, local: dict[str, Features], features: dict[str, Features], text: str, video: str
    ) -> Tensor:
        if not self.model.temporal.pairwise:
            return self.model.score(features[text], features[video])
        # A pairwise head is the expensive part: each worker scores its own texts only.
        if self.micro_batch:
            scores = score_in_tiles(self.model.score, local[text], features[video], self.micro_batch)
        else:
            scores = self.model.score(local[text], features[video])
        return scores if features is local else self.workers.gather(scores)

    def _save(self, progress: Progress, optimizer, loss: Loss | None) -> None:
        if self.workers.first:
            checkpoint.save_checkpoint(
                self.folder,
                {
                    "model": self.model.state_dict(),
                    "optimizer": optimizer.state_dict() if optimizer else None,
                    "loss": loss.state_dict() if loss else {},
                    "progress": dict(vars(progress)),
                },
            )


def autocast(device: torch.device, precision: str):
    """bf16 arithmetic where it is asked for, or where ``auto`` finds that the device has it."""
    if precision == "bf16" or (precision == "auto" and has_fast_bf16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (
        torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    )


def _whole(pattern: str) -> str:
    """Recipes name the model's parameters without a prefix, and a loss's with ``loss.``."""
    return pattern if pattern == "*" or pattern.startswith("loss.") else f"model.{pattern}"

"""A first step of training on made-up samples, in one process or several: the same loss, the same gradients."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.engine.train import Trainer
from harness.engine.workers import Workers
from harness.models import Batch, GenerativeModule, TemporalModule, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel, build_loss, loss_spec, make
from harness.plan.schema import Model, Recipe, Stage
from harness.plugins import Plugin, Registry, registry
from harness.testing import made_up
from harness.testing.crew import WorkerError, session_crew
from harness.testing.kit import Fault, NotChecked, Subject

#: Samples of the batch: of nine, no share of two or four is like another. Two are of one clip.
SAMPLES = 9
WORLDS = (2, 4)
#: Relative to the largest entry of each tensor, in double precision.
RELATIVE = 1e-8

#: The module under a loss that names none.
FRAME_MEAN = "the mean of the frames"


@dataclass(frozen=True)
class Step:
    """Recipe values, in JSON, of a temporal module and a loss, and where another process finds their plugins.

    ``training``: the model is in training mode, whose dropout layers are off. ``draws`` seeds what is drawn
    from torch's global random numbers all the same.
    """

    plugins: tuple[tuple[str, str, str, str], ...]
    temporal: str  # JSON
    loss: str  # JSON
    training: bool = True
    draws: int = 0

    @staticmethod
    def of(subject: Subject) -> Step:
        """The step that tries a temporal module, under the usual loss, or a loss, over the plainest module
        that has what it asks for."""
        own = {"name": subject.name, **subject.spec.small}
        if subject.kind == "temporal modules":
            return Step(_places(subject.plugin), json.dumps(own), json.dumps(Stage().loss))
        module, owner = (
            _generative(subject) if subject.spec.generates else ({"name": FRAME_MEAN}, subject.plugin)
        )
        return Step(_places(subject.plugin, owner), json.dumps(module), json.dumps(own))


def _places(*plugins: Plugin) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((p.name, p.distribution, p.version, p.target) for p in plugins)


def _generative(subject: Subject) -> tuple[dict[str, Any], Plugin]:
    """A module that writes, one of the same plugin before any other."""
    known = sorted(subject.registry.specs("temporal modules"), key=lambda pair: pair[1] is not subject.plugin)
    for spec, plugin in known:
        if spec.small is None:
            continue
        value = {"name": spec.name, **spec.small}
        backbone = made_up.tower(subject.registry)
        made = make(value, "temporal modules", subject.registry, made_up.context(backbone, subject.registry))
        if isinstance(made, GenerativeModule):
            return value, plugin
    raise NotChecked("it generates, and no installed temporal module writes")


def first_step(workers: Workers, step: Step, micro_batch: int = 0) -> tuple[float, dict[str, Tensor]]:
    """The loss of the global batch and every gradient, in double precision and without dropout."""
    known = _with_plugins(step)
    model, loss = _parts(step, known)
    stage = Stage(loss=json.loads(step.loss), precision="fp64")
    recipe = Recipe(
        model=Model(backbone=dict(made_up.BACKBONE), temporal=json.loads(step.temporal)),
        stages={"try": stage},
    )
    trainer = Trainer(model, recipe, {}, None, workers, known, 0, Path(), micro_batch=micro_batch)
    batch = _share(_batch(model, loss_spec(stage, known).sources), workers)
    clip_ids = [name for names in workers.gather_objects(batch.clip_ids) for name in names]
    torch.manual_seed(step.draws)
    encoded = trainer.encode(batch, stage)
    value = trainer.compute_loss(loss, batch, encoded.features, clip_ids, stage)
    if not isinstance(value, Tensor) or value.ndim:
        raise Fault("the loss is no scalar", "return a tensor without dimensions, such as a mean()")
    value.backward()
    encoded.backward()
    named = list(nn.ModuleDict({"model": model, "loss": loss}).named_parameters())
    workers.average_gradients([p for _, p in named])
    return value.item(), {
        name.removeprefix("model."): p.grad for name, p in named if p.grad is not None and p.numel()
    }


def sources(step: Step) -> tuple[str, ...]:
    """What the step's loss says that it reads of a batch."""
    return loss_spec(Stage(loss=json.loads(step.loss)), _with_plugins(step)).sources


def same_for_any_number(step: Step) -> None:
    """Raise :class:`Fault` where two or four processes have another loss, or another gradient, than one."""
    step = steady(step)
    loss, gradients = alone(step)
    for world in WORLDS:
        try:
            found = session_crew().run(world, first_step, step)
        except WorkerError as error:
            raise Fault(f"a step with {world} workers fails: {error.cause}") from error
        values = {value for value, _ in found}
        _same_loss(loss, max(values, key=lambda value: abs(value - loss)), world)
        _same_gradients(gradients, found[0][1], f"for {world} workers")


@lru_cache(maxsize=4)  # the checks of one component
def alone(step: Step, micro_batch: int = 0) -> tuple[float, dict[str, Tensor]]:
    """The step in this process."""
    try:
        return first_step(Workers(0, 1, torch.device("cpu")), step, micro_batch)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        raise Fault(
            f"a step in double precision fails: {' '.join(str(error).split())}",
            "workers are compared in double precision: leave the dtype as the tower has it, no .float()",
        ) from error


def steady(step: Step) -> Step:
    """The step in training mode, or in eval mode where the model draws at random in training: what it
    draws may depend on the worker, as dropout does."""
    return step if is_steady(step) else replace(step, training=False)


def is_steady(step: Step) -> bool:
    """Whether the loss is a function of the samples, whatever torch's global random numbers are."""
    return alone(step)[0] == alone(replace(step, draws=step.draws + 1))[0]


def a_few_at_a_time(step: Step) -> None:
    """Raise :class:`Fault` where samples that are encoded two at a time have another loss or gradient."""
    step = steady(step)
    loss, gradients = alone(step)
    found, others = alone(step, micro_batch=2)
    if abs(found - loss) > RELATIVE * max(1.0, abs(loss)):
        raise Fault(f"the loss is {found:.9g} with --micro-batch 2, {loss:.9g} without")
    _same_gradients(gradients, others, "with --micro-batch 2")


def _same_loss(one: float, other: float, world: int) -> None:
    if not abs(other - one) <= RELATIVE * max(1.0, abs(one)):
        raise Fault(
            f"it depends on the number of workers: the loss is {other:.9g} for {world}, {one:.9g} for one",
            "compute with inputs.features, which are of the whole batch; what is of inputs.batch goes through "
            "inputs.total; nothing may ask for the rank, the world or the size of its own share",
        )


def _same_gradients(wanted: dict[str, Tensor], found: dict[str, Tensor], where: str) -> None:
    missing = sorted(wanted.keys() ^ found.keys())
    if missing:
        raise Fault(f"{missing[0]} has a gradient in one process and none {where}, or the other way round")
    largest = max((grad.abs().max().item() for grad in wanted.values()), default=0.0)
    for name, grad in wanted.items():
        # Where a gradient is zero in theory, as that of a key's bias, it is rounding.
        scale = max(grad.abs().max().item(), 1e-6 * largest)
        difference = (found[name] - grad).abs().max().item()
        if not difference <= RELATIVE * scale:
            raise Fault(
                f"the gradient of {name} is another one {where}: it differs by {difference / scale:.2g} of its size",
                "no .detach(), all_gather or all_reduce of one's own: the engine gathers with the exact gradient",
            )


def _with_plugins(step: Step) -> Registry:
    """The registry of this process, or one with plugins that were given to the subject's by hand beside it."""
    there = {(p.name, p.distribution) for p in registry().plugins}
    further = tuple(dict.fromkeys(plugin for plugin in step.plugins if plugin[:2] not in there))
    return _widened(further) if further else registry()


@lru_cache(maxsize=1)
def _widened(further: tuple[tuple[str, str, str, str], ...]) -> Registry:
    """A registry of its own, since what is only tried must not stay known to the process."""
    found = registry.__wrapped__()
    for name, distribution, version, target in further:
        found.add(Plugin(name, distribution, version, target, importlib.import_module(target)))
    return found


def _parts(step: Step, known: Registry) -> tuple[VideoTextModel, nn.Module]:
    torch.manual_seed(0)
    backbone = made_up.tower(known)
    value = json.loads(step.temporal)
    if value["name"] == FRAME_MEAN:
        temporal: TemporalModule = made_up.FrameMean()
    else:
        temporal = make(value, "temporal modules", known, made_up.context(backbone, known))
        spec = known.find("temporal modules", value["name"])[0]
        temporal.enter_stage(spec.stage_options(), None, True)
    model, loss = VideoTextModel(backbone, temporal), build_loss(json.loads(step.loss), known)
    for part in (model, loss):
        made_up.stir(part)
        made_up.without_dropout(part)
        part.double().train()
    model.train(step.training)
    with torch.no_grad():
        model.backbone.logit_scale.fill_(1.0)
    return model, loss


def _batch(model: VideoTextModel, sources: tuple[str, ...]) -> Batch:
    """Nine samples of eight clips; each kind of text says something else."""
    size = model.backbone.preprocess.size
    video = made_up.clips(SAMPLES, size)
    video = replace(video, ids=(*video.ids[:-1], video.ids[0]))
    made: dict[str, VideoBatch | TextBatch] = {}
    for number, source in enumerate(sources):
        if source == "video":
            made[source] = video
        elif source == "frame":
            made[source] = VideoBatch(
                video.ids, video.frames[:, 1:2], video.mask[:, 1:2], video.times[:, 1:2]
            )
        else:
            text = made_up.texts(made_up.sentences(SAMPLES, first=SAMPLES * number), model.tokenizers)
            made[source] = replace(text, video_ids=video.ids)
    return Batch(made, tuple(range(100, 100 + SAMPLES)))


def _share(batch: Batch, workers: Workers) -> Batch:
    share = workers.share(SAMPLES)
    rows = slice(share.start, share.stop)
    return Batch({name: source[rows] for name, source in batch.sources.items()}, batch.seeds[rows])

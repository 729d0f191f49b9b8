"""A plugin whose losses, schedule and post-processor each break one promise. Imports torch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from harness import LossSpec, MethodSpec, PostprocessorSpec, ScheduleSpec, hookimpl
from harness.models import Loss, LossInputs


class Contrast(Loss):
    """The plain one that the others are spoilt versions of."""

    def forward(self, inputs: LossInputs) -> Tensor:
        logits = inputs.logit_scale * inputs.similarity("text", "video")
        return torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)))


class ByShare(Contrast):
    """Divides by the number of samples that this worker has."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return super().forward(inputs) / len(inputs.batch.clip_ids)


class Detached(Contrast):
    """Adds a term of its own samples without ``total``."""

    def forward(self, inputs: LossInputs) -> Tensor:
        own = inputs.features["video"].vector[: len(inputs.batch.clip_ids)]
        return super().forward(inputs) + own.square().sum() - own.square().sum().detach()


class Random(Contrast):
    """Draws from torch's own random numbers."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return super().forward(inputs) * torch.rand(())


class Infinite(Contrast):
    """The log of a cosine."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return inputs.similarity("text", "video").log().sum()


class Unnamed(Contrast):
    """Reads a source that its spec does not name."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return inputs.similarity("text", "frame").mean()


class Texts(Contrast):
    """Reads a source that its spec does name, but as no data set has it."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return inputs.logit_scale * (1 - inputs.similarity("texts", "video")).mean()


def texts(options) -> Loss:
    return Texts()


def contrast(options) -> Loss:
    return Contrast()


def by_share(options) -> Loss:
    return ByShare()


def detached(options) -> Loss:
    return Detached()


def random(options) -> Loss:
    return Random()


def infinite(options) -> Loss:
    return Infinite()


def unnamed(options) -> Loss:
    return Unnamed()


def negative(options):
    return lambda step, total, base: 1 - 2 * step / total


def in_place(options):
    def change(scores, missing):
        scores *= 2
        return scores, scores

    return change


@hookimpl
def harness_losses():
    for name in ("contrast", "by_share", "detached", "random", "infinite", "unnamed"):
        yield LossSpec(name=f"broken_{name}", summary="for tests", factory=f"{__name__}:{name}")
    for source in ("texts", "context"):
        yield LossSpec(
            name=f"reads_{source}",
            summary="for tests",
            factory=f"{__name__}:{'texts' if source == 'texts' else 'contrast'}",
            sources=("video", "text", source),
        )
    yield LossSpec(name="broken_nowhere", summary="for tests", factory=f"{__name__}:nowhere")


@hookimpl
def harness_schedules():
    yield ScheduleSpec(name="broken_negative", summary="for tests", factory=f"{__name__}:negative")


@hookimpl
def harness_postprocessors():
    yield PostprocessorSpec(name="broken_in_place", summary="for tests", factory=f"{__name__}:in_place")


@hookimpl
def harness_methods():
    yield MethodSpec(name="broken_recipe", summary="for tests", recipe="tests.conformance.broken:recipe.yaml")

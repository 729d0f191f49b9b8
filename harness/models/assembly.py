"""Put a model together from a recipe: backbone, temporal module, and the losses that train it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.models.backbone import Backbone, Tokenizer
from harness.models.batch import Features, TextBatch, VideoBatch
from harness.models.captioner import Captioner
from harness.models.checkpoint_format import CheckpointFormat
from harness.models.generation import GenerativeModule
from harness.models.loss import Loss
from harness.models.temporal import BuildContext, TemporalModule
from harness.plan.recipe import component
from harness.plan.schema import Recipe, Stage
from harness.plugins import Registry, load_factory
from harness.specs import LossSpec, Options


class VideoTextModel(nn.Module):
    """A backbone run by a temporal module: what is trained, saved and scored."""

    def __init__(self, backbone: Backbone, temporal: TemporalModule) -> None:
        super().__init__()
        self.backbone = backbone
        self.temporal = temporal

    @property
    def tokenizers(self) -> tuple[Tokenizer, ...]:
        """Every tokenizer whose encodings the parts read, each once."""
        found = {t.name: t for t in (self.backbone.tokenizer, *self.temporal.tokenizers)}
        return tuple(found.values())

    def encode(self, source: VideoBatch | TextBatch, memory: bool = False) -> Features:
        """Features of clips or of texts, in at least single precision whatever the towers compute in;
        with ``memory``, also what a generative module writes about a clip from."""
        if isinstance(source, VideoBatch):
            if memory:
                return self.writer.encode_with_memory(self.backbone, source).map(_at_least_float)
            return self.temporal.encode(self.backbone, source).map(_at_least_float)
        return self.temporal.encode_text(self.backbone, source).map(_at_least_float)

    def score(self, text: Features, video: Features) -> Tensor:
        """Similarities ``[texts, videos]``."""
        return self.temporal.score(text, video)

    @property
    def logit_scale(self) -> Tensor:
        """The factor between similarities and training logits."""
        return self.temporal.logit_scale(self.backbone)

    @property
    def writer(self) -> GenerativeModule:
        """The temporal module as one that writes; a model with another one is an error."""
        if not isinstance(self.temporal, GenerativeModule):
            raise HarnessError(
                f"the temporal module {type(self.temporal).__name__} writes nothing",
                "choose a loss and a task without generation, or a generative module",
            )
        return self.temporal


def build_model(
    recipe: Recipe, registry: Registry, weights: Path | None = None, load: bool = True
) -> VideoTextModel:
    """The model of a recipe, freshly initialised; draws from torch's global random numbers.

    ``weights`` replaces the backbone's own ``weights`` option (weights that a pre-training recipe
    made). With ``load`` False every weight is random, for a model that is about to be filled.
    """
    value = dict(recipe.model.backbone)
    if weights is not None:
        value["weights"] = str(weights)
    backbone = build_backbone(value, registry, load)
    context = BuildContext(
        backbone=backbone,
        frames=recipe.data.frames,
        text_length=recipe.data.text_length,
        build_backbone=lambda other: build_backbone(other, registry, load),
        load=load,
    )
    temporal = _make(recipe.model.temporal, "temporal modules", TemporalModule, registry, context)
    return VideoTextModel(backbone, temporal)


def build_backbone(value: Mapping[str, Any], registry: Registry, load: bool = True) -> Backbone:
    """The tower of a recipe's value, with random weights unless ``load``."""
    return _make(value, "backbones", Backbone, registry, load)


def build_loss(value: Mapping[str, Any], registry: Registry) -> Loss:
    return _make(value, "losses", Loss, registry)


def loss_spec(stage: Stage, registry: Registry) -> LossSpec:
    """What the loss of a stage says about itself."""
    return registry.find("losses", stage.loss["name"])[0]


def sources_of(stage: Stage, registry: Registry) -> tuple[str, ...]:
    """What the loss of a stage reads of a batch."""
    return loss_spec(stage, registry).sources


def stage_options(recipe: Recipe, stage: Stage | None, registry: Registry) -> Options:
    """What a stage sets on the temporal module (None: the module as the recipe has it)."""
    spec = registry.find("temporal modules", recipe.model.temporal["name"])[0]
    return msgspec.convert(stage.temporal if stage else {}, spec.stage_options, strict=True)


def build_optimizer(
    value: Mapping[str, Any], groups: list[dict], registry: Registry
) -> torch.optim.Optimizer:
    return _make(value, "optimizers", torch.optim.Optimizer, registry, groups)


def build_schedule(value: Mapping[str, Any], registry: Registry) -> Callable[[int, int, float], float]:
    """The factor on a base rate for update ``step`` (from 0) of ``total``."""
    return make(value, "schedules", registry)


def build_checkpoint_format(value: Mapping[str, Any], registry: Registry) -> CheckpointFormat:
    return _make(value, "checkpoint formats", CheckpointFormat, registry)


def build_captioner(value: Mapping[str, Any], registry: Registry) -> Captioner:
    return _make(value, "captioners", Captioner, registry)


def make(value: Mapping[str, Any], kind: str, registry: Registry, *arguments: Any) -> Any:
    """Import a component's factory and call it with its options and ``arguments``."""
    spec, plugin, options = component(value, kind, registry)
    return load_factory(spec.factory, plugin)(options, *arguments)


def _at_least_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _make(value: Mapping[str, Any], kind: str, expected: type, registry: Registry, *arguments: Any) -> Any:
    made = make(value, kind, registry, *arguments)
    if not isinstance(made, expected):
        spec, plugin, _ = component(value, kind, registry)
        raise HarnessError(
            f"the factory {spec.factory} of plugin {plugin.label} returned a {type(made).__name__}",
            f"it has to return a {expected.__name__}",
        )
    return made

"""The typed form of a recipe: what may stand in it, with unit and default.

Every default is here and nowhere else. A component (``model.temporal``, ``train.loss`` ...) is a
mapping with a ``name``; its other keys are that component's own options and are checked against
them by :mod:`harness.plan.recipe`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
NotNegativeFloat = Annotated[float, Meta(ge=0)]

#: ``{"name": "info_nce", ...options}``.
Component = dict[str, Any]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Model(_Section):
    """What is built."""

    backbone: Component  # the image-text tower
    temporal: Component  # how the tower is run over a clip, and what is compared


class Data(_Section):
    """What is read, and how a clip becomes frames."""

    protocol: str = ""  # the data set's own default where empty
    train_split: str = ""  # the protocol's where empty
    val_split: str = ""  # the protocol's where empty, if it has one
    options: dict[str, Any] = {}  # the data set's own options
    frames: Positive = 12  # per clip, at most
    sampling: Literal["uniform", "strided", "fps", "reference_fps"] = "uniform"  # which frames
    stride: Positive = 1  # frames from one to the next, for sampling: strided
    fps: Annotated[float, Meta(gt=0)] = 1.0  # frames per second, for sampling: fps and reference_fps
    slice: Literal["even", "head", "tail"] = "even"  # which stay where fps gives more than ``frames``
    # In which a model gets them; middle: the middle one in the place of each.
    frame_order: Literal["forward", "reversed", "shuffled", "middle"] = "forward"
    # Draw the training frames anew in each epoch, out of ``candidates`` evenly spaced ones, which are
    # cached; with sampling: strided out of the whole clip, which is decoded again each time.
    jitter: bool = False
    candidates: Positive = 24  # frames that jitter draws from
    fit: Literal["", "crop", "squash"] = ""  # how a frame becomes square; the backbone's own where empty
    resize: Literal["pillow", "tensor", "tensor_antialias"] = "pillow"  # whose arithmetic makes it smaller
    storage: Literal["npy", "jpeg"] = "npy"  # how frames are kept; jpeg is smaller and changes pixels
    text_length: Annotated[int, Meta(ge=2)] = 32  # tokens, start and end included
    captions: Literal["each", "one_per_clip"] = "one_per_clip"  # what one training sample is
    # Files of further texts of the training clips, by the name that a loss has for them, such as
    # ``caption``; in place of the data set's own.
    auxiliary: dict[str, str] = {}
    # Train on this share of the run's own clips, the same ones for every seed and in every larger share,
    # with as many steps as on all of them.
    train_fraction: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Group(_Section):
    """Parameters whose names match a pattern, and what differs for them. The first match wins."""

    match: tuple[str, ...]  # shell patterns on parameter names
    lr: NotNegativeFloat | None = None  # the stage's where None
    weight_decay: NotNegativeFloat | None = None  # likewise


class Source(_Section):
    """Another data set that a stage trains on, in place of the run's own."""

    dataset: str  # its name
    split: str = ""  # the training split of its default protocol where empty
    options: dict[str, Any] = {}  # that data set's own options
    # Train on this share of its clips, as ``data.train_fraction`` does of the run's own.
    fraction: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Stage(_Section):
    """One stage of training. ``train`` in a recipe holds what all stages share."""

    source: Source | None = None  # the run's own data set where None
    epochs: Positive = 5  # passes over the training samples
    batch_size: Positive = 128  # global, over all workers
    lr: NotNegativeFloat = 1e-5  # of an update, at the schedule's peak
    weight_decay: NotNegativeFloat = 0.05  # of an update, times the learning rate
    no_decay: tuple[str, ...] = ()  # name patterns without decay, beside the rule below
    decay_vectors: bool = False  # whether biases, norms and other 1-d parameters decay too
    optimizer: Component = field(default_factory=lambda: {"name": "adamw"})  # the update rule
    schedule: Component = field(default_factory=lambda: {"name": "cosine"})  # the learning rate over time
    groups: tuple[Group, ...] = ()  # parameters that are trained otherwise
    trainable: tuple[str, ...] = ("*",)  # name patterns; everything else is frozen
    # Layers of both towers that are frozen too, from the first one; 0: only what comes before it
    # (patch projection, embeddings, the norm after them); -1: none.
    freeze_layers: Annotated[int, Meta(ge=-1)] = -1
    loss: Component = field(default_factory=lambda: {"name": "info_nce"})  # the objective
    temporal: dict[str, Any] = {}  # what the temporal module is to do otherwise in this stage
    clip_grad_norm: NotNegativeFloat = 1.0  # 0: no clipping
    max_logit_scale: Annotated[float, Meta(gt=0)] = 100.0  # the factor, not its logarithm
    # When the logit scale is brought back into that range. CLIP-ViP's fine-tuning does so before the
    # backward pass, so that a value beyond it is used once, and its pre-training before the forward pass.
    clamp_logit_scale: Literal["after_step", "before_forward", "before_backward"] = "after_step"
    # bf16: bf16 arithmetic on single-precision weights; auto: that, where the device has it;
    # reference_fp16: the towers' linear maps, and so their moments, are held in half precision.
    precision: Literal["auto", "fp32", "bf16", "fp64", "reference_fp16"] = "auto"
    # exact: the gradient of the global batch; reference: that of the usual gather, which passes each
    # worker its own slice only (a share of the exact one), and no gather at all for a pairwise head.
    gather: Literal["exact", "reference"] = "exact"


class Evaluation(_Section):
    """How a trained model is scored."""

    batch_size: Positive = 64  # clips or texts encoded at once
    tile_memory_mb: Positive = 256  # what scoring may take at once, beside features and scores
    precision: Literal["model", "bf16"] = "model"  # the model's own number type, or bf16 arithmetic
    postprocess: Component = field(default_factory=lambda: {"name": "none"})  # of the test's scores
    task: dict[str, Any] = {}  # the task's own options
    # Which epoch of the last stage is scored: the last one, or the one with the best score (R@1 of
    # text-to-video in retrieval) on the validation or, as many published results, on the test split.
    selection: Literal["last", "val", "test"] = "last"
    missing: Literal["worst", "drop"] = "worst"  # what becomes of test clips that cannot be read


class Budget(_Section):
    """How much training is allowed, in place of the stages' epochs, whose shares of the whole stay."""

    frames: NotNegative = 0  # seen in training: samples x data.frames
    seconds: NotNegativeFloat = 0.0  # of training by the clock: the same bits never come twice

    def __post_init__(self) -> None:
        if bool(self.frames) == bool(self.seconds):
            raise ValueError("a budget is of frames or of seconds")


class Recipe(_Section, kw_only=True):
    """A whole recipe, resolved."""

    variant: str = ""  # how this differs from the method's own recipe, in the name of its row
    note: str = ""  # what a reader of the row has to know; decides nothing
    model: Model  # what is built
    data: Data = Data()  # what is read
    stages: dict[str, Stage]  # of training, by name, in their order
    budget: Budget | None = None  # how long training is, in place of the stages' epochs
    evaluation: Evaluation = Evaluation()  # how it is scored

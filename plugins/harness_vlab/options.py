"""Options of VLAB's components. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from harness import Options

_Count = Annotated[int, Meta(ge=1)]
_Start = Annotated[int, Meta(ge=0)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Weight = Annotated[float, Meta(ge=0)]


class VlabOptions(Options):
    """What the paper leaves open has the value of an assumption in `docs/vlab.md`, by its number.

    ``adapter_*``: where in a block the video adapter stands, its width, its kernel in time, height and
    width, its activation, whether it has a norm of its own, and the first block that has one (A1-A3).
    ``blend``: how the two streams meet in a layer of the multimodal encoder; ``none`` leaves the image
    tower out. ``image_backbone`` is a tower of its own for the images, such as ``{name: ViT-L-14}``;
    empty: a second copy of the run's backbone (A5, A6).
    """

    adapter_position: Literal["pre_attn", "pre_mlp", "both"] = "pre_attn"
    adapter_width: _Count = 384
    adapter_kernel: tuple[_Count, _Count, _Count] = (3, 1, 1)
    adapter_activation: Literal["gelu", "none"] = "gelu"
    adapter_prenorm: bool = True
    adapter_start: _Start = 0
    blend: Literal["stack", "parallel", "none"] = "stack"
    stack_order: Literal["image_video", "video_image"] = "image_video"  # A12
    parallel_reduce: Literal["sum", "mean"] = "sum"  # A13
    share_cross_attention: bool = True  # A14
    image_backbone: dict[str, Any] = {}  # noqa: RUF012 - a msgspec struct copies its defaults
    # The multimodal encoder, BERT-base by default (A11). ``bert``: a folder with the files of
    # bert-base-uncased, or its name on the Hugging Face hub, for weights and vocabulary; empty: random
    # weights and ``vocabulary``, a vocab.txt or one of a package (``package:path``), or where that is
    # empty too the backbone's own.
    bert: str = ""
    vocabulary: str = ""
    hidden_size: _Count = 768
    layers: _Count = 12
    heads: _Count = 12
    intermediate_size: _Count = 3072
    positions: _Count = 512  # the longest text, question not included
    dropout: _Share = 0.1
    max_frames: _Start = 0  # rows of the table of frames; 0: the recipe's frames
    frame_init_std: _Weight = 0.02
    # BERT's; a narrow encoder that starts from random weights wants about one over the root of its width.
    init_std: _Weight = 0.02


class VlabStageOptions(Options):
    """``streams``: what the multimodal encoder sees in a stage; ``video`` is the model before blending."""

    streams: Literal["all", "video"] = "all"


class VlabLossOptions(Options):
    """Weights of the three terms, the shares of tokens that are masked (A16), and ``same_clip``: whether
    another sample of one's own clip counts as a wrong answer in the contrastive term."""

    vtc: _Weight = 1.0
    mlm: _Weight = 1.0
    uni_lm: _Weight = 1.0
    mlm_ratio: _Share = 0.15
    uni_lm_ratio: _Share = 0.6
    same_clip: Literal["ignore", "negative"] = "ignore"


class AllTasksOptions(VlabLossOptions, frozen=True, kw_only=True):
    """``answer`` is the weight of the fourth term."""

    answer: _Weight = 1.0


class UniLMOptions(Options):
    """``ratio`` is the share of tokens that are masked (A16, A18)."""

    ratio: _Share = 0.6

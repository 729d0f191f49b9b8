"""Towers whose linear maps are held in half precision, as OpenAI's ``convert_weights`` leaves them."""

from __future__ import annotations

import torch
from torch import nn

from harness import HarnessError, lazy


def hold(clip: nn.Module, name: str) -> None:
    """Turn the weights of convolutions and linear maps, attention's packed ones, their biases and both
    projections into float16, and compute norms in float32 between them.

    Raises :class:`HarnessError` for a tower that is not CLIP's own.
    """
    open_clip = lazy.open_clip()
    norms = [module for module in clip.modules() if isinstance(module, nn.LayerNorm)]
    own = (open_clip.transformer.LayerNorm, open_clip.transformer.LayerNormFp32)
    if not isinstance(clip, open_clip.CLIP) or any(type(norm) not in own for norm in norms):
        raise HarnessError(
            f"{name} cannot be held in half precision: it is not a CLIP with towers of OpenAI's kind",
            "choose a ViT of CLIP, such as ViT-B-32-quickgelu, or set train.precision to bf16 or fp32",
        )
    open_clip.model.convert_weights_to_lp(clip, dtype=torch.float16)
    for norm in norms:
        # The same module with the same parameters, which casts its input up and its output back.
        norm.__class__ = open_clip.transformer.LayerNormFp32


def dtype_of(clip: nn.Module, given: torch.dtype) -> torch.dtype:
    """What a tower computes in: half precision where :func:`hold` has been, else the type ``given``."""
    weight = getattr(clip.visual, "conv1", None)
    return torch.float16 if weight is not None and weight.weight.dtype == torch.float16 else given

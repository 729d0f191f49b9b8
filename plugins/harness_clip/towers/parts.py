"""What the families share: how a tower is refused, and heads in and out of attention."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor, nn

from harness import HarnessError


def refuse(name: str, reason: str) -> NoReturn:
    """Raise the one error for a tower whose inside is out of reach."""
    raise HarnessError(
        f"{name} cannot be taken apart: {reason}",
        "choose another backbone with --backbone; `harness list backbones` shows them",
    )


def refuse_random_drops(tower: nn.Module, name: str) -> None:
    """Refuse a tower that drops values, tokens or layers at random while it trains.

    A view runs the pieces in its caller's order and with further tokens between them, where such
    a drop would mean something else; leaving it out silently would change the training.
    """
    for path, module in tower.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            rate = module.dropout
        elif "Drop" in type(module).__name__:
            # torch, timm's layer drop and both libraries' patch drop each have their own word.
            rate = max(getattr(module, word, 0.0) or 0.0 for word in ("p", "drop_prob", "prob"))
        else:
            continue
        if rate > 0:
            refuse(name, f"{path} ({type(module).__name__}) drops a share of {rate:g} while training")


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[B, N, H * d]`` to ``[B, H, N, d]``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """``[B, H, N, d]`` to ``[B, N, H * d]``."""
    return x.transpose(1, 2).flatten(2)

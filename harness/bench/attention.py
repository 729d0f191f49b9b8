"""Ways of attention that do the same work or more, on random tokens of one size: what `bench model` times."""

from __future__ import annotations

import math
import time
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from harness.engine.execute import here
from harness.models import Attention, Backbone, ClipAttention, full_attention

What = Literal["attention", "block"]

#: Blocks of the tower that are run one after the other.
BLOCKS = 4
FULL, DENSE, NAIVE = "full", "dense mask", "naive softmax"


class Work:
    """The ways of one size: random weights and tokens, equal in every process."""

    def __init__(self, what: What, backbone: Backbone, attention: ClipAttention, frames: int) -> None:
        self.what, self.backbone, self.tower, self.attention = what, backbone, backbone.visual, attention
        rows, columns = self.tower.grid
        self.tokens = attention.leading + frames * rows * columns
        self.blocks = self.tower.blocks[:BLOCKS]
        random = torch.Generator().manual_seed(0)
        width = 3 * self.tower.width if what == "attention" else self.tower.width
        device = backbone.logit_scale.device
        self.input = torch.randn(1, self.tokens, width, generator=random).to(device)
        self.towards = torch.randn(1, self.tokens, self.tower.width, generator=random).to(device)

    def way(self, name: str) -> Attention:
        """The attention of that name; a name of none of the others is the module's."""
        if name == FULL:
            return full_attention
        if name == DENSE:
            seen = sees(self.attention.attend, self.tokens, self.input.device)
            return lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        if name == NAIVE:
            seen = sees(self.attention.attend, self.tokens, self.input.device)
            return lambda q, k, v: naive_attention(q, k, v, seen)
        return self.attention.attend

    def turn(self, attend: Attention) -> tuple[float, float, Tensor]:
        """Seconds of the forward pass and of both, and the output ``[1, N, W]``."""
        x = self.input.detach().requires_grad_()
        self.backbone.zero_grad()
        began = _now()
        output = self._forward(x, attend)
        between = _now()
        torch.autograd.backward(output, self.towards)
        return between - began, _now() - began, output.detach()

    def needs_mb(self, name: str) -> float:
        """About the memory that a way takes for what grows with the square of the tokens.

        Each block holds the softmax of its written-out scores for the way back; two more such matrices
        are alive while one is made, or its gradient.
        """
        square = self.tokens**2 / 2**20
        held = 1 if self.what == "attention" else len(self.blocks)
        return {NAIVE: (held + 2) * 4.0 * self.tower.heads * square, DENSE: 5.0 * square}.get(name, 0.0)

    def _forward(self, x: Tensor, attend: Attention) -> Tensor:
        if self.what == "attention":
            q, k, v = (
                part.unflatten(2, (self.tower.heads, -1)).transpose(1, 2) for part in x.chunk(3, dim=-1)
            )
            return attend(q, k, v).transpose(1, 2).flatten(2)
        for block in self.blocks:
            x = block.feed_forward(block.attend(x, attend))
        return x


def sees(attend: Attention, tokens: int, device: torch.device) -> Tensor:
    """Who sees whom, bool ``[N, N]`` (query, key): found by letting every key carry its own number.

    Of equal scores every key that is seen gets the same share of the output, and no other gets any.
    """
    seen = torch.empty(tokens, tokens, dtype=torch.bool, device=device)
    width = 64
    equal = torch.zeros(1, 1, tokens, width, device=device)
    for start in range(0, tokens, width):
        value = torch.zeros_like(equal)
        own = torch.arange(min(width, tokens - start), device=device)
        value[0, 0, start + own, own] = 1.0
        seen[:, start : start + width] = attend(equal, equal, value)[0, 0, :, : len(own)] > 0
    return seen


def naive_attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Attention with its scores ``[B, H, N, N]`` written out; ``seen`` bool ``[N, N]``."""
    scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~seen, -math.inf).softmax(dim=-1) @ v


def _now() -> float:
    if here().device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()

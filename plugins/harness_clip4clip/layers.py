"""CLIP's transformer layers over frames, started from the first layers of the text tower."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import HarnessError
from harness.models import TextView

#: The reference's layers outside the towers have this epsilon, the towers' own have 1e-5.
NORM_EPS = 1e-12
#: Standard deviation of new linear weights (the reference's ``initializer_range``).
INIT_STD = 0.02
#: Added to the attention logits of padding. Finite, so that a sequence of nothing but padding
#: gives numbers; in single precision its share beside any real key is exactly zero.
_HIDDEN = -1e6


class Layer(nn.Module):
    """``x + attn(ln_1(x))``, then ``x + mlp(ln_2(x))``; parameters named as in CLIP."""

    def __init__(self, width: int, heads: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width))
        )
        self.activation = activation
        for linear in (self.attn.out_proj, self.mlp.c_fc, self.mlp.c_proj):
            new_linear_(linear)

    def forward(self, x: Tensor, bias: Tensor, rows: int | None = None) -> Tensor:
        """Tokens ``[B, N, W]`` with ``bias`` from :func:`key_bias`; only the first ``rows`` are made."""
        return self.finish(x[:, :rows], self.attend(*self.project(x, rows), bias))

    def project(self, x: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """Queries ``[B, rows, W]``, and keys beside values ``[B, N, 2 W]``: each token's own matter."""
        width, weight, bias = x.shape[-1], self.attn.in_proj_weight, self.attn.in_proj_bias
        x = self.ln_1(x)
        queries = functional.linear(x[:, :rows], weight[:width], bias[:width])
        return queries, functional.linear(x, weight[width:], bias[width:])

    def attend(self, queries: Tensor, keys_values: Tensor, bias: Tensor) -> Tensor:
        """What :meth:`project` made to the output of the attention ``[B, rows, W]``."""
        heads = self.attn.num_heads
        q, k, v = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in (queries, *keys_values.chunk(2, dim=-1))
        )
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.attn.out_proj(seen.transpose(1, 2).flatten(2))

    def finish(self, x: Tensor, seen: Tensor) -> Tensor:
        """The tokens that ask, with what they saw, through the second half of the layer."""
        x = x + seen
        return x + self.mlp.c_proj(self.activation(self.mlp.c_fc(self.ln_2(x))))


def key_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What attention adds to the logits of keys ``mask [B, N]``: ``[B, 1, 1, N]``, 0 where real."""
    hidden = max(_HIDDEN, torch.finfo(dtype).min)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, hidden)[:, None, None]


def first_layers(text: TextView, count: int, heads: int = 0) -> nn.ModuleList:
    """``count`` layers that start as the first ones of the text tower.

    Those beyond the tower's depth start anew, as the reference leaves them. ``heads`` 0 means the
    tower's own number.
    """
    heads = heads or text.heads
    if text.width % heads:
        raise HarnessError(
            f"features of width {text.width} cannot be shared among {heads} heads",
            "choose a number of heads that divides the width",
        )
    layers = nn.ModuleList(Layer(text.width, heads, text.activation) for _ in range(count))
    for layer, weights in zip(layers, text.layers, strict=False):
        layer.load_state_dict(weights)
    return layers


def frame_positions(text: TextView, std: float) -> nn.Parameter:
    """A table of positions ``[context, W]``: the text tower's, or with ``std`` above 0 new ones."""
    positions = text.positions.clone()
    return nn.Parameter(nn.init.normal_(positions, std=std) if std else positions)


def new_linear_(linear: nn.Linear) -> nn.Linear:
    """A fresh linear map as the reference starts it: N(0, 0.02), zero bias."""
    nn.init.normal_(linear.weight, std=INIT_STD)
    nn.init.zeros_(linear.bias)
    return linear

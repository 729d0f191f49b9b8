"""TextView: what a module may start its own layers from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from harness.errors import HarnessError


@dataclass(frozen=True)
class TextView:
    """The text tower of a backbone as data; the tensors share memory with its parameters.

    ``positions`` is its position table ``[context, width]``. ``layers`` holds one mapping per layer,
    first layer first, with CLIP's names: ``ln_1`` and ``ln_2`` (``.weight``, ``.bias``),
    ``attn.in_proj_weight [3 W, W]``, ``attn.in_proj_bias``, ``attn.out_proj``, ``mlp.c_fc`` and
    ``mlp.c_proj``. A layer is ``x + attn(ln_1(x))``, then ``x + c_proj(activation(c_fc(ln_2(x))))``,
    with ``heads`` attention heads. ``lacks`` maps what this family cannot offer to the reason.
    """

    width: int
    heads: int
    positions: Tensor
    layers: tuple[Mapping[str, Tensor], ...]
    activation: Callable[[Tensor], Tensor]
    lacks: Mapping[str, str] = field(default_factory=dict)

    def require(self, part: str, wanted_by: str) -> None:
        """Raise :class:`HarnessError` when ``wanted_by`` needs a part that this tower lacks."""
        if part in self.lacks:
            raise HarnessError(
                f"{wanted_by} needs a text tower with {part.replace('_', ' ')}: {self.lacks[part]}",
                "choose another backbone with --backbone; `harness list backbones` shows them",
            )

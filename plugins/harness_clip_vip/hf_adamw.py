"""AdamW as the reference trains (``src/optimization/adamw.py``), which is not torch's."""

from __future__ import annotations

import math
from typing import Any

import torch

from harness_clip_vip.options import HFAdamWOptions


class HFAdamW(torch.optim.Optimizer):
    """Bias correction is in the step size, so ``eps`` stands beside the uncorrected second moment; a
    weight decays after its update, at the plain rate."""

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups, {"betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every parameter that has a gradient."""
        assert closure is None, "this optimizer does not evaluate the loss again"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: torch.Tensor, grad: torch.Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["mean"].mul_(first).add_(grad, alpha=1 - first)
        state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        corrected = math.sqrt(1 - second ** state["step"]) / (1 - first ** state["step"])
        divisor = state["square"].sqrt().add_(group["eps"])
        parameter.addcdiv_(state["mean"], divisor, value=-group["lr"] * corrected)
        if group["weight_decay"]:
            parameter.add_(parameter, alpha=-group["lr"] * group["weight_decay"])


def build(options: HFAdamWOptions, groups: list[dict[str, Any]]) -> HFAdamW:
    return HFAdamW(groups, options.betas, options.eps)

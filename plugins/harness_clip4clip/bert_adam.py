"""BertAdam and its schedules, as the reference trains (``modules/optimization.py``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from harness_clip4clip.options import BertAdamOptions, ScheduleOptions

#: The factor on a base rate for an update (from 0) of so many.
Factor = Callable[[int, int, float], float]


class BertAdam(torch.optim.Optimizer):
    """Adam without bias correction; decay is scaled by the rate and not by the moments.

    Each tensor's gradient is first clipped to the norm ``max_grad_norm`` by itself (0: it is not),
    beside the clipping of the whole gradient that training does. The moments have the parameter's
    number type: in half precision most second moments are zero, and ``eps`` is the divisor.
    """

    def __init__(
        self, groups: list[dict[str, Any]], betas: tuple[float, float], eps: float, max_grad_norm: float
    ) -> None:
        super().__init__(groups, {"betas": betas, "eps": eps, "max_grad_norm": max_grad_norm})

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
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        if group["max_grad_norm"]:
            # The small constant is that of torch's own clipping.
            grad = grad * (group["max_grad_norm"] / (grad.norm() + 1e-6)).clamp(max=1)
        state["mean"].mul_(first).add_(grad, alpha=1 - first)
        state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        update = state["mean"] / (state["square"].sqrt() + group["eps"])
        if group["weight_decay"]:
            update = update + group["weight_decay"] * parameter
        # In two steps, as the reference: in half precision the product is rounded by itself.
        parameter.sub_(update * group["lr"])


def factor(schedule: str, progress: float, warmup: float) -> float:
    """The share of the base rate at ``progress`` 0..1, the share of the steps that are done.

    ``schedule`` is ``warmup_cosine``, ``warmup_constant`` or ``warmup_linear``. The first update
    has the rate zero, and the cosine falls from the start of training, not from the end of the
    warm-up: after it the rate jumps.
    """
    if progress < warmup:
        return progress / warmup
    if schedule == "warmup_cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "warmup_linear":
        return max((progress - 1) / (warmup - 1), 0.0)
    assert schedule == "warmup_constant", schedule
    return 1.0


def warmup_cosine(options: ScheduleOptions) -> Factor:
    return partial(_factor_at, "warmup_cosine", options.warmup)


def warmup_constant(options: ScheduleOptions) -> Factor:
    return partial(_factor_at, "warmup_constant", options.warmup)


def warmup_linear(options: ScheduleOptions) -> Factor:
    return partial(_factor_at, "warmup_linear", options.warmup)


def _factor_at(schedule: str, warmup: float, step: int, total: int, base: float) -> float:
    return factor(schedule, step / total, warmup)


def build(options: BertAdamOptions, groups: list[dict[str, Any]]) -> BertAdam:
    return BertAdam(groups, options.betas, options.eps, options.max_grad_norm)

"""What is trained, parameter groups, and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from harness.errors import HarnessError
from harness.models.assembly import build_optimizer
from harness.plan.schema import Group, Stage
from harness.plugins import Registry


def freeze(
    model: nn.Module,
    patterns: Sequence[str],
    layers: int = -1,
    depth_of: Callable[[str], int | None] | None = None,
) -> list[tuple[str, nn.Parameter]]:
    """Leave only matching parameters trainable; returns them by name.

    A pattern that matches none is an error: what it was meant to train would stay frozen, and nobody would know.
    With ``layers`` 0 or more, those whose ``depth_of`` their name is at most that are frozen too
    (see :meth:`harness.models.Backbone.depth`; None: no layer of a tower).
    """
    named = dict(model.named_parameters())
    # As a recipe writes them: without the name of the model in the whole of model and loss.
    shown = [pattern.removeprefix("model.") for pattern in patterns]
    for pattern, written in zip(patterns, shown, strict=True):
        if not any(fnmatchcase(name, pattern) for name in named):
            raise HarnessError(
                f"no parameter matches the trainable pattern {written}",
                f"correct it, or remove it; names look like {next(iter(named)).removeprefix('model.')}",
            )
    chosen = []
    for name, parameter in named.items():
        depth = depth_of(name) if layers >= 0 and depth_of else None
        parameter.requires_grad_(_matches(name, patterns) and (depth is None or depth > layers))
        if parameter.requires_grad:
            chosen.append((name, parameter))
    if not chosen:
        raise HarnessError(
            f"nothing is left to train of {', '.join(shown)}: all of it lies in the {layers} frozen layers",
            "lower train.freeze_layers, or train more",
        )
    return chosen


def make_optimizer(
    stage: Stage, parameters: Sequence[tuple[str, nn.Parameter]], registry: Registry
) -> torch.optim.Optimizer:
    """One torch group per rate and decay; ``base_lr`` keeps its rate where the schedule is at one."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    used: set[int] = set()
    for name, parameter in parameters:
        index, group = _group_of(name, stage.groups)
        used.add(index)
        lr = stage.lr if group.lr is None else group.lr
        decay = stage.weight_decay if group.weight_decay is None else group.weight_decay
        if _matches(name, stage.no_decay) or (parameter.ndim < 2 and not stage.decay_vectors):
            decay = 0.0
        entry = groups.setdefault(
            (lr, decay), {"params": [], "names": [], "lr": lr, "base_lr": lr, "weight_decay": decay}
        )
        entry["params"].append(parameter)
        entry["names"].append(name)
    for index, group in enumerate(stage.groups):
        if index not in used:
            raise HarnessError(
                f"parameter group {index} matches no trainable parameter: {', '.join(group.match)}",
                "correct its pattern, or remove it",
            )
    return build_optimizer(stage.optimizer, list(groups.values()), registry)


def clip_gradients(parameters: Sequence[tuple[str, nn.Parameter]], limit: float, where: str) -> float:
    """Scale the gradients to a global norm of at most ``limit`` (0: leave them); returns the norm.

    A gradient that is not finite, or too large for its square, is an error that names its parameter; no
    gradient at all is one too.
    """
    grads = [p.grad for _, p in parameters if p.grad is not None]
    if not grads:
        raise HarnessError(
            f"the loss depends on no parameter that is trained, {where}",
            "let train.trainable match a part that the loss uses, or choose another loss",
        )
    norms = [norm.float() if norm.dtype == torch.float16 else norm for norm in torch._foreach_norm(grads)]
    norm = float(torch.linalg.vector_norm(torch.stack(norms)))
    if not math.isfinite(norm):
        raise HarnessError(
            f"{_overflowing(parameters)}, {where}", "lower train.lr, or give train.precision more digits"
        )
    if limit and norm > limit:
        torch._foreach_mul_(grads, limit / (norm + 1e-6))
    return norm


def _overflowing(parameters: Sequence[tuple[str, nn.Parameter]]) -> str:
    """What is wrong with gradients whose norm is not finite: numbers may be, and their squares not."""
    grads = {name: p.grad for name, p in parameters if p.grad is not None}
    for name, grad in grads.items():
        if not torch.isfinite(grad).all():
            return f"the gradient of {name} is not finite"
    largest = max(grads, key=lambda name: float(grads[name].abs().max()) if grads[name].numel() else 0.0)
    return f"the gradient of {largest} is too large for its norm, {float(grads[largest].abs().max()):.2g}"


def _group_of(name: str, groups: Sequence[Group]) -> tuple[int, Group]:
    for index, group in enumerate(groups):
        if _matches(name, group.match):
            return index, group
    return -1, Group(match=("*",))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

"""Optimizers: what the engine expects of an update rule, on two small tensors."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from harness.testing.kit import Fault, Subject
from harness.testing.plain import make

PREPARED = "the factory makes an optimizer"


def _parameters() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw).requires_grad_() for shape in ((3, 4), (4,))]


def _build(subject: Subject, parameters: list[Tensor], rate: float = 0.01) -> torch.optim.Optimizer:
    first, second = parameters
    groups = [
        {"params": [first], "lr": rate, "weight_decay": 0.1},
        {"params": [second], "lr": rate, "weight_decay": 0.0},
    ]
    return make(subject, torch.optim.Optimizer, groups)


def _steps(optimizer: torch.optim.Optimizer, parameters: list[Tensor], first: int, last: int) -> None:
    for number in range(first, last):
        draw = torch.Generator().manual_seed(number)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=draw)
        optimizer.step()


def prepare(subject: Subject) -> Subject:
    _build(subject, _parameters())
    return subject


def groups(subject: Subject) -> None:
    """The groups are the given ones, with their rates; the engine sets ``lr`` before every step."""
    made = _build(subject, _parameters()).param_groups
    if [(group["lr"], group["weight_decay"]) for group in made] != [(0.01, 0.1), (0.01, 0.0)]:
        raise Fault(
            "its parameter groups are not those that it was given", "pass `groups` on to torch's Optimizer"
        )


def moves(subject: Subject) -> None:
    """Three steps move every tensor to finite values; at a rate of zero nothing moves."""
    before, parameters = _parameters(), _parameters()
    _steps(_build(subject, parameters), parameters, 0, 3)
    for old, new in zip(before, parameters, strict=True):
        if torch.equal(old, new) or not torch.isfinite(new).all():
            raise Fault(
                "three steps leave a tensor where it was, or make it no number",
                "check the update of every group",
            )
    still = _parameters()
    _steps(_build(subject, still, rate=0.0), still, 0, 3)
    if not all(torch.equal(old, new) for old, new in zip(before, still, strict=True)):
        raise Fault(
            "with lr 0 it moves weights", "read the rate from group['lr'] in every step, for the decay too"
        )


def resumed(subject: Subject) -> None:
    """Saved after two steps and loaded into a new one, it goes on to the bit."""
    whole = _parameters()
    optimizer = _build(subject, whole)
    _steps(optimizer, whole, 0, 2)
    state, half = copy.deepcopy(optimizer.state_dict()), [p.detach().clone().requires_grad_() for p in whole]
    _steps(optimizer, whole, 2, 4)
    again = _build(subject, half)
    again.load_state_dict(state)
    _steps(again, half, 2, 4)
    if not all(torch.equal(one, other) for one, other in zip(whole, half, strict=True)):
        raise Fault(
            "a resumed run takes other steps", "keep all that a step depends on in self.state or the groups"
        )


CHECKS = (
    ("it keeps the groups and their rates", groups),
    ("it moves what it is given, by the rate", moves),
    ("it goes on from its saved state", resumed),
)

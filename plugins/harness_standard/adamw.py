"""AdamW as torch has it, in its fused form: one pass over the parameters on CPU and GPU."""

from __future__ import annotations

from typing import Any

import torch

from harness_standard.plugin import AdamWOptions


def build(options: AdamWOptions, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=options.betas, eps=options.eps, fused=True)

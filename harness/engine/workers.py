"""Workers: how the processes of one run talk, and gathers that keep the exact gradient.

With W workers every worker computes the same loss of the global batch. The backward pass of a
gather adds up what all workers send back (W times the gradient), parameter gradients are then
averaged (1 / W): together exactly the gradient of a single process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from harness.models.batch import Features

#: Parameter gradients are averaged in flat pieces of about this many bytes.
BUCKET_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Workers:
    """This process among ``world``; with ``world == 1`` nothing is ever sent."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> range:
        """This worker's contiguous share of ``count`` items; shares differ by at most one."""
        return range(count * self.rank // self.world, count * (self.rank + 1) // self.world)

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def gather(self, tensor: Tensor) -> Tensor:
        """Rows of all workers ``[sum of B, ...]`` in the order of ranks, with gradient."""
        if self.world == 1:
            return tensor
        if tensor.dtype == torch.bool:  # not every collective knows bool
            return self.gather(tensor.to(torch.uint8)).bool()
        counts = self._counts(tensor.shape[0], tensor.device)
        return _Gather.apply(tensor, self.rank, counts)

    def gather_values(self, tensor: Tensor) -> Tensor:
        """As :meth:`gather`, but each worker's own rows alone carry gradient, and only from here.

        The widely copied gather: after averaging, parameters below it get a share of one in the
        number of workers of the exact gradient.
        """
        if self.world == 1:
            return tensor
        gathered = self.gather(tensor.detach())
        start = sum(self._counts(tensor.shape[0], tensor.device)[: self.rank])
        return torch.cat([gathered[:start], tensor, gathered[start + len(tensor) :]])

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a scalar over all workers, without gradient."""
        return self.gather(tensor.detach().reshape(1)).mean()

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of a scalar over all workers, with the gradient of a single process."""
        return self.gather(tensor.reshape(1)).sum()

    def gather_features(self, features: Features) -> Features:
        """Features of all workers, rows in the order of the global batch, with gradient."""
        features = features.without_memory()
        return features if self.world == 1 else features.map(self.gather)

    def gather_feature_values(self, features: Features) -> Features:
        """As :meth:`gather_features`, with the gradient of :meth:`gather_values`."""
        features = features.without_memory()
        return features if self.world == 1 else features.map(self.gather_values)

    def gather_objects(self, value: Any) -> list[Any]:
        """Every worker's value, on every worker, in the order of ranks."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over the workers.

        All workers run the same graph, so they agree on which parameters have a gradient at all.
        """
        if self.world == 1:
            return
        for bucket in _buckets([p for p in parameters if p.grad is not None]):
            grads = [p.grad for p in bucket]
            flat = torch.cat([grad.reshape(-1) for grad in grads])
            dist.all_reduce(flat)
            flat /= self.world
            offset = 0
            for parameter, grad in zip(bucket, grads, strict=True):
                parameter.grad = flat[offset : offset + grad.numel()].view_as(grad)
                offset += grad.numel()

    def _counts(self, count: int, device: torch.device) -> list[int]:
        mine = torch.tensor([count], device=device)
        counts = [torch.zeros_like(mine) for _ in range(self.world)]
        dist.all_gather(counts, mine)
        return [int(count) for count in counts]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context, tensor: Tensor, rank: int, counts: list[int]) -> Tensor:
        context.rank, context.counts = rank, counts
        # Collectives want equal sizes: pad to the longest share, cut again afterwards.
        padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
        padded[: tensor.shape[0]] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(context, grad: Tensor):
        # A copy: autograd may hand the same tensor to another node.
        grad = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        start = sum(context.counts[: context.rank])
        return grad[start : start + context.counts[context.rank]], None, None


def _buckets(parameters: Sequence[Tensor]):
    """Consecutive parameters of one type, about :data:`BUCKET_BYTES` at a time."""
    bucket: list[Tensor] = []
    size = 0
    for parameter in parameters:
        if bucket and (size > BUCKET_BYTES or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel() * parameter.element_size()
    if bucket:
        yield bucket

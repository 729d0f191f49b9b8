"""Temporal modules that write: the promises of :class:`harness.models.GenerativeModule`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.models import Encoding, GenerativeModule
from harness.testing import made_up
from harness.testing.kit import Fault, NotChecked
from harness.testing.made_up import TOLERANCE

#: Words of the text that is written.
LENGTH = 5


def _parts(bench: Any) -> tuple[GenerativeModule, Tensor, Encoding]:
    """The module, the memory ``[B, K, W]`` of all clips, and texts that it reads about them."""
    module = bench.module
    if not isinstance(module, GenerativeModule):
        raise NotChecked("it writes nothing")
    if module.writes.vocabulary is None or module.writes.name not in {t.name for t in module.tokenizers}:
        raise Fault("`writes` has no vocabulary, or is none of `tokenizers`", "declare the tokenizer of what it writes")
    with torch.no_grad():
        memory = module.encode_with_memory(bench.backbone, bench.video).memory
    if memory is None or memory.ndim != 3 or len(memory) != len(bench.video):
        shape = None if memory is None else list(memory.shape)
        raise Fault(f"encode_with_memory gives a memory of {shape}", f"[{len(bench.video)}, K, W]")
    return module, memory, bench.text.encoding(module.writes.name)


def memories(bench: Any) -> None:
    """A clip's memory is the same alone, and with it the features are those of ``encode``."""
    module, memory, _ = _parts(bench)
    with torch.no_grad():
        alone = module.encode_with_memory(bench.backbone, bench.video[slice(2, 3)])
    difference = made_up.largest_difference(alone.memory[0], memory[2])
    if difference > TOLERANCE:
        raise Fault(f"a clip's memory leaks across the batch: alone it differs by {difference:.2g}", "treat each row by itself")
    if made_up.apart(alone.without_memory(), bench.encode(bench.video[slice(2, 3)])) > TOLERANCE:
        raise Fault("encode_with_memory has other features than encode", "return the same tokens, mask and pooled")


def caches(bench: Any) -> None:
    """Word by word, with any cache, the logits are those that ``predict`` has for the whole text at once."""
    module, memory, text = _parts(bench)
    length = min(LENGTH, int(text.mask.sum(dim=1).min()))
    cut = Encoding(text.tokens[:, :length], text.mask[:, :length])
    with torch.no_grad():
        whole = module.predict(memory, cut, cut.mask, causal=True).unflatten(0, (len(memory), length))
        for cache in ("nothing", "memory", "all"):
            started = module.start(memory, cache=cache)
            for place in range(length):
                difference = made_up.largest_difference(started.logits(), whole[:, place])
                if difference > TOLERANCE * max(1.0, whole.abs().max().item()):
                    raise Fault(
                        f"with cache='{cache}' the logits after word {place} differ from predict's by {difference:.2g}",
                        "a cache changes no result, and with causal=True a word sees no later one",
                    )
                if place + 1 < length:
                    started.append(cut.tokens[:, place + 1])


CHECKS = (
    ("a clip's memory is its own", memories),
    ("words are written as they are predicted", caches),
)

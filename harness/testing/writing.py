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
        raise Fault(
            "`writes` has no vocabulary, or is none of `tokenizers`",
            "declare the tokenizer of what it writes",
        )
    with torch.no_grad():
        memory = module.encode_with_memory(bench.backbone, bench.video).memory
    if memory is None or memory.ndim != 3 or len(memory) != len(bench.video):
        shape = None if memory is None else list(memory.shape)
        raise Fault(f"encode_with_memory gives a memory of {shape}", f"[{len(bench.video)}, K, W]")
    return module, memory, bench.text.encoding(module.writes.name)


def memories(bench: Any, module: GenerativeModule, memory: Tensor) -> None:
    """A clip's memory is the same alone, and with it the features are those of ``encode``."""
    alone = module.encode_with_memory(bench.backbone, bench.video[slice(2, 3)])
    difference = made_up.largest_difference(alone.memory[0], memory[2])
    if difference > TOLERANCE:
        raise Fault(
            f"a clip's memory leaks across the batch: alone it differs by {difference:.2g}",
            "treat each row by itself",
        )
    if made_up.apart(alone.without_memory(), bench.encode(bench.video[slice(2, 3)])) > TOLERANCE:
        raise Fault(
            "encode_with_memory has other features than encode", "return the same tokens, mask and pooled"
        )


def caches(module: GenerativeModule, memory: Tensor, text: Encoding) -> None:
    """Word by word every cache gives the same logits, where rows change places too."""
    length = min(LENGTH, int(text.mask.sum(dim=1).min()))
    rows = torch.arange(2 * len(memory)).unflatten(0, (-1, 2)).flip(1).flatten()  # two texts about each clip
    written: dict[str, list[Tensor]] = {}
    for cache in ("nothing", "memory", "all"):
        started = module.start(memory, width=2, cache=cache)
        written[cache] = [started.logits()]
        for place in range(1, length):
            words = text.tokens[:, place].repeat_interleave(2)
            started.append(words + torch.arange(len(words)) % 2, rows if place % 2 else None)
            written[cache].append(started.logits())
    wanted = torch.stack(written["nothing"])
    for cache in ("memory", "all"):
        difference = made_up.largest_difference(torch.stack(written[cache]), wanted)
        if difference > TOLERANCE * max(1.0, wanted.abs().max().item()):
            raise Fault(
                f"with cache='{cache}' the logits differ by {difference:.2g} from those without",
                "a cache changes no result",
            )


def causal(module: GenerativeModule, memory: Tensor, text: Encoding) -> None:
    """With ``causal`` another last word changes no logits before it; a text has those that it has alone."""
    last = int(text.mask.sum(dim=1).min()) - 1
    chosen = torch.zeros_like(text.mask)
    chosen[:, 1:last] = True
    before = module.predict(memory, text, chosen, causal=True)
    if before.shape[0] != int(chosen.sum()) or not torch.isfinite(before).all():
        raise Fault(
            f"predict gives {list(before.shape)}, or no numbers", f"finite logits [{int(chosen.sum())}, V]"
        )
    tokens = text.tokens.clone()
    tokens[:, last:] = tokens[:, 1:2]
    scale = max(1.0, before.abs().max().item())
    after = module.predict(memory, Encoding(tokens, text.mask), chosen, causal=True)
    if made_up.largest_difference(before, after) > TOLERANCE * scale:
        raise Fault("with causal=True a word sees later ones", "mask the attention above the diagonal")
    own = Encoding(text.tokens[:1], text.mask[:1])
    alone = module.predict(memory[:1], own, chosen[:1], causal=True)
    if made_up.largest_difference(alone, before[: len(alone)]) > TOLERANCE * scale:
        raise Fault(
            "a text's logits leak across the batch: alone they are others", "treat each row by itself"
        )


def check(bench: Any) -> None:
    """Memories, caches and the order of words, of a module that writes."""
    module, memory, text = _parts(bench)
    with torch.no_grad():
        memories(bench, module, memory)
        caches(module, memory, text)
        causal(module, memory, text)

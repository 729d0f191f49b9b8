"""One token after the other, before a clip: an appended mask is what the next token is read from (J.4)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from harness.models import Decoding, Encoding, Tokenizer
from harness_vlab.encoder import KeysValues, MemoryKeys, MultimodalEncoder, allowed_keys


class Writing(Protocol):
    """What decoding asks of a module: the encoder, what a memory is made of, and how hidden states become
    words."""

    writes: Tokenizer
    multimodal: MultimodalEncoder

    def streams(self, memory: Tensor) -> dict[str, Tensor]: ...

    def logits(self, hidden: Tensor) -> Tensor: ...


class VlabDecoding(Decoding):
    """``cache``: ``nothing`` is kept between two tokens, the ``memory``'s keys and values are, or ``all``,
    those of the text and of the prompt too, which no later token can change."""

    def __init__(
        self, module: Writing, memory: Tensor, prompt: Encoding | None, width: int, cache: str
    ) -> None:
        words = module.writes.vocabulary
        assert words is not None and cache in ("nothing", "memory", "all")
        self.module, self.memory, self.prompt, self.cache = module, memory, prompt, cache
        self.mask_id = words.mask
        rows = len(memory) * width
        self.ids = torch.full((rows, 1), words.start, dtype=torch.long, device=memory.device)
        self._memory = None
        if cache == "memory":
            self._memory = self._memory_keys()
        elif cache == "all":
            self._memory = self._heads_apart()
        self._past: list[KeysValues | None] = [None] * len(module.multimodal.layers)
        self._asked: list[KeysValues | None] = [None] * len(module.multimodal.layers)
        self._next: Tensor | None = None
        if cache == "all" and prompt is not None:
            self._read_prompt(prompt)

    def logits(self) -> Tensor:
        if self._next is None:
            self._next = self._with_cache() if self.cache == "all" else self._anew()
        return self._next

    def append(self, tokens: Tensor, rows: Tensor | None = None) -> None:
        self.logits()  # what the last token is to later ones is kept from here
        ids = self.ids if rows is None else self.ids[rows]
        self.ids = torch.cat([ids, tokens[:, None]], dim=1)
        if rows is not None:
            self._past = [past and (past[0][rows], past[1][rows]) for past in self._past]
        self._next = None

    def _anew(self) -> Tensor:
        """The whole text again, with the mask after it."""
        encoder = self.module.multimodal
        masks = self.ids.new_full((len(self.ids), 1), self.mask_id)
        text = torch.cat([self.ids, masks], dim=1)
        prompt = self.prompt
        allowed = allowed_keys(torch.ones_like(text, dtype=torch.bool), prompt and prompt.mask, causal=True)
        given = self._memory or self._memory_keys()
        x = encoder(text, given, allowed, prompt and prompt.tokens)
        return self.module.logits(x[:, text.shape[1] - 1])

    def _with_cache(self) -> Tensor:
        """The last token and the mask after it; only the former will be seen by what follows."""
        encoder, place = self.module.multimodal, self.ids.shape[1] - 1
        masks = self.ids.new_full((len(self.ids), 1), self.mask_id)
        x = encoder.embeddings(torch.cat([self.ids[:, -1:], masks], dim=1), first=place)
        assert self._memory is not None
        for number, layer in enumerate(encoder.layers):
            keys, values = layer.attention.keys_values(x)
            past, asked = self._past[number], self._asked[number]
            known = (keys[:, :, :1], values[:, :, :1])
            self._past[number] = known if past is None else _joined(past, known)
            parts = [part for part in (past, (keys, values), asked) if part is not None]
            everything = parts[0]
            for part in parts[1:]:
                everything = _joined(everything, part)
            allowed = self._allowed(place)
            if number + 1 == len(encoder.layers):  # nothing reads what becomes of the token here
                x, allowed = x[:, -1:], allowed[:, :, -1:]
            x = layer(x, everything, self._memory[number], allowed)
        return self.module.logits(x[:, -1])

    def _allowed(self, place: int) -> Tensor:
        """The token sees what is before it, the mask sees the token too, both see the prompt."""
        text = torch.ones(2, place + 2, dtype=torch.bool, device=self.ids.device)
        text[0, -1] = False
        seen = text.expand(len(self.ids), 1, -1, -1)
        if self.prompt is None:
            return seen
        asked = self.prompt.mask[:, None, None].expand(-1, 1, 2, -1)
        return torch.cat([seen, asked], dim=3)

    def _read_prompt(self, prompt: Encoding) -> None:
        """The prompt sees nothing of the text, so its keys and values stay what they are."""
        x = self.module.multimodal.embeddings(prompt.tokens, segment=1)
        allowed = prompt.mask[:, None, None]
        assert self._memory is not None
        for number, layer in enumerate(self.module.multimodal.layers):
            self._asked[number] = own = layer.attention.keys_values(x)
            x = layer(x, own, self._memory[number], allowed)

    def _memory_keys(self) -> MemoryKeys:
        return self.module.multimodal.memory_keys(self.module.streams(self.memory))

    def _heads_apart(self) -> MemoryKeys:
        """The same with each head's keys in one piece. With two queries for every reading, reading them is
        what takes the time; stream by stream, so that only one is held twice."""
        streams = self.module.streams(self.memory)
        return [
            [
                (name, (keys.contiguous(), values.contiguous()))
                for stream, memory in streams.items()
                for name, (keys, values) in layer.memory_keys({stream: memory})
            ]
            for layer in self.module.multimodal.layers
        ]


def _joined(first: KeysValues, second: KeysValues) -> KeysValues:
    return torch.cat([first[0], second[0]], dim=2), torch.cat([first[1], second[1]], dim=2)

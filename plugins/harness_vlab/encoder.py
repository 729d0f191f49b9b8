"""The multimodal encoder: BERT's layout with cross-attention to one or two streams (A11-A14, A17).

Names are those of transformers' ``BertModel``, so that its weights fit; post-norm, LayerNorm eps 1e-12.
Keys and values are made apart from their use: what does not change between two written tokens is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-12

#: Keys and values ``[B, H, N, d]``.
KeysValues = tuple[Tensor, Tensor]

#: Of every layer, those of each stream by the name of its cross-attention, in the order of their use.
MemoryKeys = list[list[tuple[str, KeysValues]]]


@dataclass(frozen=True)
class Sizes:
    """Of the encoder; ``streams`` are the names of its cross-attentions, in the order of their use."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    dropout: float = 0.0
    init_std: float = 0.02
    streams: tuple[str, ...] = ("crossattention",)


class _SelfPart(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))


class _Output(nn.Module):
    """A linear map, dropout, and the norm of its sum with what went in."""

    def __init__(self, inner: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class AttentionLayer(nn.Module):
    """Attention of ``x`` to given keys and values, with residual and norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.rate = sizes.heads, sizes.dropout
        self.self = _SelfPart(sizes.hidden)
        self.output = _Output(sizes.hidden, sizes.hidden, sizes.dropout)

    def keys_values(self, source: Tensor) -> KeysValues:
        """Of ``source [B, N, W]``."""
        return self._split(self.self.key(source)), self._split(self.self.value(source))

    def forward(self, x: Tensor, given: KeysValues, allowed: Tensor | None = None) -> Tensor:
        """``x [R, L, W]``; ``given`` of ``B`` clips, where ``R`` is ``B`` times the rows of each clip;
        ``allowed`` bool ``[R, 1, L, N]``, True where a query sees a key."""
        keys, values = given
        query = self._split(self.self.query(x))
        rows = len(query) // len(keys)
        if rows > 1:  # the rows of a clip, one after the other, share its keys
            query = query.unflatten(0, (-1, rows)).transpose(1, 2).flatten(2, 3)
        rate = self.rate if self.training else 0.0
        context = functional.scaled_dot_product_attention(query, keys, values, allowed, dropout_p=rate)
        if rows > 1:
            context = context.unflatten(2, (rows, -1)).transpose(1, 2).flatten(0, 1)
        return self.output(context.transpose(1, 2).flatten(2), x)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Self-attention, attention to the streams, feed-forward; each with residual and norm."""

    def __init__(
        self, sizes: Sizes, blend: Literal["stack", "parallel", "none"], reduce: Literal["sum", "mean"]
    ) -> None:
        super().__init__()
        self.blend, self.reduce = blend, reduce
        self.attention = AttentionLayer(sizes)
        for name in sizes.streams:
            setattr(self, name, AttentionLayer(sizes))
        self.streams = sizes.streams
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(sizes.hidden, sizes.intermediate)})
        self.output = _Output(sizes.intermediate, sizes.hidden, sizes.dropout)

    def memory_keys(self, streams: dict[str, Tensor]) -> list[tuple[str, KeysValues]]:
        """Keys and values of each stream ``[B, K, W]``, by the name of its cross-attention, in order."""
        return [(name, getattr(self, name).keys_values(memory)) for name, memory in self._named(streams)]

    def forward(
        self,
        x: Tensor,
        own: KeysValues,
        memory: Sequence[tuple[str, KeysValues]],
        allowed: Tensor | None = None,
    ) -> Tensor:
        """``x [R, L, W]``; ``own`` are keys and values of all text that may be seen."""
        x = self.attention(x, own, allowed)
        if self.blend == "parallel" and len(memory) > 1:
            parts = torch.stack([getattr(self, name)(x, given) for name, given in memory])
            x = parts.sum(dim=0) if self.reduce == "sum" else parts.mean(dim=0)
        else:
            for name, given in memory:
                x = getattr(self, name)(x, given)
        return self.output(functional.gelu(self.intermediate["dense"](x)), x)

    def _named(self, streams: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
        """``streams`` in the order of their use; a shared cross-attention serves all of them."""
        split = len(self.streams) > 1
        return [
            (f"crossattention_{stream}" if split else "crossattention", memory)
            for stream, memory in streams.items()
        ]


class Embeddings(nn.Module):
    """Words, positions and the two segments: text and prompt."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.position_embeddings = nn.Embedding(sizes.positions, sizes.hidden)
        self.token_type_embeddings = nn.Embedding(2, sizes.hidden)
        self.LayerNorm = nn.LayerNorm(sizes.hidden, eps=EPS)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, tokens: Tensor, segment: int = 0, first: int = 0) -> Tensor:
        """``tokens [R, L]``, of which the first stands at position ``first``."""
        places = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        kind = self.token_type_embeddings.weight[segment]
        x = self.word_embeddings(tokens) + self.position_embeddings(places) + kind
        return self.dropout(self.LayerNorm(x))


class MultimodalEncoder(nn.Module):
    """Text before a clip. ``streams`` of its methods are memories ``[B, K, W]`` by ``image``, ``video``,
    in the order in which they are attended to."""

    def __init__(self, sizes: Sizes, blend: str, reduce: str) -> None:
        super().__init__()
        self.embeddings = Embeddings(sizes)
        layers = [EncoderLayer(sizes, blend, reduce) for _ in range(sizes.layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.apply(partial(_start, sizes.init_std))

    @property
    def layers(self) -> Sequence[EncoderLayer]:
        return list(self.encoder["layer"])

    def memory_keys(self, streams: dict[str, Tensor]) -> MemoryKeys:
        """Keys and values of the streams, for every layer."""
        return [layer.memory_keys(streams) for layer in self.layers]

    def forward(
        self,
        tokens: Tensor,
        memory: MemoryKeys,
        allowed: Tensor,
        prompt: Tensor | None = None,
    ) -> Tensor:
        """Hidden states ``[R, L (+ Lq), W]`` of text ``[R, L]`` and, after it, ``prompt [R, Lq]``."""
        x = self.embeddings(tokens)
        if prompt is not None:
            x = torch.cat([x, self.embeddings(prompt, segment=1)], dim=1)
        for layer, given in zip(self.layers, memory, strict=True):
            x = layer(x, layer.attention.keys_values(x), given, allowed)
        return x


class PredictionHead(nn.Module):
    """Hidden states to logits, through the word embeddings."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.hidden, sizes.hidden)
        self.LayerNorm = nn.LayerNorm(sizes.hidden, eps=EPS)
        self.bias = nn.Parameter(torch.zeros(sizes.vocabulary))
        self.apply(partial(_start, sizes.init_std))

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        """``hidden [..., W]`` to ``[..., V]``; ``words [V, W]``."""
        return functional.linear(self.LayerNorm(functional.gelu(self.dense(hidden))), words, self.bias)


def allowed_keys(text: Tensor, prompt: Tensor | None, causal: bool) -> Tensor:
    """Who sees whom, bool ``[R, 1, N, N]``, text first and then the prompt; ``text [R, L]`` and ``prompt
    [R, Lq]`` are masks (A17).

    Text sees text, no later one where ``causal``, and the prompt; the prompt sees itself, and the text
    where that is not causal. Padding is never seen.
    """
    length = text.shape[1]
    real = text if prompt is None else torch.cat([text, prompt], dim=1)
    total = real.shape[1]
    seen = torch.ones(total, total, dtype=torch.bool, device=text.device)
    if causal:
        seen[:length, :length] = seen[:length, :length].tril()
        seen[length:, :length] = False
    return (seen & real[:, None, :])[:, None]


def _start(std: float, module: nn.Module) -> None:
    """Initial weights as BERT's."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)

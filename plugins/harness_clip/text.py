"""The text tower run by hand: every token's feature, at any length up to the context.

open_clip's own ``encode_text`` returns one vector and adds the whole position table, so it takes
texts of exactly the context length. A causal tower gives the same features for a text whether or
not padding follows it, which makes shorter batches free.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness import HarnessError, lazy
from harness.models import TextView

_POOLS = ("first", "last", "argmax", "eos")


def check(tower: nn.Module, name: str) -> None:
    """Refuse a text tower that :func:`encode` would not reproduce."""
    if getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False):
        reason = "it appends a class token to the text"
    elif _pool_type(tower) not in _POOLS:
        reason = f"it pools its tokens by {_pool_type(tower)!r}"
    else:
        return
    raise HarnessError(f"the text tower of {name} is not supported: {reason}", "choose another backbone")


def fixed_length(tower: nn.Module) -> bool:
    """True where padding takes part in the result, so that a text always fills the context."""
    return tower.attn_mask is None or _pool_type(tower) == "last"


def encode(tower: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids ``[B, L]`` to projected features ``[B, L, D]`` and the pooled one ``[B, D]``.

    ``tower`` is an ``open_clip.CLIP`` or the ``text`` module of a ``CustomTextCLIP``; they name
    their parts alike.
    """
    length = tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    mask = None if tower.attn_mask is None else tower.attn_mask[:length, :length]
    x = tower.ln_final(tower.transformer(x, attn_mask=mask))
    projection = tower.text_projection
    if isinstance(projection, nn.Module):
        x = projection(x)
    elif projection is not None:
        x = x @ projection
    rows = torch.arange(len(tokens), device=tokens.device)
    return x, x[rows, _pooled_position(tower, tokens)]


def view_of(tower: nn.Module, name: str) -> TextView:
    """The layers of a text tower as data, or the reason why ``name`` cannot offer them."""
    blocks = tower.transformer.resblocks
    first = blocks[0]
    lacks = {}
    if any(not _is_plain(block) for block in blocks):
        lacks["layers"] = f"{name} does not have CLIP's plain layers"
    return TextView(
        width=tower.ln_final.normalized_shape[0],
        heads=0 if lacks else first.attn.num_heads,
        positions=tower.positional_embedding.detach(),
        layers=() if lacks else tuple(block.state_dict() for block in blocks),
        activation=first.mlp.gelu,
        lacks=lacks,
    )


def _is_plain(block: nn.Module) -> bool:
    """Whether a layer is CLIP's own: torch's attention, both norms, and no layer scale."""
    return (
        type(block) is lazy.open_clip().transformer.ResidualAttentionBlock
        and isinstance(block.attn, nn.MultiheadAttention)
        and isinstance(block.ls_1, nn.Identity)
        and isinstance(block.ls_2, nn.Identity)
    )


def _pooled_position(tower: nn.Module, tokens: Tensor) -> Tensor:
    """Where each text's feature is read ``[B]``, as ``open_clip.transformer.text_global_pool``."""
    pool = _pool_type(tower)
    if pool == "argmax":  # the end token has the highest id of the vocabulary
        return tokens.argmax(dim=-1)
    if pool == "eos":
        end = tower.text_eos_id if hasattr(tower, "text_eos_id") else tower.eos_id
        return (tokens == end).int().argmax(dim=-1)
    position = 0 if pool == "first" else tokens.shape[1] - 1
    return tokens.new_full((len(tokens),), position)


def _pool_type(tower: nn.Module) -> str:
    return tower.text_pool_type if hasattr(tower, "text_pool_type") else tower.pool_type

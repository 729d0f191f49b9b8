"""Texts to token ids, with the mask that the harness wants beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from harness import HarnessError, lazy
from harness.models import Encoding, Tokenizer, Vocabulary

#: Every tower with OpenAI's byte-pair vocabulary shares this name, and so its encodings.
CLIP_BPE = "clip-bpe"


#: Its markers of where a text starts and ends, the last ids of the vocabulary.
START, END = 49406, 49407


@dataclass(frozen=True)
class _ClipBpe:
    """OpenAI's byte-pair encoding; small to pickle, the vocabulary is read where it is used."""

    context: int

    def __call__(self, texts: Sequence[str], length: int) -> Encoding:
        _check_length(length, self.context)
        bpe = _clip_bpe()
        # A longer text is cut and its last place given to the end token.
        tokens = bpe(list(texts), context_length=length) if texts else _nothing(length)
        return Encoding(tokens, _through_last(tokens, bpe.eot_token_id))


@dataclass(frozen=True)
class _HubTokenizer:
    """A tokenizer whose vocabulary lies on the Hugging Face hub (SigLIP's, for one)."""

    model: str
    source: str
    context: int

    def __call__(self, texts: Sequence[str], length: int) -> Encoding:
        if length != self.context:
            raise HarnessError(
                f"the text tower of {self.model} reads texts of exactly {self.context} tokens, not {length}",
                f"set the text length to {self.context}",
            )
        tokenizer = _hub_tokenizer(self.model, self.source)
        tokens = tokenizer(list(texts), context_length=length) if texts else _nothing(length)
        pad, end = tokenizer.tokenizer.pad_token_id, tokenizer.tokenizer.eos_token_id
        # SigLIP pads with its end token, so the first one is real and the others are not.
        return Encoding(tokens, _through_first(tokens, end) if pad == end else tokens != pad)


def clip_bpe(context: int = 77) -> Tokenizer:
    """CLIP's tokenizer for a text tower of ``context`` positions; needs no network."""
    return Tokenizer(CLIP_BPE, context, _ClipBpe(context), Vocabulary(END + 1, START, END, clip_text))


def clip_text(ids: Sequence[int]) -> str:
    """The text that token ids of CLIP's vocabulary stand for, up to the end token, in single blanks."""
    ids = list(ids)
    said = ids[: ids.index(END)] if END in ids else ids
    return " ".join(_clip_bpe().decode([token for token in said if token != START]).split())


def tokenizer_of(model: str, text_cfg: dict[str, Any]) -> Tokenizer:
    """The tokenizer of an open_clip model, from the ``text_cfg`` of its configuration.

    Raises :class:`harness.HarnessError` at once where the vocabulary has to come from the hub and
    cannot be had.
    """
    context = text_cfg.get("context_length", 77)
    source = text_cfg.get("hf_tokenizer_name", "")
    if not source:
        if text_cfg.get("tokenizer_kwargs"):
            raise HarnessError(
                f"{model} changes CLIP's tokenizer ({text_cfg['tokenizer_kwargs']}), which is not supported",
                "choose another backbone with --backbone; `harness list backbones` shows them",
            )
        return clip_bpe(context)
    _hub_tokenizer(model, source)
    return Tokenizer(source, context, _HubTokenizer(model, source, context))


@cache
def _clip_bpe() -> Any:
    """open_clip's tokenizer with OpenAI's names of the two markers.

    OpenAI's tokenizer and those made after it read a marker that is written out in a text as the
    marker itself. open_clip does so too, but calls them otherwise.
    """
    import regex  # open_clip's own; the standard library's knows no classes of letters

    bpe = lazy.open_clip().SimpleTokenizer()
    pattern = bpe.pat.pattern
    for theirs, ours in (("<start_of_text>", "<|startoftext|>"), ("<end_of_text>", "<|endoftext|>")):
        assert theirs in bpe.cache and theirs in pattern
        bpe.encoder[ours] = bpe.encoder.pop(theirs)
        bpe.cache[ours] = ours
        del bpe.cache[theirs]
        pattern = pattern.replace(theirs, regex.escape(ours))
    bpe.decoder = {token: name for name, token in bpe.encoder.items()}
    bpe.pat = regex.compile(pattern, regex.IGNORECASE)
    return bpe


@cache
def _hub_tokenizer(model: str, source: str) -> Any:
    try:
        return lazy.open_clip().get_tokenizer(model)
    except ImportError as error:
        raise HarnessError(
            f"the tokenizer of {model} ({source}) needs the package {error.name}",
            f"pip install {error.name}",
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise HarnessError(
            f"the tokenizer of {model} ({source} on the Hugging Face hub) could not be had",
            f"run `hf download {source}` where there is a network and copy the hub cache here, "
            "or choose a backbone with CLIP's tokenizer, such as ViT-B-32",
        ) from error


def _check_length(length: int, context: int) -> None:
    if not 2 <= length <= context:
        raise HarnessError(
            f"texts of {length} tokens do not fit this text tower, which has {context} positions",
            f"set the text length to a number from 2 to {context}",
        )


def _nothing(length: int) -> Tensor:
    return torch.zeros(0, length, dtype=torch.long)


def _through_last(tokens: Tensor, end: int) -> Tensor:
    """Mask ``[B, L]``: True up to and including the last ``end`` of each row."""
    return (tokens == end).long().flip(1).cumsum(dim=1).flip(1) > 0


def _through_first(tokens: Tensor, end: int) -> Tensor:
    """Mask ``[B, L]``: True up to and including the first ``end`` of each row."""
    ends = (tokens == end).long()
    return ends.cumsum(dim=1) - ends == 0

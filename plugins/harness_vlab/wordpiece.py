"""BERT's uncased tokens: basic splitting, then the longest pieces of a vocabulary file (arXiv 1810.04805)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import torch

from harness import HarnessError
from harness.models import Encoding, Tokenizer, Vocabulary

_MARKS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
_LONGEST = 100  # characters of a word that is looked up at all


@dataclass(frozen=True)
class WordPiece:
    """Encodes and decodes with the pieces of ``file``, a ``vocab.txt``; small to pickle."""

    file: str

    def __call__(self, texts: Sequence[str], length: int) -> Encoding:
        ids = _pieces(self.file)
        pad, start, end = (ids[mark] for mark in ("[PAD]", "[CLS]", "[SEP]"))
        tokens = torch.full((len(texts), length), pad, dtype=torch.long)
        for row, text in enumerate(texts):
            found = [piece for word in _words(text) for piece in self._split(word)][: length - 2]
            tokens[row, : len(found) + 2] = torch.tensor([start, *found, end])
        return Encoding(tokens, tokens != pad)

    def decode(self, tokens: Sequence[int]) -> str:
        """Pieces joined to words, marks left out."""
        marks = {_pieces(self.file)[mark] for mark in _MARKS if mark != "[UNK]"}
        named = [self._names[token] for token in tokens if token not in marks]
        return " ".join(named).replace(" ##", "")

    @cached_property
    def _names(self) -> list[str]:
        return list(_pieces(self.file))

    def _split(self, word: str) -> list[int]:
        ids, found, first = _pieces(self.file), list[int](), 0
        while first < len(word):
            before = "##" if first else ""
            last = next((n for n in range(len(word), first, -1) if before + word[first:n] in ids), None)
            if last is None or len(word) > _LONGEST:
                return [ids["[UNK]"]]
            found.append(ids[before + word[first:last]])
            first = last
        return found


def wordpiece(file: Path, context: int) -> Tokenizer:
    """The tokenizer of a ``vocab.txt``, for texts of at most ``context`` pieces."""
    ids, pieces = _pieces(str(file)), WordPiece(str(file))
    words = Vocabulary(
        len(ids), ids["[CLS]"], ids["[SEP]"], pieces.decode, mask=ids["[MASK]"], pad=ids["[PAD]"]
    )
    return Tokenizer("bert-wordpiece", context, pieces, words)


def file_of(name: str) -> Path:
    """A ``vocab.txt`` by its path, or by ``package:path`` inside an installed package."""
    package, colon, inside = name.partition(":")
    if colon and package.isidentifier():
        return Path(str(resources.files(package) / inside))
    return Path(name).expanduser()


@cache
def _pieces(file: str) -> dict[str, int]:
    try:
        # A piece may be a character that only str.splitlines takes for the end of a line.
        lines = Path(file).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{file} cannot be read: {error}", "get the file again") from error
    found = {piece: number for number, piece in enumerate(lines)}
    lacking = [mark for mark in _MARKS if mark not in found]
    if lacking or len(found) != len(lines):
        what = f"it lacks {lacking[0]}" if lacking else "it has a piece twice"
        raise HarnessError(f"{file} is no vocabulary of BERT: {what}", "get vocab.txt of bert-base-uncased")
    return found


def _words(text: str) -> Iterator[str]:
    """Lower-case words without accents; punctuation and Chinese characters alone."""
    plain = unicodedata.normalize("NFD", text.lower())
    word = ""
    for char in plain:
        kind = unicodedata.category(char)
        if kind == "Mn" or (kind.startswith("C") and not char.isspace()):
            continue
        alone = _is_punctuation(char, kind) or "\u4e00" <= char <= "\u9fff"
        if (alone or char.isspace()) and word:
            yield word
            word = ""
        if alone:
            yield char
        elif not char.isspace():
            word += char
    if word:
        yield word


def _is_punctuation(char: str, kind: str) -> bool:
    return kind.startswith("P") or (char.isascii() and not char.isalnum() and not char.isspace())

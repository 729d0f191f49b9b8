"""HD-VILA's clips, their subtitles, and auxiliary captions where a file of them lies beside.

A split is ``{"clip_id", "text"}`` by the line, or what CLIP-ViP's pre-training reads
(``src/datasets/dataset_pretrain_stage1_all_source.py``): an LMDB folder of subtitles and, beside it,
a file of its name and ``.jsonl`` with the ``clip_id`` of each clip by the line. A clip's id may end in
its file's suffix. Its file is ``videos/<id up to the first dot>/<id>``, or one of that stem anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from harness import HarnessError
from harness.data import (
    AnnotatedOptions,
    Caption,
    Clip,
    DataReport,
    Dataset,
    SplitReport,
    captions_for,
    read_captions,
    read_names,
)
from harness.data.files import scan, stem_of

#: Names of a split's file, as patterns, the preferred one first.
LISTS = {
    "train": ("train.jsonl", "hdvila*.jsonl", "hdvila_train.json"),
    "val": ("val.jsonl", "hdvila*val*.jsonl", "hdvila_val.json"),
}

#: Names of the file, or the LMDB folder, with auxiliary captions.
CAPTIONS = ("captions.jsonl", "*captions*.jsonl", "*captions*.json", "*captions*")

#: By this file LMDB folders are known.
_LMDB_FILE = "data.mdb"


@dataclass(frozen=True)
class _Contents:
    """``texts`` by clip id, in the order of the list; ``silent`` are listed clips without a subtitle."""

    texts: Mapping[str, str]
    silent: tuple[str, ...] = ()


def build(options: AnnotatedOptions, root: Path) -> HdVila:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return HdVila(options, Path(root))


class HdVila(Dataset):
    """Splits ``train`` and ``val``, with the text sources ``text`` (subtitles) and ``caption``."""

    def __init__(self, options: AnnotatedOptions, root: Path) -> None:
        self.tree = scan(root)
        source = scan(Path(options.annotations).expanduser()) if options.annotations else self.tree
        self._databases = {path.parent for path in source.others.all_of(_LMDB_FILE)}
        files = dict(source.annotations)
        self._captions = _find(CAPTIONS, files | {path.name.lower(): path for path in self._databases})
        self._lists = {}
        # Captions and what is held out may be called so that the pattern of the training list fits too.
        taken = {self._captions}
        for split in reversed(LISTS):
            left = {name: path for name, path in files.items() if path not in taken}
            if (path := _find(LISTS[split], left)) is not None:
                self._lists[split] = path
                taken.add(path)
        self._contents = lru_cache(maxsize=None)(self._read_split)
        if not self._lists:
            names = ", ".join(name for patterns in LISTS.values() for name in patterns)
            raise HarnessError(
                f"no annotation file of hdvila in {source.root} or up to three folders below it; "
                f"looked for {names}",
                "put the annotation files into the data root, or name their folder with --annotations",
            )

    def splits(self) -> Sequence[str]:
        """Splits whose list is there."""
        return [split for split in LISTS if split in self._lists]

    def sources(self, split: str) -> Sequence[str]:
        """``text``, and ``caption`` where there is a file of auxiliary captions."""
        return ("text", "caption") if self._captions else ("text",)

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips in the order of the list; ``path`` is None where no video was found."""
        return [Clip(name, self._video(name)) for name in self._contents(split).texts]

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """One subtitle for each clip, or one auxiliary caption for each clip that has one."""
        if source not in self.sources(split):
            hint = f"its sources are {', '.join(self.sources(split))}"
            if source == "caption":
                hint = (
                    "make one with `harness caption hdvila`, and put it into the data root as captions.jsonl"
                )
            raise HarnessError(f"the data set hdvila has no text source {source!r}", hint)
        if source == "caption":
            assert self._captions is not None
            return captions_for(self.clips(split), read_captions(self._captions))
        return [Caption(f"{name}#0", name, text) for name, text in self._contents(split).texts.items()]

    def written_as(self, split: str, form: str) -> str:
        """Lines go under the name that is read first."""
        return LISTS[split][0] if form == "jsonl" else f"hdvila_{split}.{form}"

    def report(self, split: str) -> SplitReport:
        """Counts of a split, with the clips that have no subtitle."""
        report = super().report(split)
        return SplitReport(report.clips, report.captions, report.missing, self._contents(split).silent)

    def check(self, splits: Sequence[str]) -> DataReport:
        """Counts of all splits, and how many of their clips have an auxiliary caption."""
        notes = []
        for split in splits if self._captions else ():
            clips, captions = len(self.clips(split)), len(self.captions(split, "caption"))
            notes.append(f"{split}: {captions} of {clips} clips have a caption in {self._captions}")
        return DataReport(super().check(splits).splits, tuple(notes))

    def _video(self, clip_id: str) -> Path | None:
        """Of several files of one stem the one in the folder of its video."""
        found = list(self.tree.candidates(clip_id))
        video = clip_id.partition(".")[0]
        return next((path for path in found if path.parent.name == video), next(iter(found), None))

    def _read_split(self, split: str) -> _Contents:
        if split not in LISTS:
            raise HarnessError(
                f"the data set hdvila has no split {split!r}", f"its splits are {', '.join(LISTS)}"
            )
        if split not in self._lists:
            raise HarnessError(
                f"no annotation file of hdvila/{split}: looked for {', '.join(LISTS[split])}",
                "add it, or name its folder with --annotations",
            )
        path = self._lists[split]
        database = path.with_name(path.name.removesuffix(".gz").removesuffix(".jsonl"))
        said = _by_id(database if database in self._databases else path)
        listed = list(dict.fromkeys(map(stem_of, read_names(path))))
        texts = {name: said[name] for name in listed if name in said}
        if not texts:
            raise HarnessError(f"{database} has a subtitle for none of the clips in {path}", "get both again")
        return _Contents(texts, tuple(name for name in listed if name not in said))


def _find(patterns: Sequence[str], named: Mapping[str, Path]) -> Path | None:
    """Of what the earliest pattern fits the first by name."""
    for pattern in patterns:
        for name in sorted(named):
            if fnmatch(name, pattern):
                return named[name]
    return None


def _by_id(path: Path) -> dict[str, str]:
    """Subtitles by clip id; two names of one clip have to have one text."""
    found: dict[str, str] = {}
    for name, text in read_captions(path).items():
        if found.setdefault(stem_of(name), text) != text:
            raise HarnessError(f"{path} has two texts for the clip {stem_of(name)}", "leave one of them out")
    return found

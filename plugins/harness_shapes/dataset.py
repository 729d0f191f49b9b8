"""The data set itself: its clips, captions and questions, and the making of its files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from harness import HarnessError
from harness.data import Caption, Clip, Contrast, Dataset, Progress, Question
from harness_shapes.captions import canonical, of_one_frame, pick
from harness_shapes.encode import encode_mp4
from harness_shapes.options import ShapesOptions, fingerprint
from harness_shapes.questions import ask
from harness_shapes.render import render
from harness_shapes.scenes import COMBINATIONS, FPS, Combination

_SPLITS = ("train", "test")
_COMPLETE = "complete.json"
# What a random stream is for: the pixels of a clip never depend on the words drawn for it.
_PIXELS, _WORDS = 0, 1


def build(options: ShapesOptions, root: Path) -> ShapesDataset:
    """Make the data set whose files lie, or will lie, under ``root``."""
    return ShapesDataset(options, Path(root))


class ShapesDataset(Dataset):
    """Generated clips of moving shapes.

    Clip ``i`` of a split shows combination ``i mod 192``; its jitter is a function of seed, split
    and ``i`` alone. Files lie in a folder named after the fingerprint, so that seeds and
    generator versions can share a root. :attr:`fingerprint` names the content.
    """

    def __init__(self, options: ShapesOptions, root: Path) -> None:
        self.options = options
        self.fingerprint = fingerprint(options.seed)
        self.folder = root / self.fingerprint

    def splits(self) -> Sequence[str]:
        """``train`` and ``test``."""
        return _SPLITS

    def clips(self, split: str) -> Sequence[Clip]:
        """All clips of ``train`` or ``test``; before :meth:`prepare` their paths may be None."""
        present = self._present(split)
        return [
            Clip(name, self._path(split, name) if name in present else None)
            for name in (_name(split, i) for i in range(self._count(split)))
        ]

    def sources(self, split: str) -> Sequence[str]:
        """``text`` tells the motion; ``caption``, as an image captioner would, does not."""
        return ("text", "caption")

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """One text per clip: of ``text`` the fixed sentence in test and a drawn phrasing in training,
        of ``caption`` what a single frame shows."""
        if source not in self.sources(split):
            raise HarnessError(
                f"the data set shapes has no text source {source!r}",
                f"it has {' and '.join(self.sources(split))}",
            )
        captions = []
        for i in range(self._count(split)):
            what = _combination(i)
            if source == "caption":
                captions.append(Caption(f"{_name(split, i)}-caption", _name(split, i), of_one_frame(what)))
                continue
            text = canonical(what) if split == "test" else pick(what, self._rng(split, i, _WORDS))
            captions.append(Caption(f"{_name(split, i)}-text", _name(split, i), text))
        return captions

    def questions(self, split: str) -> Sequence[Question]:
        """Three for each clip: of its colour, its shape and its motion."""
        names = ((_name(split, i), _combination(i)) for i in range(self._count(split)))
        return [
            Question(f"{name}-{asked.kind}", name, asked.text, asked.answer, asked.kind, asked.foil)
            for name, what in names
            for asked in ask(what)
        ]

    def contrasts(self, split: str) -> Mapping[str, Sequence[Contrast]]:
        """``reversed_twin`` of test: each text with its clip and that of the reversed motion."""
        if split != "test":
            return {}
        number = {what: i for i, what in enumerate(COMBINATIONS)}
        pairs = [
            Contrast(f"{_name(split, i)}-text", _name(split, i), _name(split, number[what.twin]))
            for i, what in enumerate(COMBINATIONS)
        ]
        return {"reversed_twin": pairs}

    def prepare(self, progress: Progress) -> None:
        """Write every clip that is not there yet, then ``complete.json``.

        A file appears under its name only when whole. An interrupted preparation is therefore
        continued where it stopped, and two at once write the same content over each other.
        """
        missing = []
        for split in _SPLITS:
            self._path(split, "").parent.mkdir(parents=True, exist_ok=True)
            present = self._present(split)
            numbers = range(self._count(split))
            missing += [(split, i) for i in numbers if _name(split, i) not in present]
        if not missing and (self.folder / _COMPLETE).is_file():
            return
        # Two threads: most of the time goes to interpreted calls on small frames, so more of
        # them only wait for each other.
        with ThreadPoolExecutor(2) as pool:
            for done, _ in enumerate(pool.map(lambda job: self._write(*job), missing), 1):
                progress(done, len(missing), "shapes clips")
        self._remove_leftovers()
        summary = {
            "fingerprint": self.fingerprint,
            "clips": {split: len(self._present(split)) for split in _SPLITS},
        }
        _write_whole(self.folder / _COMPLETE, json.dumps(summary, indent=2).encode() + b"\n")

    def frames(self, split: str, index: int) -> np.ndarray:
        """Draw the frames of one clip as they are before coding: uint8 ``[T, H, W, 3]``."""
        return render(_combination(index), self._rng(split, index, _PIXELS))

    def _write(self, split: str, index: int) -> None:
        _write_whole(self._path(split, _name(split, index)), encode_mp4(self.frames(split, index), FPS))

    def _remove_leftovers(self) -> None:
        # Temporary files of killed runs. One of a run still at work may go too, which that run
        # takes lightly: every clip it could be writing exists by now.
        for path in self.folder.rglob("*.part"):
            path.unlink(missing_ok=True)

    def _present(self, split: str) -> set[str]:
        """Names of the clips of a split that lie on disk; an empty file is one that was lost."""
        self._count(split)
        folder = self._path(split, "").parent
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            return {
                entry.name.removesuffix(".mp4")
                for entry in entries
                if entry.name.endswith(".mp4") and entry.stat().st_size > 0
            }

    def _path(self, split: str, name: str) -> Path:
        return self.folder / split / f"{name}.mp4"

    def _count(self, split: str) -> int:
        if split not in _SPLITS:
            raise HarnessError(f"the data set shapes has no split {split!r}", "its splits are train and test")
        return len(COMBINATIONS) if split == "test" else self.options.train_clips

    def _rng(self, split: str, index: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.options.seed, _SPLITS.index(split), index, purpose))


def _name(split: str, index: int) -> str:
    return f"{split}{index:05d}"


def _combination(index: int) -> Combination:
    return COMBINATIONS[index % len(COMBINATIONS)]


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never shows part of it."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    part.write_bytes(content)
    try:
        part.replace(path)
    except FileNotFoundError:
        # Another run has finished and cleared temporary files away; its copy is as good.
        if not path.exists():
            raise

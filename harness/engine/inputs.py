"""From a data set to batches: which samples an epoch has, in which order, with which frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from harness.data import Caption, Clip, Question
from harness.data.reader import ClipReader
from harness.data.sampling import in_order, jitter
from harness.data.video import DamagedClip
from harness.engine.progress import Meter
from harness.engine.randomness import generator
from harness.errors import HarnessError
from harness.models import Batch, Encoding, TextBatch, Tokenizer, VideoBatch

Item, Made = TypeVar("Item"), TypeVar("Made")


@dataclass(frozen=True)
class Sample:
    """One training sample: a clip, and the captions that one is drawn from in each epoch; so for
    every further kind of text, in ``others``. ``kind`` is what the ``captions`` are: ``text`` or
    ``question``."""

    clip: Clip
    captions: tuple[Caption, ...]
    others: Mapping[str, tuple[Caption, ...]] = field(default_factory=dict)
    kind: str = "text"

    @property
    def key(self) -> str:
        return self.captions[0].id if len(self.captions) == 1 else self.clip.id


@dataclass(frozen=True)
class Frames:
    """How clips become frames: ``wanted`` per clip, ``size`` pixels a side, padded as the temporal
    module asks. With ``jittered`` the reader gives candidates to draw training frames from.
    ``order`` is that of the real frames in a batch; padding comes after them."""

    reader: ClipReader
    wanted: int
    size: int
    padding: str
    jittered: bool = False
    order: str = "forward"

    def prepare(self, clips: Sequence[Clip], shown: Meter) -> dict[str, str]:
        """Reads every clip once, which also fills the cache; the reason, by id, for each that is damaged.

        What has to be decoded for the cache is decoded by processes: threads take turns in the
        reading of packets, and a file that makes the decoder crash would end the run.
        """
        processes = self.reader.threads if self.reader.cache is not None else 0
        return self.reader.prepare(clips, lambda done, _total: shown.update(done), processes)


def samples(
    clips: Sequence[Clip],
    captions: Sequence[Caption],
    mode: str,
    unusable: Mapping[str, str],
    others: Mapping[str, Sequence[Caption]] | None = None,
    kind: str = "text",
) -> list[Sample]:
    """Training samples in a fixed order, without missing and damaged clips.

    ``mode`` is ``each`` (every caption is a sample) or ``one_per_clip``. ``others`` are further kinds
    of text by name; every usable clip has one of each. ``kind`` is that of the captions.
    """
    usable = {clip.id: clip for clip in clips if clip.path is not None and clip.id not in unusable}
    further = {source: by_clip(texts) for source, texts in (others or {}).items()}

    def sample(clip: Clip, texts: tuple[Caption, ...]) -> Sample:
        return Sample(clip, texts, {source: found[clip.id] for source, found in further.items()}, kind)

    if mode == "each":
        return [sample(usable[c.clip_id], (c,)) for c in captions if c.clip_id in usable]
    described = by_clip(captions)
    return [sample(clip, described[name]) for name, clip in usable.items() if name in described]


def by_clip(captions: Iterable[Caption]) -> dict[str, tuple[Caption, ...]]:
    """The texts of each clip, in their order."""
    found: dict[str, list[Caption]] = {}
    for caption in captions:
        found.setdefault(caption.clip_id, []).append(caption)
    return {name: tuple(texts) for name, texts in found.items()}


def epoch_order(count: int, *key: object) -> np.ndarray:
    """A permutation of ``count`` samples that depends on the key only."""
    return generator("order", *key).permutation(count)


class _Read(NamedTuple):
    """What was read of a clip: ``frames [n, 3, H, W]``, which of them are wanted (None: all), and
    ``times [T]`` of those."""

    frames: np.ndarray
    places: np.ndarray | None
    times: np.ndarray

    def choose(self, places: np.ndarray) -> _Read:
        """Some of the wanted frames; nothing is copied yet."""
        chosen = places if self.places is None else self.places[places]
        return _Read(self.frames, chosen, self.times[places])


class _Rows:
    """A video batch that is filled clip by clip, so that no view into a file outlives its turn.

    numpy, not torch: a parallel torch operation in this thread would bring a second team of threads
    along, which gets in the way of the training step's.
    """

    def __init__(self, frames: Frames, count: int) -> None:
        shape, self.ids = (count, frames.wanted), list[str]()
        # Nothing is written twice: zeros that are then filled take longer than the reading.
        self.pixels = np.empty((*shape, 3, frames.size, frames.size), dtype=np.uint8)
        self.mask = np.zeros(shape, dtype=bool)
        self.times = np.zeros(shape, dtype=np.float32)

    def add(self, clip_id: str, read: _Read) -> None:
        row, real = len(self.ids), len(read.times)
        target = self.pixels[row, :real]
        if read.places is None:
            target[:] = read.frames
        else:
            np.take(read.frames, read.places, axis=0, out=target, mode="clip")
        self.pixels[row, real:] = 0
        self.mask[row, :real], self.times[row, :real] = True, read.times
        self.ids.append(clip_id)

    def batch(self) -> VideoBatch:
        filled = (array[: len(self.ids)] for array in (self.pixels, self.mask, self.times))
        return VideoBatch(tuple(self.ids), *map(torch.from_numpy, filled))


class _Drawn(NamedTuple):
    """What an epoch makes of a sample: a text of each kind, the frames of each kind that is read, and
    the number that its loss may draw from."""

    texts: dict[str, Caption]
    frames: dict[str, _Read]
    seed: int


class Batches:
    """Makes batches: training batches by sample, evaluation batches in order.

    ``middle`` reads the middle frame of a clip, for the losses that want one.
    """

    def __init__(
        self,
        frames: Frames,
        tokenizers: Sequence[Tokenizer],
        text_length: int,
        train_frames: Frames | None = None,
        middle: Frames | None = None,
    ) -> None:
        self.frames = frames
        self.middle = middle
        self.train_frames = train_frames or frames
        self.tokenizers = tokenizers
        self.text_length = text_length
        # Cached pixels are read faster than a pool hands them over; decoding wants every core.
        reader = self.train_frames.reader
        decodes = reader.cache is None or reader.storage == "jpeg"
        self.pool = ThreadPoolExecutor(reader.threads) if decodes else None

    def training(
        self, chosen: Sequence[Sample], *key: object, sources: Sequence[str] = ("video", "text")
    ) -> tuple[Batch, dict[str, str]]:
        """One training batch and the clips that had to be left out of it, with the reason.

        Everything random in it depends on ``key``, such as seed, stage and epoch, and on the sample.
        ``sources`` are those of :class:`harness.LossSpec`.
        """
        readers = self.readers(sources)
        rows = {source: _Rows(frames, len(chosen)) for source, frames in readers.items()}
        texts: dict[str, list[Caption]] = {source: [] for source in sources if source not in readers}
        damaged, seeds = {}, []
        draws = self._each(partial(self._draw, key, readers), chosen)
        for sample, drawn in zip(chosen, draws, strict=True):
            if isinstance(drawn, DamagedClip):
                damaged[sample.clip.id] = drawn.reason
                continue
            for source, read in drawn.frames.items():
                rows[source].add(sample.clip.id, read)
            for source, captions in texts.items():
                captions.append(drawn.texts[source])
            seeds.append(drawn.seed)
        if len(damaged) == len(chosen):
            raise HarnessError(
                f"every clip of a worker's share of a batch is damaged, the first: {next(iter(damaged))}",
                "check the training videos, or use a larger batch",
            )
        made = {source: filled.batch() for source, filled in rows.items()}
        made |= {source: self.texts(captions) for source, captions in texts.items()}
        return Batch(made, tuple(seeds)), damaged

    def readers(self, sources: Sequence[str]) -> dict[str, Frames]:
        """How the frames of a batch are read, by source."""
        known = {"video": self.train_frames, "frame": self.middle}
        return {source: frames for source, frames in known.items() if source in sources and frames}

    def _each(self, read: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        return self.pool.map(read, items) if self.pool else map(read, items)

    def _draw(self, key: tuple[object, ...], readers: Mapping[str, Frames], sample: Sample):
        """This epoch's texts and frames of a sample, or the damage of its clip."""
        draw = generator("sample", *key, sample.clip.id, sample.key)
        texts = {sample.kind: sample.captions[int(draw.integers(len(sample.captions)))]}
        for source, captions in sample.others.items():
            own = generator("sample", *key, sample.clip.id, sample.key, source)
            texts[source] = captions[int(own.integers(len(captions)))]
        if isinstance(asked := texts.get("question"), Question):
            texts["answer"] = Caption(asked.id, asked.clip_id, asked.answer)
        try:
            frames = {s: self._read(sample.clip, frames, key, draw) for s, frames in readers.items()}
        except DamagedClip as error:
            return error
        seed = int(generator("sample seed", *key, sample.clip.id, sample.key).integers(2**63))
        return _Drawn(texts, frames, seed)

    def videos(self, clips: Sequence[Clip]) -> VideoBatch:
        """An evaluation batch; every clip has to be readable.

        Frames are shuffled by the clip's id alone, so that a model's score is the same in every run.
        """
        rows = _Rows(self.frames, len(clips))
        try:
            reads = self._each(partial(self._read, frames=self.frames), clips)
            for clip, read in zip(clips, reads, strict=True):
                rows.add(clip.id, read)
        except DamagedClip as error:
            raise HarnessError(
                f"{error.path} could be read a moment ago and cannot any more: {error.reason}",
                "see that the data root stays as it is while it is in use, and run again",
            ) from error
        return rows.batch()

    def texts(self, captions: Sequence[Caption]) -> TextBatch:
        raw = tuple(caption.text for caption in captions)
        encodings: dict[str, Encoding] = {}
        for tokenizer in self.tokenizers:
            encodings[tokenizer.name] = tokenizer.encode(raw, self.text_length)
        return TextBatch(tuple(c.id for c in captions), tuple(c.clip_id for c in captions), raw, encodings)

    def _read(
        self,
        clip: Clip,
        frames: Frames,
        key: tuple[object, ...] = (),
        draw: np.random.Generator | None = None,
    ) -> _Read:
        assert clip.path is not None, "missing clips never reach the reader"
        drawn = frames.jittered and draw is not None and frames.reader.sampling.drawn
        pixels, times = frames.reader.draw(clip, draw) if drawn else frames.reader.read(clip)
        read = _Read(pixels, None, times)
        if frames.jittered and draw is not None and not drawn:
            read = read.choose(jitter(len(times), min(frames.wanted, len(times)), draw))
        real = len(read.times)
        if frames.order != "forward":
            read = read.choose(in_order(real, frames.order, generator("frame_order", *key, clip.id)))
        if real < frames.wanted:
            if frames.padding == "repeat":
                read = read.choose(np.linspace(0, real - 1, frames.wanted).astype(np.int64))
            elif frames.padding == "fixed_length":
                raise HarnessError(
                    f"clip {clip.id} has {real} frames, the temporal module takes exactly {frames.wanted}",
                    "use fewer frames: --set data.frames=N",
                )
        return read


def prefetched(jobs: Sequence[Callable[[], Item]], ahead: int = 2) -> Iterator[Item]:
    """Results of the jobs in their order, computed by a thread a few jobs ahead of the consumer."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(job) for job in jobs[:ahead]]
        for index in range(len(jobs)):
            item = waiting.pop(0).result()
            if index + ahead < len(jobs):
                waiting.append(pool.submit(jobs[index + ahead]))
            yield item


def require_training_samples(found: Sequence[Sample], dataset: str, split: str) -> None:
    """Training on nothing is an error, not an empty loop."""
    if not found:
        raise HarnessError(
            f"no usable training clip in split '{split}' of '{dataset}'",
            "check the data root: every clip of the split is missing, damaged or without caption",
        )

"""What a stage trains on: the usable samples of a split, with every text that its loss reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import Caption, Clip, Dataset
from harness.data.auxiliary import captions_for, read_captions
from harness.engine.inputs import Batches, Sample, by_clip, require_training_samples, samples
from harness.engine.progress import meter
from harness.engine.randomness import generator
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.plan.schema import Data

#: Sources of a batch that are pictures; all others are texts.
PICTURES = ("video", "frame")


@dataclass(frozen=True)
class TrainingData:
    """``samples`` to train on; ``unusable`` clips, each with its reason; ``of`` how many samples the
    number of steps is counted on, which a share of the training set leaves as it is."""

    samples: list[Sample]
    unusable: dict[str, str]
    of: int


@dataclass(frozen=True)
class StageTexts:
    """The texts of a split that a loss reads: the ``captions`` that samples are of, which are of one ``kind``, and
    those of ``others`` by source. Clips without one of these are ``lacking``, each with the reason."""

    kind: str
    captions: Sequence[Caption]
    others: Mapping[str, Sequence[Caption]]
    lacking: Mapping[str, str]

    def samples(self, clips: Sequence[Clip], mode: str, unusable: Mapping[str, str]) -> list[Sample]:
        """As :func:`harness.engine.inputs.samples`; all that is lacking is ``unusable``."""
        return samples(clips, self.captions, mode, unusable, self.others, self.kind)


def stage_texts(
    dataset: Dataset, split: str, sources: Sequence[str], auxiliary: Mapping[str, str]
) -> StageTexts:
    """Read the texts of a split; ``sources`` are what the stage's loss reads, ``auxiliary`` the recipe's files."""
    kind = own_kind(sources)
    others = {source: further_texts(dataset, split, source, auxiliary) for source in further(sources)}
    described = {source: by_clip(texts).keys() for source, texts in others.items()}
    lacking = {
        clip.id: f"no {source}"
        for source, names in reversed(described.items())
        for clip in dataset.clips(split)
        if clip.id not in names
    }
    return StageTexts(kind, texts_of(dataset, split, kind), others, lacking)


def training_data(
    name: str,
    split: str,
    dataset: Dataset,
    data: Data,
    fraction: float,
    sources: Sequence[str],
    batches: Batches,
    workers: Workers,
) -> TrainingData:
    """Read every training clip of data set ``name`` once, which fills the cache, and keep what is usable of
    a ``fraction`` of them.

    ``sources`` are what the stage's loss reads (:class:`harness.LossSpec`).
    """
    clips, texts = dataset.clips(split), stage_texts(dataset, split, sources, data.auxiliary)
    chosen = share_of(clips, fraction)
    unusable = {
        clip.id: "not found" if clip.path is None else texts.lacking[clip.id]
        for clip in chosen
        if clip.path is None or clip.id in texts.lacking
    }
    present = [clip for clip in chosen if clip.id not in unusable]
    for source, frames in batches.readers(sources).items():
        what = "training clips" if source == "video" else "middle frames"
        share = workers.share(len(present))
        mine = present[share.start : share.stop]
        with meter(f"reading {what}", len(mine), shown=workers.first and bool(mine)) as shown:
            damaged = frames.prepare(mine, shown)
        for part in workers.gather_objects(damaged):
            unusable.update(part)
    usable = texts.samples(chosen, data.captions, unusable)
    require_training_samples(usable, name, split)
    # What is damaged in the rest is not known.
    all_of_them = texts.samples(clips, data.captions, texts.lacking) if fraction < 1 else usable
    return TrainingData(usable, unusable, len(all_of_them))


def share_of(clips: Sequence[Clip], fraction: float) -> list[Clip]:
    """A share of the clips, in their order. A smaller share is part of a larger one, and the choice
    depends on nothing but the number of clips."""
    count = math.ceil(fraction * len(clips))
    kept = set(generator("train fraction").permutation(len(clips))[:count].tolist())
    return [clip for index, clip in enumerate(clips) if index in kept]


def own_kind(sources: Sequence[str]) -> str:
    """The kind of text that a sample is of: a caption, or a question where nothing else is read."""
    return "question" if "question" in sources and "text" not in sources else "text"


def texts_of(dataset: Dataset, split: str, kind: str) -> Sequence[Caption]:
    """The captions of a split, or its questions."""
    return dataset.questions(split) if kind == "question" else dataset.captions(split)


def further(sources: Sequence[str]) -> list[str]:
    """The kinds of text among a loss's sources, beside the one that a sample is of. An answer comes
    with its question."""
    return [source for source in sources if source not in (*PICTURES, own_kind(sources), "answer")]


def further_texts(
    dataset: Dataset, split: str, source: str, auxiliary: Mapping[str, str]
) -> Sequence[Caption]:
    """One kind of text of the clips of a split, from the recipe's file where it names one."""
    if source == "question":
        return dataset.questions(split)
    if source not in auxiliary:
        return dataset.captions(split, source)
    file = Path(auxiliary[source])
    found = captions_for(dataset.clips(split), read_captions(file), source)
    if not found:
        raise HarnessError(
            f"{file} has a {source} of none of the training clips",
            f"make one for this split with `harness caption`, or check data.auxiliary.{source}",
        )
    return found


def check_sources(
    name: str, split: str, dataset: Dataset, loss: str, sources: Sequence[str], auxiliary: Mapping[str, str]
) -> None:
    """Refuse a loss that reads texts which neither the data set nor a file of the recipe has."""
    if "question" in sources and not dataset.questions(split):
        raise HarnessError(
            f"the loss '{loss}' reads questions, and {name}/{split} has none",
            "train on a data set and split with questions, or choose another loss",
        )
    if own_kind(sources) == "text" and not dataset.captions(split):
        raise HarnessError(
            f"the loss '{loss}' reads captions, and {name}/{split} has none",
            "train on a split with captions, or choose another loss",
        )
    for source in further(sources):
        if source == "question":
            continue
        if source not in auxiliary and source not in dataset.sources(split):
            raise HarnessError(
                f"the loss '{loss}' reads a {source} of every clip, and {name}/{split} has none",
                f"make them with `harness caption {name} --captioner NAME`, then "
                f"--set data.auxiliary.{source}=FILE",
            )

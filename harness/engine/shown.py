"""What a model was shown in training: it names the run, and must not be what the model is tested on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.data import Caption, Dataset, asked_and_answered
from harness.engine.loading import open_source
from harness.engine.training_data import further, own_kind
from harness.errors import HarnessError
from harness.models.assembly import sources_of
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results.atomic import write_atomically
from harness.results.digest import texts_hash

#: The ids of the training clips, in the folder of the run.
CLIPS = "training_clips.json"


def _identity(dataset: Dataset, split: str, kinds: Collection[str]) -> str:
    """The digest of a split, with its texts of all ``kinds``."""
    captions = [c for kind in kinds if kind != "question" for c in _captions(dataset, split, kind)]
    texts = [(caption.id, caption.text, caption.clip_id) for caption in captions]
    if "question" in kinds:
        rows = asked_and_answered(dataset.questions(split))
        texts += [(f"question {name}", text, clip) for name, text, clip in rows]
    return texts_hash(texts, [clip.id for clip in dataset.clips(split)])


def _captions(dataset: Dataset, split: str, kind: str) -> Sequence[Caption]:
    return dataset.captions(split) if kind == "text" else dataset.captions(split, kind)


def with_training_data(plan: RunPlan, dataset: Dataset, registry: Registry) -> RunPlan:
    """The plan with the identity of its training clips and texts, as far as annotations tell.

    Two collections in the same place, or a miniature and the whole of a benchmark, are then two runs.
    """

    def read(opened: Dataset, split: str, stages: Iterable[str]) -> Collection[str]:
        """The kinds of text that these stages read of the data set itself."""
        asked = [sources_of(plan.recipe.stages[name], registry) for name in stages]
        others = {source for sources in asked for source in further(sources)}
        own = {own_kind(sources) for sources in asked}
        others = (others - plan.recipe.data.auxiliary.keys()) & {*opened.sources(split), "question"}
        return sorted(own, reverse=True) + sorted(others - own)

    own, found = plan.protocol.train, ""
    if plan.own_stages:
        found = _identity(dataset, own, read(dataset, own, plan.own_stages))
    sources = {}
    for stage, source in plan.sources.items():
        opened = open_source(source, registry)
        identity = _identity(opened, source.split, read(opened, source.split, [stage]))
        sources[stage] = msgspec.structs.replace(source, train_texts=identity)
    return msgspec.structs.replace(plan, train_texts=found, sources=sources)


def training_clips(plan: RunPlan, dataset: Dataset, registry: Registry) -> dict[str, str]:
    """The clips of the run's own data set that it trains on, each with its split, also where a stage
    reads another of its splits. Ids of another data set, or folder where ids are local, say nothing."""
    found = {}
    spec, _ = registry.find("datasets", plan.dataset)
    for source in plan.sources.values():
        elsewhere = spec.local_ids and source.data_root != plan.data_root
        if source.dataset == plan.dataset and not elsewhere:
            found.update(
                (clip.id, source.split) for clip in open_source(source, registry).clips(source.split)
            )
    if plan.own_stages:
        split = plan.protocol.train
        found.update((clip.id, split) for clip in dataset.clips(split))
    return found


def write_clips(folder: Path, plan: RunPlan, dataset: Dataset, registry: Registry) -> None:
    """Keep the ids of the training clips: annotation files may be gone when the model is tested."""
    ids = list(training_clips(plan, dataset, registry))
    write_atomically(folder / CLIPS, msgspec.json.encode(ids).decode() + "\n")


def read_clips(folder: Path) -> list[str]:
    """The training clips of a run folder. Raises HarnessError where they are not known."""
    try:
        return msgspec.json.decode((folder / CLIPS).read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError) as error:
        raise HarnessError(
            f"{folder / CLIPS} does not tell what the model was trained on: {error}",
            "train it again, or evaluate its model file with --method",
        ) from error


def refuse_leak_of(
    run: Path, trained_on: RunPlan, plan: RunPlan, dataset: Dataset, registry: Registry
) -> None:
    """Refuse to test the model of a run folder on clips that it was trained on.

    Ids of another data set, or of another folder where ids are only names in it, say nothing.
    """
    spec, _ = registry.find("datasets", plan.dataset)
    elsewhere = spec.local_ids and trained_on.data_root != plan.data_root
    if trained_on.dataset == plan.dataset and not elsewhere:
        refuse_leak(plan, dataset, dict.fromkeys(read_clips(run), trained_on.protocol.train))


def refuse_leak(plan: RunPlan, dataset: Dataset, shown: Mapping[str, str]) -> None:
    """Published splits of one data set overlap: a model must not be tested on what it was shown.

    ``shown`` are the clips that it was trained on, each with its split.
    """
    known = [clip.id for clip in dataset.clips(plan.protocol.test) if clip.id in shown]
    if known:
        raise HarnessError(
            f"{len(known)} of the test clips of {plan.dataset}/{plan.protocol.test} are training clips of "
            f"{shown[known[0]]}, such as {known[0]}",
            "train on the split that belongs to this protocol (see `harness describe` of the data set)",
        )

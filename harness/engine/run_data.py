"""The data of a run before it begins: opened, made where it makes itself, and refused where it will not do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.data import Dataset
from harness.data.dataset import DataReport
from harness.engine.loading import open_dataset, open_source
from harness.engine.progress import meters, say
from harness.engine.shown import refuse_leak, refuse_leak_of, training_clips, with_training_data
from harness.engine.training_data import check_sources
from harness.errors import HarnessError
from harness.models.assembly import sources_of
from harness.plan.run_plan import RunPlan, load_plan
from harness.plugins import Registry
from harness.results.run_files import PLAN


def open_prepared(plan: RunPlan, registry: Registry) -> Dataset:
    """The plan's data set, its files made where it makes them itself."""
    dataset = open_dataset(plan, registry)
    for name, opened in [
        (plan.dataset, dataset),
        *((source.dataset, open_source(source, registry)) for source in plan.sources.values()),
    ]:
        if registry.find("datasets", name)[0].generated:
            with meters() as progress:
                opened.prepare(progress)
    return dataset


def prepared_plan(plan: RunPlan, dataset: Dataset, registry: Registry) -> RunPlan:
    """The plan as it is run, with the identity of its training data; refused where it tests on them."""
    refuse_leak(plan, dataset, training_clips(plan, dataset, registry))
    return with_training_data(plan, dataset, registry)


def refuse_start(plan: RunPlan, dataset: Dataset, registry: Registry) -> None:
    """Refuse to start from the model of a run folder that was trained on what is tested here."""
    folder = Path(plan.init_from).parent
    if plan.init_from and (folder / PLAN).exists():
        refuse_leak_of(folder, load_plan(folder / PLAN), plan, dataset, registry)


def check_run(plan: RunPlan, dataset: Dataset, registry: Registry) -> None:
    """:func:`check_splits` of all that a run reads."""
    selected_on = [plan.protocol.val] if plan.recipe.evaluation.selection == "val" else []
    trained_on = [plan.protocol.train] if plan.own_stages else []
    check_splits(plan, dataset, [*trained_on, *selected_on, plan.protocol.test])
    for name, stage in plan.recipe.stages.items():
        source, reads = plan.sources.get(name), sources_of(stage, registry)
        which = (source.dataset, source.split) if source else (plan.dataset, plan.protocol.train)
        opened = open_source(source, registry) if source else dataset
        check_sources(*which, opened, stage.loss["name"], reads, plan.recipe.data.auxiliary)
    for source in plan.sources.values():
        _checked(source.dataset, source.data_root, open_source(source, registry), [source.split])


def check_splits(plan: RunPlan, dataset: Dataset, splits: Sequence[str]) -> None:
    """Say what is missing before any work; a split without a single video is an error."""
    report = _checked(plan.dataset, plan.data_root, dataset, splits)
    gallery = report.splits[plan.protocol.test].clips
    if plan.protocol.n_gallery and gallery != plan.protocol.n_gallery:
        say(
            f"{plan.dataset}/{plan.protocol.name} has {plan.protocol.n_gallery} clips where it is complete, "
            f"these annotations name {gallery}: the row stands in a table of its own"
        )


def _checked(name: str, root: str, dataset: Dataset, splits: Sequence[str]) -> DataReport:
    report = dataset.check(splits)
    for split in splits:
        found = report.splits[split]
        if not found.found:
            raise HarnessError(
                f"no video of split '{split}' of '{name}' was found under {root}",
                "check --data-root; videos are matched by the stem of their file names, such as "
                f"{next(iter(found.missing), 'NAME')}.mp4, anywhere below it",
            )
        if found.missing:
            names = ", ".join(found.missing[:3])
            more = ", ..." if len(found.missing) > 3 else ""
            say(f"{name}/{split}: {len(found.missing)} videos missing ({names}{more})")
    for note in report.notes:
        say(f"{name}: {note}")
    return report

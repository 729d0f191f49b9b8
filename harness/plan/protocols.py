"""Which protocol a run follows: the one that is asked for, or the task's default on a data set."""

from __future__ import annotations

from harness.errors import HarnessError
from harness.names import plain
from harness.plan.run_plan import Protocol
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.specs import DatasetSpec, ProtocolSpec


def protocol_of(dataset: DatasetSpec, recipe: Recipe, task: str, registry: Registry) -> Protocol:
    """The recipe's protocol, or the task's default on that data set; one for another task is an error."""
    chosen = protocol_for(dataset, task, recipe.data.protocol, registry)
    return Protocol(
        name=chosen.name,
        train=recipe.data.train_split or chosen.train,
        test=chosen.test,
        val=recipe.data.val_split or chosen.val,
        query_unit=chosen.query_unit,
        n_queries=chosen.n_queries,
        n_gallery=chosen.n_gallery,
        texts_hash=chosen.texts_hash,
    )


def protocol_for(dataset: DatasetSpec, task: str, wanted: str, registry: Registry) -> ProtocolSpec:
    """The protocol of that name, or where ``wanted`` is empty the task's default on that data set; one for
    another task is an error."""
    task = registry.find("tasks", task)[0].protocols or plain(task)
    chosen = find_protocol(dataset, wanted) if wanted else dataset.protocol_for(task)
    if chosen is None:
        able = [spec.name for spec, _ in registry.specs("datasets") if spec.protocol_for(task)]
        raise HarnessError(
            f"data set '{dataset.name}' has no protocol for the task '{task}'",
            f"data sets that have: {', '.join(able) or 'none installed'}",
        )
    if task not in chosen.tasks:
        known = [protocol.name for protocol in dataset.protocols if task in protocol.tasks]
        raise HarnessError(
            f"the protocol {dataset.name}/{chosen.name} is for {', '.join(chosen.tasks)}, not for {task}",
            f"its protocols for {task}: {', '.join(known) or 'none'}",
        )
    return chosen


def find_protocol(dataset: DatasetSpec, wanted: str) -> ProtocolSpec:
    """The data set's protocol of that name; another name is an error."""
    known: dict[str, ProtocolSpec] = {protocol.name: protocol for protocol in dataset.protocols}
    if wanted not in known:
        raise HarnessError(
            f"data set '{dataset.name}' has no protocol '{wanted}'", f"known: {', '.join(known)}"
        )
    return known[wanted]

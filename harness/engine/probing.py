"""Whether a model sees time: the same evaluation on clips whose frames are out of order.

A probe is the run's own plan with another ``data.frame_order``. All models get the same frames: a shuffle
depends on the clip alone, and where only the middle frame is left it stands in the place of every frame, so
a clip keeps its length. What falls when frames change places, the model had read from their order; what
falls further with the middle one alone, from seeing several.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from harness.engine.loading import make_batches
from harness.engine.progress import say
from harness.engine.task import Evaluation, Task, TaskResult
from harness.errors import HarnessError
from harness.plan.run_plan import RunPlan
from harness.results.probes import PROBES
from harness.results.record import Probe, ProbeName


def probe(
    task: Task, evaluation: Evaluation, in_order: TaskResult | None, threads: int
) -> dict[ProbeName, Probe]:
    """The scores of every probe, on the first worker; ``in_order`` is what the task gave as the plan has it.

    ``threads`` decode. A clip that only a probe cannot read is an error: it would be scored on other clips.
    """
    found: dict[ProbeName, Probe] = {}
    for name in PROBES:
        if evaluation.workers.first:
            say(f"probe: {name} frames")
        plan = _with_order(evaluation.plan, name)
        batches = make_batches(plan, evaluation.model, threads)
        result = task.evaluate(replace(evaluation, plan=plan, batches=batches))
        if result is None or in_order is None:
            continue
        if result.missing != in_order.missing or result.protocol != in_order.protocol:
            raise HarnessError(
                f"the test clips changed while they were read: {len(in_order.missing)} were missing at first, "
                f"{len(result.missing)} with {name} frames",
                "see that the data root stays as it is while it is in use, and run again",
            )
        found[name] = Probe(
            metrics=msgspec.structs.replace(result.metrics, v2t={}),
            queries=result.queries.t2v if result.queries else None,
            evidence=result.evidence,
        )
    return found


def refuse_order(plan: RunPlan) -> None:
    """Only a model that gets frames as they follow each other can lose by another order."""
    if plan.recipe.data.frame_order != "forward":
        raise HarnessError(
            f"data.frame_order is {plan.recipe.data.frame_order}, and probes compare with frames in order",
            "probe a run with data.frame_order=forward",
        )


def _with_order(plan: RunPlan, order: ProbeName) -> RunPlan:
    data = msgspec.structs.replace(plan.recipe.data, frame_order=order)
    return msgspec.structs.replace(plan, recipe=msgspec.structs.replace(plan.recipe, data=data))

"""A plugin with a task whose audit gives another figure than its record."""

from __future__ import annotations

from harness import TaskSpec, hookimpl
from harness.engine import Task, TaskResult
from harness.results.protocol import as_used
from harness.results.record import Metrics


class Lying(Task):
    """Its figure does not follow from its evidence."""

    def evaluate(self, evaluation):
        texts = [(caption.id, caption.text, caption.clip_id) for caption in evaluation.captions]
        gallery = [clip.id for clip in evaluation.clips]
        return TaskResult(
            metrics=Metrics(figures={"right": 99.0}),
            score=99.0,
            evidence={"right": "0 0 1 1"},
            protocol=as_used(evaluation.plan.protocol, texts, gallery, len(texts)),
        )


class Silent(Task):
    """Returns nothing, on whatever worker."""

    def evaluate(self, evaluation):
        return None


def silent(options):
    return Silent()


def lying(options):
    return Lying()


def audit(evidence):
    right = [int(one) for one in evidence["right"].split()]
    return {"right": 100 * sum(right) / len(right)}


@hookimpl
def harness_tasks():
    return [
        TaskSpec(
            name="lying",
            summary="for tests",
            factory=f"{__name__}:lying",
            protocols="retrieval",
            audit=f"{__name__}:audit",
        ),
        TaskSpec(name="silent", summary="for tests", factory=f"{__name__}:silent", protocols="retrieval"),
    ]

"""Tasks: a small method that offers what the task needs is trained for a moment and scored."""

from __future__ import annotations

from harness.engine import Task
from harness.plugins import load_factory
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.methods import DATASET, smoke_run
from harness.testing.plain import make

PREPARED = "the factory makes a task"


def prepare(subject: Subject) -> Subject:
    make(subject, Task)
    return subject


def evaluates(subject: Subject) -> None:
    """On generated clips, to a record; a method of the same plugin is preferred."""
    able = [
        (owner is not subject.plugin, DATASET not in method.recipes, method.name, method)
        for method, owner in subject.registry.specs("methods")
        if set(subject.spec.needs) <= set(method.offers)
    ]
    if not able:
        raise NotChecked(f"no installed method offers {', '.join(subject.spec.needs)}")
    smoke_run(min(able, key=lambda entry: entry[:3])[3], subject.registry, subject.spec.name)


def audited(subject: Subject) -> None:
    """What makes its figures again from a record's evidence can be imported."""
    if not subject.spec.audit:
        raise NotChecked("it declares no audit")
    if not callable(load_factory(subject.spec.audit, subject.plugin)):
        raise Fault(f"{subject.spec.audit} cannot be called", "audit is 'package.module:callable'")


CHECKS = (("it scores a small method", evaluates), ("its audit is there", audited))

"""Tasks: a small method that offers what the task needs is trained for a moment and scored."""

from __future__ import annotations

from dataclasses import dataclass

from harness.engine import Task
from harness.plugins import load_factory
from harness.results.audit import TOLERANCE
from harness.results.record import ResultRecord
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.methods import DATASET, smoke_run
from harness.testing.plain import make

PREPARED = "the factory makes a task"


@dataclass
class Bench:
    """A task, and the record of a small method that it scored, once it has."""

    subject: Subject
    record: ResultRecord | None = None


def prepare(subject: Subject) -> Bench:
    make(subject, Task)
    return Bench(subject)


def evaluates(bench: Bench) -> None:
    """On generated clips, to a record; a method of the same plugin is preferred."""
    subject = bench.subject
    able = [
        (owner is not subject.plugin, DATASET not in method.recipes, method.name, method)
        for method, owner in subject.registry.specs("methods")
        if set(subject.spec.needs) <= set(method.offers)
    ]
    if not able:
        raise NotChecked(f"no installed method offers {', '.join(subject.spec.needs)}")
    method = min(able, key=lambda entry: entry[:3])[3]
    bench.record = smoke_run(method, subject.registry, subject.spec.name)


def audited(bench: Bench) -> None:
    """What makes its figures again from a record's evidence gives those of its own record."""
    spec = bench.subject.spec
    if not spec.audit:
        raise NotChecked("it declares no audit")
    compute = load_factory(spec.audit, bench.subject.plugin)
    if not callable(compute):
        raise Fault(f"{spec.audit} cannot be called", "audit is 'package.module:callable'")
    if bench.record is None:
        raise NotChecked("there is no record of it")
    stored, found = bench.record.metrics.figures, dict(compute(bench.record.evidence))
    for name in sorted(stored.keys() | found.keys()):
        if name in found and found[name] is None:  # it does not follow from the evidence, and says so
            continue
        if not (name in stored and name in found and abs(stored[name] - found[name]) <= TOLERANCE):
            raise Fault(
                f"its record says {name} = {stored.get(name)}, its audit {found.get(name)}",
                "both have to be made from the evidence, by one function",
            )


CHECKS = (("it scores a small method", evaluates), ("its audit gives its figures", audited))

"""Checkpoint formats: what is written is claimed, and read back to the last tensor, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.models import Backbone, CheckpointFormat, TemporalModule
from harness.models.assembly import make as make_by_name
from harness.testing import made_up
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.plain import make

PREPARED = "the factory makes a checkpoint format"


@dataclass
class Bench:
    """A format, and the first model that it has a place for (``module`` names it), as it writes it."""

    subject: Subject
    format: CheckpointFormat
    module: str
    tensors: Mapping[str, Tensor]
    refused: str


def _model(subject: Subject, module: str, seed: int) -> tuple[Backbone, TemporalModule]:
    torch.manual_seed(seed)
    backbone, temporal = made_up.tower(subject.registry), made_up.FrameMean()
    if module:
        spec, _ = subject.registry.find("temporal modules", module)
        context = made_up.context(backbone, subject.registry)
        temporal = make_by_name({"name": module, **spec.small}, "temporal modules", subject.registry, context)
    made_up.stir(backbone, seed)
    made_up.stir(temporal, seed)
    return backbone, temporal


def prepare(subject: Subject) -> Bench:
    made, refused = make(subject, CheckpointFormat), ""
    own = [
        spec.name
        for spec, owner in subject.registry.specs("temporal modules")
        if owner is subject.plugin and spec.small is not None
    ]
    for module in (*own, ""):
        try:
            return Bench(subject, made, module, made.export(*_model(subject, module, 1)), "")
        except HarnessError as error:
            refused = refused or error.message
    return Bench(subject, made, "", {}, refused)


def _written(bench: Bench) -> Mapping[str, Tensor]:
    if bench.refused:
        raise NotChecked(f"it has no place for the small models of the kit: {bench.refused}")
    if not bench.format.claims(bench.tensors):
        try:
            bench.format.load(*_model(bench.subject, bench.module, 2), dict(bench.tensors), "a file")
        except HarnessError as error:
            raise NotChecked(f"it writes and does not read: {error}") from error
    return bench.tensors


def recognised(bench: Bench) -> None:
    """By itself, if it reads them at all."""
    if not bench.format.claims(_written(bench)):
        raise Fault("it loads what it wrote and does not claim it", "claims() has to know a file by its keys")


def claimed(bench: Bench) -> None:
    """By no other format."""
    tensors = _written(bench)
    others = [
        spec.name
        for spec, plugin in bench.subject.registry.specs("checkpoint formats")
        if spec is not bench.subject.spec
        and make(Subject(bench.subject.registry, plugin, bench.subject.kind, spec), CheckpointFormat).claims(
            tensors
        )
    ]
    if others:
        raise Fault(
            f"the format {others[0]} claims its files too", "claim by a key that only this format has"
        )


def read_back(bench: Bench) -> None:
    """Another model is filled with every tensor, to the bit."""
    tensors = _written(bench)
    backbone, temporal = _model(bench.subject, bench.module, 2)
    bench.format.load(backbone, temporal, dict(tensors), "a file")
    again = bench.format.export(backbone, temporal)
    differing = [
        name for name, value in tensors.items() if name not in again or not torch.equal(value, again[name])
    ]
    if differing or len(again) != len(tensors):
        raise Fault(
            f"read back, {len(differing)} tensors differ: {', '.join(differing[:3])}",
            "load every tensor, in full",
        )


def strict(bench: Bench) -> None:
    """Without one of its tensors, or with one more, a file is refused and the model stays as it was."""
    tensors = _written(bench)
    name = max(tensors, key=lambda key: tensors[key].numel())
    less = {key: value for key, value in tensors.items() if key != name}
    for what, wrong in (
        (f"without {name}", less),
        ("with a tensor too many", {**tensors, "a.stranger": torch.zeros(2)}),
    ):
        backbone, temporal = _model(bench.subject, bench.module, 2)
        before = [value.clone() for part in (backbone, temporal) for value in part.state_dict().values()]
        try:
            bench.format.load(backbone, temporal, wrong, "a file")
        except HarnessError:
            after = [value for part in (backbone, temporal) for value in part.state_dict().values()]
            if not all(torch.equal(one, other) for one, other in zip(before, after, strict=True)):
                raise Fault(
                    f"a file {what} is refused after the model was changed", "look at all keys first"
                ) from None
        else:
            raise Fault(
                f"a file {what} is loaded",
                "raise HarnessError that names every key: harness.models.differences",
            )


FORM = (("it claims the files that it writes", recognised),)
CHECKS = (
    ("no other format claims its files", claimed),
    ("what it writes is read back", read_back),
    ("a file that does not fit is refused", strict),
)

"""How a component is made small. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.plan.recipe import Layers, convert
from harness.plugins import load_factory
from harness.testing.kit import Fault, Subject


def options_of(subject: Subject) -> Any:
    """The component's options as it is tried: its defaults, and over them what it says is small."""
    path = (subject.kind, subject.name, "small")
    return convert(dict(subject.spec.small), subject.spec.options, path, Layers())


def with_small(subject: Subject, **more: Any) -> Subject:
    """The subject, tried with further options."""
    return replace(subject, spec=replace(subject.spec, small={**subject.spec.small, **more}))


def make(subject: Subject, expected: type, *arguments: Any) -> Any:
    """What the component's factory returns, small; anything but ``expected`` is a fault."""
    made = load_factory(subject.spec.factory, subject.plugin)(options_of(subject), *arguments)
    if not isinstance(made, expected):
        raise Fault(
            f"the factory {subject.spec.factory} returned a {type(made).__name__}",
            f"it has to return a {expected.__name__}",
        )
    return made

"""What is checked, in which order, and what came of it.

Each kind of component has a module with ``prepare(subject)``, which makes what its checks share, and
``CHECKS``: named functions of that. A check returns where all is well and raises :class:`Fault` or
:class:`NotChecked`. Whatever else a stranger's code raises is a fault too. ``FORM``, which some modules have,
holds the check before them that they stand on: after its fault they may only meet the same one again.
"""

from __future__ import annotations

import difflib
import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from harness.errors import HarnessError, in_one_line
from harness.kinds import KINDS, singular
from harness.plugins import Plugin, Registry

#: The kind of a subject that is a plugin as a whole.
WHOLE = "plugins"

#: Where the checks of a kind are.
_CHECKS = {
    WHOLE: "harness.testing.declarations",
    "backbones": "harness.testing.backbones",
    "temporal modules": "harness.testing.temporal",
    "losses": "harness.testing.losses",
    "optimizers": "harness.testing.optimizers",
    "schedules": "harness.testing.schedules",
    "postprocessors": "harness.testing.postprocessors",
    "checkpoint formats": "harness.testing.checkpoint_formats",
    "captioners": "harness.testing.captioners",
    "datasets": "harness.testing.datasets",
    "tasks": "harness.testing.tasks",
    "methods": "harness.testing.methods",
    "published results": "harness.testing.published",
}


class Fault(Exception):
    """What a component does that it must not, in one line, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NotChecked(Exception):
    """Why a check says nothing about a component."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one check. ``message`` says what is wrong, or why nothing was checked.

    One that is ``not reached`` was kept from running by the failed one that its message names.
    """

    plugin: str
    kind: str
    name: str
    check: str
    status: Literal["passed", "failed", "skipped", "not reached"]
    message: str = ""
    hint: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """A plugin, or a component of it. ``spec`` is None for a plugin as a whole."""

    registry: Registry
    plugin: Plugin
    kind: str
    spec: Any = None

    @property
    def name(self) -> str:
        return self.spec.name if self.spec else self.plugin.name

    @property
    def label(self) -> str:
        """As messages and test ids name it, such as ``loss info_nce``."""
        return f"{singular(self.kind)} {self.name}"


def subjects(registry: Registry, asked: str) -> list[Subject]:
    """What ``asked`` names: plugins by name or distribution with all that they declare, else components
    by name or alias, plain or qualified. An unknown name is a :class:`HarnessError`."""
    found = []
    for plugin in (p for p in registry.plugins if asked in (p.name, p.distribution)):
        found += [Subject(registry, plugin, WHOLE), *components(registry, plugin)]
    if not found:
        found = [
            Subject(registry, owner, kind, registry.named(kind, spec, owner))
            for kind in KINDS
            for spec, owner in registry.called(kind, asked)
        ]
    if not found:
        known = {n for p in registry.plugins for n in (p.name, p.distribution)}
        known |= {name for kind in KINDS for name in registry.components.get(kind, {})}
        near = difflib.get_close_matches(asked, sorted(known), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "see `harness plugins` and `harness list`"
        raise HarnessError(f"no plugin, distribution or component is called '{asked}'", hint)
    return found


def components(registry: Registry, plugin: Plugin) -> list[Subject]:
    """What a plugin declares, kind by kind."""
    return [
        Subject(registry, plugin, kind, spec)
        for kind in KINDS
        for spec, owner in registry.specs(kind)
        if owner is plugin
    ]


def examine(subject: Subject) -> Iterator[Outcome]:
    """Run every check of a subject. One that fails keeps no other from running, but for what cannot be made
    or has not the promised form: whatever comes after it may only meet that fault again."""
    checks = importlib.import_module(_CHECKS[subject.kind])
    bench: list[Any] = []

    def prepare() -> None:
        if getattr(subject.spec, "small", {}) is None:
            raise NotChecked("it cannot be made without files of its own (small=None in its spec)")
        bench.append(checks.prepare(subject))

    built = _outcome(subject, checks.PREPARED, prepare)
    yield built
    if built.status == "skipped":
        return
    form = getattr(checks, "FORM", ())
    decisive = {checks.PREPARED, *(title for title, _ in form)}
    failed = checks.PREPARED if built.status == "failed" else ""
    for title, check in (*form, *checks.CHECKS):
        if failed:
            yield _said(
                subject, title, "not reached", f"'{failed}' failed: they may only meet that fault again"
            )
            continue
        outcome = _outcome(subject, title, lambda check=check: check(*bench))
        yield outcome
        if outcome.status == "failed" and title in decisive:
            failed = title


def _outcome(subject: Subject, title: str, check: Any) -> Outcome:
    began = time.perf_counter()
    status, message, hint = "passed", "", ""
    try:
        check()
    except NotChecked as reason:
        status, message = "skipped", str(reason)
    except (Fault, HarnessError) as error:
        status, message, hint = "failed", error.message, error.hint
    except (Exception, SystemExit) as error:  # a stranger's code: anything may come out of it
        status, message = "failed", in_one_line(error, subject.plugin.package)
    return _said(subject, title, status, message, hint, time.perf_counter() - began)


def _said(
    subject: Subject, title: str, status: Any, message: str, hint: str = "", seconds: float = 0.0
) -> Outcome:
    return Outcome(
        plugin=subject.plugin.label,
        kind=singular(subject.kind),
        name=subject.name,
        check=title,
        status=status,
        message=message,
        hint=hint,
        seconds=round(seconds, 3),
    )

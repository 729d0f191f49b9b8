"""A plugin as a whole: it loads, its names are its own, and to list it costs nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from harness.kinds import KINDS, singular
from harness.plugin_environment import EXTRA
from harness.plugins import load_factory
from harness.testing.kit import Fault, Subject, components

PREPARED = "the plugin loads"

#: What a listing must not import: seconds each, in every command.
HEAVY = ("torch", "torchvision", "open_clip", "timm", "ray", "av", "transformers")
_FACTORY = re.compile(r"[\w.]+:[\w.]+")

#: Imports a plugin as the registry does, asks every hook, and prints what came along.
_LISTING = """
import importlib, sys
from harness.plugins import Plugin, Registry
name, heavy = sys.argv[1], sys.argv[2:]
module, _, attribute = name.partition(":")
found = importlib.import_module(module)
for part in filter(None, attribute.split(".")):
    found = getattr(found, part)
Registry().add(Plugin("checked", "checked", "0", name, found))
print(*[library for library in heavy if library in sys.modules])
"""


def prepare(subject: Subject) -> Subject:
    if subject.plugin.problem:
        raise Fault(subject.plugin.problem, f"repair {subject.plugin.target}; `harness plugins` shows it too")
    return subject


def names(subject: Subject) -> None:
    """No other plugin declares a name or alias of this one."""
    taken = [conflict for conflict in subject.registry.conflicts() if subject.plugin in conflict.plugins]
    if taken:
        said = [
            f"{singular(one.kind)} '{one.name}' is declared by {' and '.join(p.label for p in one.plugins)}"
            for one in taken
        ]
        raise Fault("; ".join(said), "rename it, or users have to write it with the plugin's name before it")


def light(subject: Subject) -> None:
    """In a fresh process."""
    plugin = subject.plugin
    # What HARNESS_PLUGINS names may be a path; the registry has imported it by a module's name.
    target = plugin.module.__name__ if plugin.distribution == EXTRA else plugin.target
    command = [sys.executable, "-c", _LISTING, target, *HEAVY]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        said = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Fault(
            f"importing {subject.plugin.target} in a fresh process fails: {said}",
            "the module must not need what another one set up before it",
        )
    *printed, imported = done.stdout.splitlines()
    if printed:
        raise Fault(
            f"importing {subject.plugin.target} prints '{printed[0]}'",
            "standard output is for results, such as those of --json: print to sys.stderr, or nothing",
        )
    if imported:
        raise Fault(
            f"importing {subject.plugin.target} imports {', '.join(imported.split())}",
            "import them in the module of the factory, which is loaded when a run needs it",
        )


def factories(subject: Subject) -> None:
    for component in components(subject.registry, subject.plugin):
        path = getattr(component.spec, "factory", None)
        if path is None:
            continue
        if not _FACTORY.fullmatch(path):
            raise Fault(f"{component.label} has the factory '{path}'", "write 'package.module:callable'")
        if not callable(load_factory(path, subject.plugin)):
            raise Fault(f"{path}, the factory of {component.label}, cannot be called")


def summaries(subject: Subject) -> None:
    silent = [
        f"{singular(kind)} {spec.name}"
        for kind in KINDS
        for spec, owner in subject.registry.specs(kind)
        if owner is subject.plugin and not spec.summary.strip()
    ]
    if silent:
        raise Fault(f"without a summary: {', '.join(silent)}", "`harness list` shows it; one line is enough")


def parity(subject: Subject) -> None:
    """See :mod:`harness.testing.parity`, which imports torch."""
    from harness.testing.parity import check

    check(subject)


CHECKS = (
    ("no other plugin has its names", names),
    ("listing it imports nothing heavy", light),
    ("every factory can be imported", factories),
    ("every component says what it is", summaries),
    ("reference figures that it ships are met", parity),
)

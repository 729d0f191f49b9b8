"""Find plugins, isolate the broken ones, look components up by name.

Every plugin arrives by an entry point of the group ``harness.plugins``, the built-in ones too.
Each is loaded in a try of its own, because one broken distribution must not take the host down.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from harness import hookspecs, specs
from harness.errors import HarnessError

GROUP = "harness.plugins"

#: Kinds of component: how messages and ``harness list`` call them, the hook, the spec's class.
KINDS: dict[str, tuple[str, type]] = {
    "methods": ("harness_methods", specs.MethodSpec),
    "datasets": ("harness_datasets", specs.DatasetSpec),
    "backbones": ("harness_backbones", specs.BackboneSpec),
    "temporal modules": ("harness_temporal_modules", specs.TemporalModuleSpec),
    "losses": ("harness_losses", specs.LossSpec),
    "optimizers": ("harness_optimizers", specs.OptimizerSpec),
    "schedules": ("harness_schedules", specs.ScheduleSpec),
    "checkpoint formats": ("harness_checkpoint_formats", specs.CheckpointFormatSpec),
    "captioners": ("harness_captioners", specs.CaptionerSpec),
    "tasks": ("harness_tasks", specs.TaskSpec),
    "postprocessors": ("harness_postprocessors", specs.PostprocessorSpec),
    "published results": ("harness_published_results", specs.PublishedResultsSpec),
}


# Names are written before a slash, into recipes, and as names of folders.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _BadPlugin(Exception):
    """Why a plugin cannot be used; becomes its ``problem``."""


@dataclass
class Plugin:
    """One entry point: where it came from, and what is wrong with it (``problem``), if anything."""

    name: str
    distribution: str
    version: str
    target: str
    module: Any = None
    problem: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass
class Registry:
    """Every plugin that was found, and every component that the healthy ones declare."""

    plugins: list[Plugin] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: _manager())
    components: dict[str, dict[str, list[tuple[Any, Plugin]]]] = field(default_factory=dict)
    failed_observers: set[str] = field(default_factory=set)

    def add(self, plugin: Plugin) -> None:
        """Register a loaded plugin; on any problem note it on the plugin and go on.

        A plugin counts whole or not at all: with one bad hook none of its components is known.
        """
        self.plugins.append(plugin)
        declared: dict[str, list[Any]] = {}
        try:
            plugin.problem = plugin.problem or _problem_of(plugin.module)
            if not plugin.problem:
                declared = _declared(plugin.module)
        except _BadPlugin as error:
            plugin.problem = str(error)
        if plugin.problem:
            return
        try:
            self.manager.register(plugin.module, f"{plugin.distribution}:{plugin.name}")
        except ValueError:
            plugin.problem = f"{plugin.target} is registered already, by another entry point"
            return
        for kind, found in declared.items():
            for spec in found:
                for name in dict.fromkeys((spec.name, *spec.aliases)):
                    self.components.setdefault(kind, {}).setdefault(name, []).append((spec, plugin))

    def specs(self, kind: str) -> list[tuple[Any, Plugin]]:
        """All components of a kind with their plugins, by name, each once (not per alias)."""
        found = self.components.get(kind, {})
        return [pair for name in sorted(found) for pair in found[name] if pair[0].name == name]

    def find(self, kind: str, name: str) -> tuple[Any, Plugin]:
        """The component of that name or alias; unknown and ambiguous names are errors."""
        found = self.components.get(kind, {}).get(name, [])
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            owners = " and ".join(plugin.label for _, plugin in found)
            raise HarnessError(
                f"{singular(kind)} '{name}' is declared twice, by {owners}",
                "uninstall one of the two distributions, or rename it in one of them",
            )
        return found[0]

    def _unknown(self, kind: str, name: str) -> HarnessError:
        known = sorted(self.components.get(kind, {}))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
        broken = [plugin for plugin in self.plugins if plugin.problem]
        if broken:
            hint += f" ({len(broken)} plugin(s) failed to load: see `harness plugins`)"
        return HarnessError(f"unknown {singular(kind)} '{name}'", hint)

    def conflicts(self) -> list[str]:
        """One line for each name that two plugins declare."""
        return [
            f"{singular(kind)} '{name}' is declared by " + " and ".join(p.label for _, p in found)
            for kind, names in sorted(self.components.items())
            for name, found in sorted(names.items())
            if len(found) > 1
        ]

    def emit(self, event: str, payload: dict) -> None:
        """Tell every observer; see :func:`harness.hookspecs.harness_run_event`.

        Each is called by itself, because one that fails must harm neither the run nor the others.
        """
        for hook in reversed(self.manager.hook.harness_run_event.get_hookimpls()):
            if hook.plugin_name in self.failed_observers:
                continue
            given = {"event": event, "payload": dict(payload)}
            try:
                hook.function(*(given[name] for name in hook.argnames))
            except Exception as error:  # a stranger's code: anything may come out of it
                if event == "run_planned" and isinstance(error, HarnessError):
                    raise
                self.failed_observers.add(hook.plugin_name)
                said = f"observer {hook.plugin_name} failed at '{event}' and is left out from now on"
                print(f"{said}: {_in_one_line(error)}", file=sys.stderr, flush=True)


def singular(kind: str) -> str:
    """``"losses"`` to ``"loss"``, for messages."""
    return kind[:-2] if kind == "losses" else kind[:-1]


@cache
def registry() -> Registry:
    """The registry of this process, made on first use."""
    return discover(entry_points(group=GROUP))


def discover(found: Iterable[EntryPoint]) -> Registry:
    """Load the given entry points, each in isolation, in the order of their names."""
    result = Registry()
    for entry in sorted(found, key=lambda entry: (entry.name, entry.value)):
        plugin = Plugin(
            entry.name,
            entry.dist.name if entry.dist else "unknown",
            entry.dist.version if entry.dist else "?",
            entry.value,
        )
        try:
            plugin.module = entry.load()
        except (Exception, SystemExit) as error:  # a stranger's import: anything may come out of it
            plugin.problem = f"import failed: {_in_one_line(error)}"
        result.add(plugin)
    return result


def load_factory(path: str, owner: Plugin) -> Callable:
    """The callable behind ``"package.module:name"``, or an error that names its plugin."""
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise HarnessError(
            f"plugin {owner.label} names the factory '{path}', which cannot be imported: {error}",
            "fix the spec's factory string, or reinstall the plugin",
        ) from error


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    return manager


def _problem_of(module: Any) -> str:
    """What is wrong with a plugin, tried on a manager of its own; empty when nothing is."""
    stated = getattr(module, "HARNESS_API", (hookspecs.API_VERSION, hookspecs.API_VERSION))
    try:
        low, high = map(int, stated)
    except (TypeError, ValueError):
        return f"HARNESS_API is {stated!r}, expected a pair such as (1, 1)"
    if not low <= hookspecs.API_VERSION <= high:
        return f"written for hook API {low}..{high}, this harness has {hookspecs.API_VERSION}"
    trial = _manager()
    try:
        trial.register(module)
    except pluggy.PluginValidationError as error:
        return " ".join(str(error).split())
    known = [name for name in dir(hookspecs) if name.startswith("harness_")]
    callers = trial.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            near = difflib.get_close_matches(caller.name, known, n=1)
            return f"unknown hook '{caller.name}'" + (f", did you mean {near[0]}?" if near else "")
    unmarked = {name for name in known if callable(getattr(module, name, None))}
    unmarked -= {caller.name for caller in callers}
    return f"{min(unmarked)}() is not marked with @harness.hookimpl" if unmarked else ""


def _declared(module: Any) -> dict[str, list[Any]]:
    """What a plugin declares, by kind; :class:`_BadPlugin` where a hook fails or answers wrongly."""
    trial, declared = _manager(), {}
    trial.register(module)
    for kind, (hook, spec_class) in KINDS.items():
        for implementation in getattr(trial.hook, hook).get_hookimpls():
            try:
                found = list(implementation.function())
            except Exception as error:  # a stranger's code: anything may come out of it
                raise _BadPlugin(f"{hook}() failed: {_in_one_line(error)}") from error
            for spec in found:
                if not isinstance(spec, spec_class):
                    raise _BadPlugin(
                        f"{hook}() returned a {type(spec).__name__}, expected {spec_class.__name__}"
                    )
                if not _NAME.fullmatch(spec.name):
                    raise _BadPlugin(
                        f"{hook}() names a {singular(kind)} '{spec.name}': letters, digits, '.', '_' and '-' only"
                    )
            declared.setdefault(kind, []).extend(found)
    return declared


def _in_one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())

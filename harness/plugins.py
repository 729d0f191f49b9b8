"""Find plugins, isolate the broken ones, look components up by name.

Every plugin arrives by an entry point of the group ``harness.plugins``, the built-in ones too, or by
:mod:`harness.plugin_environment`. Each is loaded in a try of its own, because one broken distribution
must not take the host down.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Literal, NamedTuple

import pluggy

from harness.errors import HarnessError, in_one_line
from harness.kinds import singular
from harness.names import qualified
from harness.plugin_environment import DISABLE, ExtraPlugin, disabled, extra_plugins, traced
from harness.plugin_trial import BadPlugin, names_of, new_manager, register, tried

GROUP = "harness.plugins"


@dataclass
class Plugin:
    """One entry point: where it came from, and what is wrong with it (``problem``), if anything.

    ``status`` tells one that the user left out from one that cannot be used; ``warnings`` are about
    one that works.
    """

    name: str
    distribution: str
    version: str
    target: str
    module: Any = None
    problem: str = ""
    disabled: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["ok", "disabled", "problem"]:
        return "disabled" if self.disabled else "problem" if self.problem else "ok"

    @property
    def key(self) -> str:
        """How plans and records name it."""
        return f"{self.distribution}:{self.name}"

    @property
    def label(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def package(self) -> str:
        """The outermost package of its code; places in it are its author's to repair."""
        return _package_of(self.module)


class Conflict(NamedTuple):
    """A name that several plugins declare; each can be had under its qualified name."""

    kind: str
    name: str
    plugins: tuple[Plugin, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(qualified(plugin.name, self.name) for plugin in self.plugins))

    @property
    def way_out(self) -> str:
        if len(self.names) < len(self.plugins):  # two plugins of one name, from two distributions
            return "uninstall one of the two, or rename it in one of them"
        return f"write {' or '.join(self.names)}, or leave one plugin out with {DISABLE}"


@dataclass
class Registry:
    """Every plugin that was found, and every component that the healthy ones declare."""

    plugins: list[Plugin] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=new_manager)
    components: dict[str, dict[str, list[tuple[Any, Plugin]]]] = field(default_factory=dict)
    failed_observers: set[str] = field(default_factory=set)

    def add(self, plugin: Plugin) -> None:
        """Register a loaded plugin; on any problem note it on the plugin and go on.

        A plugin counts whole or not at all: with one bad hook none of its components is known.
        """
        self.plugins.append(plugin)
        if plugin.status != "ok":
            return
        try:
            trial = tried(plugin.module, plugin.name, plugin.label, plugin.package)
            self._register(plugin)
        except BadPlugin as error:
            plugin.problem = str(error)
            return
        except Exception as error:  # a stranger's module may answer anything to being looked at
            plugin.problem = f"its hooks cannot be read: {in_one_line(error, plugin.package)}"
            return
        for warning in trial.warnings:
            warnings.warn(warning, DeprecationWarning, stacklevel=2)
        idle = (f"plugin {plugin.label} implements no hook",) if trial.idle else ()
        plugin.warnings = trial.warnings + idle
        for kind, found in trial.declared.items():
            for spec in found:
                for name in names_of(spec):
                    self.components.setdefault(kind, {}).setdefault(name, []).append((spec, plugin))

    def _register(self, plugin: Plugin) -> None:
        try:
            register(self.manager, plugin.module, plugin.key)
        except ValueError:
            raise BadPlugin(f"{plugin.target} is registered already, under another name") from None

    def specs(self, kind: str) -> list[tuple[Any, Plugin]]:
        """All components of a kind with their plugins, by name, each once (not per alias); those whose
        name is another's too under their qualified names."""
        found = self.components.get(kind, {})
        return [
            (self.named(kind, *pair), pair[1])
            for name in sorted(found)
            for pair in found[name]
            if pair[0].name == name
        ]

    def called(self, kind: str, name: str) -> list[tuple[Any, Plugin]]:
        """Every component of that name or alias, plain or qualified (``plugin:name``)."""
        owner, colon, plain = name.rpartition(":")
        found = self.components.get(kind, {}).get(plain, [])
        return [pair for pair in found if not colon or pair[1].name == owner]

    def find(self, kind: str, name: str) -> tuple[Any, Plugin]:
        """The component of that name or alias, plain or qualified (``plugin:name``); unknown and ambiguous
        names are errors.

        The spec's name is what a plan keeps: the plain one, and the qualified one where another plugin
        declares the plain one too. So a plan identifies its parts, and is the same wherever names do
        not clash.
        """
        found = self.called(kind, name)
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            clash = Conflict(kind, name, tuple(plugin for _, plugin in found))
            owners = " and ".join(plugin.label for plugin in clash.plugins)
            raise HarnessError(f"{singular(kind)} '{name}' is declared twice, by {owners}", clash.way_out)
        spec, plugin = found[0]
        return self.named(kind, spec, plugin), plugin

    def named(self, kind: str, spec: Any, plugin: Plugin) -> Any:
        """The spec under the shortest name that identifies it."""
        clash = len(self.components[kind][spec.name]) > 1
        return replace(spec, name=qualified(plugin.name, spec.name)) if clash else spec

    def _unknown(self, kind: str, name: str) -> HarnessError:
        known = sorted(self.components.get(kind, {}))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
        for status, happened in (("problem", "failed to load"), ("disabled", "are left out")):
            count = sum(plugin.status == status for plugin in self.plugins)
            if count:
                hint += f" ({count} plugin(s) {happened}: see `harness plugins`)"
        return HarnessError(f"unknown {singular(kind)} '{name}'", hint)

    def conflicts(self) -> list[Conflict]:
        """The names that two plugins declare, by kind and name."""
        return [
            Conflict(kind, name, tuple(plugin for _, plugin in found))
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
                with traced(f"call harness_run_event({event!r}) of {hook.plugin_name}"):
                    hook.function(*(given[name] for name in hook.argnames))
            except Exception as error:  # a stranger's code: anything may come out of it
                if event == "run_planned" and isinstance(error, HarnessError):
                    raise
                self.failed_observers.add(hook.plugin_name)
                said = f"observer {hook.plugin_name} failed at '{event}' and is left out from now on"
                why = in_one_line(error, _package_of(hook.plugin))
                print(f"{said}: {why}", file=sys.stderr, flush=True)


@cache
def registry() -> Registry:
    """The registry of this process, made on first use; a wrong name in the environment is an error."""
    found = [*entry_points(group=GROUP), *extra_plugins()]
    return discover(found, disabled(entry.name for entry in found))


def discover(found: Iterable[EntryPoint | ExtraPlugin], left_out: Collection[str] = ()) -> Registry:
    """Load the given entry points, each in isolation, in the order of their names; those whose names
    are ``left_out`` are listed and not loaded."""
    result = Registry()
    for entry in sorted(found, key=lambda entry: (entry.name, entry.value)):
        plugin = Plugin(
            entry.name,
            entry.dist.name if entry.dist else "unknown",
            entry.dist.version if entry.dist else "?",
            entry.value,
        )
        if entry.name in left_out:
            plugin.disabled, plugin.problem = True, f"left out by {DISABLE}"
        else:
            try:
                with traced(f"load {entry.name} ({entry.value})"):
                    plugin.module = entry.load()
            except (Exception, SystemExit) as error:  # a stranger's import: anything may come out of it
                said = in_one_line(error, entry.module.partition(".")[0])
                plugin.problem = f"import failed: {said}"
        result.add(plugin)
    return result


def load_factory(path: str, owner: Plugin) -> Callable:
    """The callable behind ``"package.module:name"``, or an error that names its plugin."""
    module_name, _, attribute = path.partition(":")
    named = f"plugin {owner.label} names the factory '{path}'"
    if not module_name or not attribute:
        raise HarnessError(f"{named}, which is no place", "write it as 'package.module:callable'")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a stranger's import: anything may come out of it
        raise HarnessError(
            f"{named}, which cannot be imported: {in_one_line(error, owner.package)}",
            "repair that module, or the spec's factory string, or install what the plugin needs",
        ) from error
    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        raise HarnessError(
            f"{named}, but {module_name} has no '{attribute}'",
            f"did you mean {module_name}:{near[0]}?" if near else "fix the spec's factory string",
        )
    return getattr(module, attribute)


def _package_of(module: Any) -> str:
    """The outermost package of a module, or of an object's code."""
    named = vars(module).get("__name__") if isinstance(module, ModuleType) else None
    return (named or getattr(module, "__module__", "")).partition(".")[0]

"""Whether a plugin can be used: its version, its hooks and what they return, tried on a manager of its own.

A trial touches nothing that other plugins are registered with.
"""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pluggy

from harness import hookspecs
from harness.errors import in_one_line
from harness.kinds import KINDS, singular
from harness.names import NAME
from harness.plugin_environment import traced
from harness.spec_types import wrong_field


class BadPlugin(Exception):
    """Why a plugin cannot be used; becomes its ``problem``."""


class Trial(NamedTuple):
    """What a plugin that can be used declares, by kind; ``warnings`` has a line for each retired hook of it, and
    ``idle`` tells one without any hook."""

    declared: dict[str, list[Any]]
    warnings: tuple[str, ...]
    idle: bool


def tried(module: Any, name: str, label: str, package: str) -> Trial:
    """Try a plugin whole; :class:`BadPlugin` says what is wrong with it, and where in its ``package``."""
    _check_api(module)
    manager = new_manager()
    _try_hooks(manager, module)
    declared = _declared(manager, name, package)
    return Trial(declared, tuple(_retired(manager, module, label)), not manager.get_hookcallers(module))


def new_manager() -> pluggy.PluginManager:
    """A manager that knows our hooks and no plugin."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    return manager


def register(manager: pluggy.PluginManager, module: Any, name: str | None = None) -> None:
    """Register without pluggy's own warnings, which do not say whose hook it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager.register(module, name)


def _check_api(module: Any) -> None:
    """A plugin says which versions of the hooks it was written for; ours has to be among them."""
    if isinstance(module, type):
        raise BadPlugin(f"{module.__name__} is a class, expected a module or an instance")
    stated = getattr(module, "HARNESS_API", (hookspecs.API_VERSION, hookspecs.API_VERSION))
    try:
        low, high = map(int, stated)
    except (TypeError, ValueError):
        raise BadPlugin(f"HARNESS_API is {stated!r}, expected a pair such as (1, 1)") from None
    if not low <= hookspecs.API_VERSION <= high:
        raise BadPlugin(f"written for hook API {low}..{high}, this harness has {hookspecs.API_VERSION}")


def _try_hooks(trial: pluggy.PluginManager, module: Any) -> None:
    """Register a module on a manager of its own; :class:`BadPlugin` where its hooks are not ours."""
    try:
        register(trial, module)
    except pluggy.PluginValidationError as error:
        raise BadPlugin(" ".join(str(error).split())) from error
    known = [name for name in dir(hookspecs) if name.startswith("harness_")]
    callers = trial.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            near = difflib.get_close_matches(caller.name, known, n=1)
            raise BadPlugin(f"unknown hook '{caller.name}'" + (f", did you mean {near[0]}?" if near else ""))
    unmarked = {name for name in known if callable(getattr(module, name, None))}
    unmarked -= {caller.name for caller in callers}
    if unmarked:
        raise BadPlugin(f"{min(unmarked)}() is not marked with @harness.hookimpl")


def _retired(trial: pluggy.PluginManager, module: Any, label: str) -> Iterable[str]:
    """A line for each retired hook of a plugin; the hook's own warning says what to do instead."""
    for caller in trial.get_hookcallers(module) or []:
        if caller.spec.warn_on_impl:
            yield f"plugin {label} implements {caller.name}: {caller.spec.warn_on_impl}"


def _declared(trial: pluggy.PluginManager, name: str, package: str) -> dict[str, list[Any]]:
    """What a plugin declares, by kind; :class:`BadPlugin` where a hook fails or answers wrongly."""
    declared: dict[str, list[Any]] = {}
    for kind, (hook, spec_class) in KINDS.items():
        for implementation in getattr(trial.hook, hook).get_hookimpls():
            try:
                with traced(f"call {hook} of {name}"):
                    returned = implementation.function()
                    found = list(returned) if isinstance(returned, Iterable) else None
            except (Exception, SystemExit) as error:  # a stranger's code: anything may come out of it
                raise BadPlugin(f"{hook}() failed: {in_one_line(error, package)}") from error
            if found is None:
                wanted = f"expected a list of {spec_class.__name__}"
                raise BadPlugin(f"{hook}() returned a {type(returned).__name__}, {wanted}")
            for spec in found:
                _check_spec(spec, kind, spec_class, f"{hook}()")
            declared.setdefault(kind, []).extend(found)
    for kind, found in declared.items():
        names = Counter(name for spec in found for name in names_of(spec))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise BadPlugin(f"it declares the {singular(kind)} '{twice[0]}' twice; rename one of them")
    return declared


def _check_spec(spec: Any, kind: str, expected: type, hook: str) -> None:
    if not isinstance(spec, expected):
        raise BadPlugin(f"{hook} returned a {type(spec).__name__}, expected {expected.__name__}")
    wrong = wrong_field(spec)
    if wrong:
        raise BadPlugin(f"{hook}: {singular(kind)} {spec.name!r}: {wrong}")
    if not NAME.fullmatch(spec.name):
        raise BadPlugin(
            f"{hook} names a {singular(kind)} '{spec.name}': letters, digits, '.', '_' and '-' only"
        )


def names_of(spec: Any) -> Iterable[str]:
    """What a component is called, each name once."""
    return dict.fromkeys((spec.name, *spec.aliases))

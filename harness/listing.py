"""What `harness list`, `describe` and `plugins` print."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from typing import Any

import msgspec

from harness.errors import HarnessError
from harness.hookspecs import API_VERSION
from harness.kinds import KINDS, singular
from harness.plugins import Plugin, Registry
from harness.specs import DatasetSpec, MethodSpec, PublishedResultsSpec


def listing(registry: Registry, kind: str | None) -> str:
    """All components, or those of one kind, a line each."""
    kinds = [_kind(kind)] if kind else list(KINDS)
    blocks = []
    for name in kinds:
        rows = [(spec.name, _with_aliases(spec)) for spec, _ in registry.specs(name)]
        if rows:
            blocks.append(f"{name}\n" + _columns(rows))
    return "\n\n".join(blocks) or "nothing is installed"


def plugin_listing(registry: Registry) -> str:
    """All plugins with their distributions; the broken ones with the reason, then warnings and names that
    two of them declare."""
    shown = {"ok": "ok", "disabled": "disabled: ", "problem": "NOT LOADED: "}
    rows = [(p.name, f"{p.distribution} {p.version}  {shown[p.status]}{p.problem}") for p in registry.plugins]
    lines = [_columns(rows)] if rows else ["no plugin is installed"]
    lines += [f"warning: {line}" for plugin in registry.plugins for line in plugin.warnings]
    for clash in registry.conflicts():
        owners = " and ".join(plugin.label for plugin in clash.plugins)
        lines.append(
            f"conflict: {singular(clash.kind)} '{clash.name}' is declared by {owners}: {clash.way_out}"
        )
    return "\n".join(lines)


def plugin_table(registry: Registry) -> dict[str, Any]:
    """The same for programs, as plain values: ``plugins`` with the names of their components by kind,
    ``conflicts`` with the names to write instead, and the version of the hooks."""

    def components(plugin: Plugin) -> dict[str, list[str]]:
        found = {
            kind: [spec.name for spec, owner in registry.specs(kind) if owner is plugin] for kind in KINDS
        }
        return {kind: names for kind, names in found.items() if names}

    return {
        "api_version": API_VERSION,
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "target": plugin.target,
                "status": plugin.status,
                "reason": plugin.problem,
                "warnings": list(plugin.warnings),
                "components": components(plugin),
            }
            for plugin in registry.plugins
        ],
        "conflicts": [
            {
                "kind": clash.kind,
                "name": clash.name,
                "plugins": [plugin.name for plugin in clash.plugins],
                "names": list(clash.names),
            }
            for clash in registry.conflicts()
        ],
    }


def description(registry: Registry, name: str, dataset: str, settings: Sequence[str]) -> str:
    """Everything about the component(s) of that name; of a method, its resolved recipe too."""
    found = [(kind, *pair) for kind in KINDS for pair in registry.called(kind, name)]
    if not found:
        known = sorted({known for kind in KINDS for known in registry.components.get(kind, {})})
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise HarnessError(
            f"nothing is called '{name}'",
            f"did you mean {', '.join(near)}?" if near else "see `harness list`",
        )
    return "\n\n".join(
        _describe(registry, kind, spec, plugin, dataset, settings) for kind, spec, plugin in found
    )


def recipe_lines(recipe: Any, layers: Any) -> list[str]:
    """A resolved recipe, a line for each value, with its origin."""
    layers = layers.by_stage(recipe.stages)
    rows = [
        (f"{'.'.join(path)} = {_shown(value)}", layers.origin(path))
        for path, value in _leaves(msgspec.to_builtins(recipe))
    ]
    width = min(64, max(len(left) for left, _ in rows))
    return [f"  {left:<{width}}  # {origin}" for left, origin in rows]


def _describe(
    registry: Registry, kind: str, spec: Any, plugin: Any, dataset: str, settings: Sequence[str]
) -> str:
    facts = [(singular(kind), _with_aliases(spec)), ("plugin", plugin.label)]
    facts += [(label, value) for label, value in (("paper", spec.paper), ("licence", spec.licence)) if value]
    if isinstance(spec, DatasetSpec):
        facts += [
            ("protocol", f"{p.name} ({', '.join(p.tasks)}): train '{p.train}', test '{p.test}'. {p.summary}")
            for p in spec.protocols
        ]
    if isinstance(spec, MethodSpec):
        facts.append(("recipe", spec.recipe))
        facts += [(f"recipe for {name}", resource) for name, resource in sorted(spec.recipes.items())]
        facts += [(f"--recipe {name}", resource) for name, resource in sorted(spec.variants.items())]
        facts += [(f"--task {name}", resource) for name, resource in sorted(spec.tasks.items())]
        facts += [(f"harness ablate ... {name}", file) for name, file in sorted(spec.ablations.items())]
    elif isinstance(spec, PublishedResultsSpec):
        facts.append(("file", spec.rows))
        facts += [("results", line) for line in _published_rows(spec)]
    else:
        defaults = {field.name: field for field in msgspec.structs.fields(spec.options)}
        facts += [("option", f"{name} = {_shown(_default(field))}") for name, field in defaults.items()]
    text = f"{spec.name}\n" + _columns(facts)
    return (
        text + "\n" + _resolved(registry, spec, dataset, settings) if isinstance(spec, MethodSpec) else text
    )


def _published_rows(spec: PublishedResultsSpec) -> list[str]:
    from harness.plan.yaml_io import locate
    from harness.results import published

    return published.count_lines(published.read(*locate(spec.rows, published.WHAT)).values())


def _resolved(registry: Registry, method: MethodSpec, dataset: str, settings: Sequence[str]) -> str:
    from harness.plan import recipe as recipes
    from harness.plan.packaged import lay_recipes

    spec = registry.find("datasets", dataset)[0] if dataset else None
    layers = lay_recipes(method, spec)
    for assignment in settings:
        layers.set(assignment)
    head = f"resolved recipe{' for ' + spec.name if spec else ' (--dataset NAME shows it for a data set)'}"
    return "\n".join([head, *recipe_lines(recipes.resolve(layers, registry, spec), layers)])


def _kind(asked: str) -> str:
    wanted = asked.replace("_", " ").replace("-", " ")
    for kind in KINDS:
        if wanted in (kind, singular(kind)):
            return kind
    raise HarnessError(f"there is no kind of component '{asked}'", f"kinds: {', '.join(KINDS)}")


def _with_aliases(spec: Any) -> str:
    return spec.summary + (f" (also: {', '.join(spec.aliases)})" if spec.aliases else "")


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, max(40, 96 - width)) or [""]
        lines.append(f"  {left:<{width}}  {wrapped[0]}")
        lines += [" " * (width + 4) + line for line in wrapped[1:]]
    return "\n".join(lines)


def _leaves(value: Any, path: tuple[str, ...] = ()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    else:
        yield path, value


def _default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return "(required)" if field.default is msgspec.NODEFAULT else field.default


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)

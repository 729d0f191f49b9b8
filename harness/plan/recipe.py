"""Resolve a recipe: lay its layers over each other and keep the origin of every value.

From weak to strong: the method's recipe (itself possibly ``extends`` another), the data set's
recipe, the method's recipe for that data set, a ``--recipe`` file, command line options, ``--set``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import HarnessError
from harness.plan import yaml_io
from harness.plan.schema import Recipe, Stage
from harness.plugins import Registry, singular

#: Where components stand in a recipe, and of which kind they are.
COMPONENTS = {
    ("model", "backbone"): "backbones",
    ("model", "temporal"): "temporal modules",
    ("stages", "*", "loss"): "losses",
    ("stages", "*", "optimizer"): "optimizers",
    ("evaluation", "postprocess"): "postprocessors",
}


@dataclass
class Layers:
    """Values laid over each other, each leaf with the place it came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: yaml_io.Origins = field(default_factory=dict)

    def lay(self, values: Mapping[str, Any], origins: yaml_io.Origins) -> None:
        self._merge(self.values, values, (), origins)

    def _merge(self, into: dict, values: Mapping, path: tuple[str, ...], origins: yaml_io.Origins) -> None:
        for key, value in values.items():
            here = (*path, str(key))
            old = into.get(key)
            if isinstance(value, Mapping) and isinstance(old, dict) and not _other_component(old, value):
                self._merge(old, value, here, origins)
                continue
            for known in [known for known in self.origins if known[: len(here)] == here]:
                del self.origins[known]
            into[key] = _copy(value)
            self.origins.update({p: o for p, o in origins.items() if p[: len(here)] == here})

    def set(self, assignment: str) -> None:
        """Apply one ``a.b=value`` from the command line."""
        name, equals, text = assignment.partition("=")
        path = tuple(part for part in name.strip().split(".") if part)
        if not equals or not path:
            raise HarnessError(
                f"--set {assignment!r} is not of the form a.b=value", "for example --set train.lr=1e-5"
            )
        value = yaml_io.parse_scalar(text)
        tree: Any = value
        for part in reversed(path):
            tree = {part: tree}
        self.lay(
            tree,
            {path: f"--set {name.strip()}"}
            if not isinstance(value, dict)
            else _leaves(value, path, f"--set {name}"),
        )

    def origin(self, path: Sequence[str]) -> str:
        """Where a value came from: the longest known prefix, or the schema's default."""
        for length in range(len(path), 0, -1):
            if tuple(path[:length]) in self.origins:
                return self.origins[tuple(path[:length])]
        return "default"


def read_layer(layers: Layers, resource: str, chain: tuple[str, ...] = ()) -> None:
    """Lay a recipe file and, before it, what it ``extends``; ``resource`` is a path or
    ``package:path``."""
    if resource in chain:
        raise HarnessError(
            f"recipes extend each other in a circle: {' -> '.join((*chain, resource))}", "cut one"
        )
    values, origins = yaml_io.read(*_locate(resource))
    base = values.pop("extends", None)
    if base is not None:
        if not isinstance(base, str):
            raise HarnessError(
                f"recipe {resource}: 'extends' must name one recipe", "extends: package:path.yaml"
            )
        read_layer(layers, _relative(base, resource), (*chain, resource))
    layers.lay(values, origins)


def resolve(layers: Layers, registry: Registry) -> Recipe:
    """Check the layers strictly and fill in every default, those of the components too."""
    values = _copy(layers.values)
    shared = values.pop("train", {})
    stages = values.get("stages") or {"finetune": {}}
    if not isinstance(shared, dict) or not isinstance(stages, dict):
        raise HarnessError("recipe: 'train' and 'stages' are mappings", "stages: {finetune: {epochs: 5}}")
    for name, stage in stages.items():
        if stage is not None and not isinstance(stage, dict):
            raise HarnessError(
                f"recipe value 'stages.{name}' is not a mapping", "stages: {finetune: {epochs: 5}}"
            )
        merged = Layers(_copy(shared))
        merged.lay(stage or {}, {})
        stages[name] = merged.values
        convert(merged.values, Stage, ("stages", name), layers)  # here the message can name the stage
    values["stages"] = stages
    recipe = convert(values, Recipe, (), layers)
    resolved = msgspec.to_builtins(recipe)
    for pattern, kind in COMPONENTS.items():
        for path, parent, key in _matching(resolved, pattern):
            parent[key] = _component(parent[key], kind, path, layers, registry)
    return convert(resolved, Recipe, (), layers)


def component(value: Mapping[str, Any], kind: str, registry: Registry) -> tuple[Any, Any, Any]:
    """The spec, plugin and checked options of a component value such as ``{"name": "tiny"}``."""
    options = dict(value)
    name = options.pop("name")
    spec, plugin = registry.find(kind, name)
    return spec, plugin, convert(options, spec.options, (kind, name), Layers())


def convert(values: Any, kind: type, path: tuple[str, ...], layers: Layers) -> Any:
    """``msgspec.convert`` with the value's path and origin in the message."""
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `")
        parts = (*path, *re.findall(r"[^.\[\]$`]+", inner.replace("[...]", ".*")))
        unknown = re.search(r"unknown field `(.+)`", message)
        if unknown:
            known = ", ".join(
                name for name in getattr(_at(kind, parts[len(path) :]), "__struct_fields__", ())
            )
            parts = (*parts, unknown.group(1))
            message = "unknown key" + (f" (known here: {known})" if known else "")
        shown, origin = ".".join(parts), _origin(layers, parts)
        raise HarnessError(
            f"recipe value '{shown}': {message[0].lower()}{message[1:]}", f"set in {origin}" if origin else ""
        ) from error


def _origin(layers: Layers, parts: tuple[str, ...]) -> str:
    origin = layers.origin(parts)
    if origin == "default" and parts[:1] == ("stages",):
        origin = layers.origin(("train", *parts[2:]))
    return "" if origin == "default" else origin


def _component(
    value: Any, kind: str, path: tuple[str, ...], layers: Layers, registry: Registry
) -> dict[str, Any]:
    shown = ".".join(path)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        options = dict(value)
        name = options.pop("name")
    else:
        raise HarnessError(f"recipe value '{shown}' names no {singular(kind)}", f"{shown}: {{name: ...}}")
    base, slash, variant = name.partition("/")
    spec, _ = registry.find(kind, name if not slash else base)
    if slash:
        if not getattr(spec, "variant_option", ""):
            raise HarnessError(
                f"{singular(kind)} '{base}' has no variants, '{name}' asks for one", f"use '{base}'"
            )
        options.setdefault(spec.variant_option, variant)
    checked = convert(options, spec.options, path, layers)
    return {"name": spec.name, **msgspec.to_builtins(checked)}


def _matching(tree: dict, pattern: tuple[str, ...], path: tuple[str, ...] = ()):
    head, *rest = pattern
    for key in list(tree) if head == "*" else [head]:
        if not rest:
            yield (*path, key), tree, key
        else:
            yield from _matching(tree[key], tuple(rest), (*path, key))


def _at(kind: Any, parts: Sequence[str]) -> Any:
    """The struct class that a path inside ``kind`` leads to, as far as it can be told."""
    for part in parts:
        if part == "stages":
            return Stage
        hints = (
            {f.name: f.type for f in msgspec.structs.fields(kind)}
            if hasattr(kind, "__struct_fields__")
            else {}
        )
        kind = hints.get(part, kind)
    return kind


def _other_component(old: Mapping, new: Mapping) -> bool:
    """Whether ``new`` names another component, whose options have nothing to do with the old's."""
    return "name" in old and "name" in new and old["name"] != new["name"]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


def _leaves(value: Any, path: tuple[str, ...], origin: str) -> yaml_io.Origins:
    if not isinstance(value, dict) or not value:
        return {path: origin}
    return {p: o for key, item in value.items() for p, o in _leaves(item, (*path, str(key)), origin).items()}


def _locate(resource: str) -> tuple[Path, str]:
    package, colon, inner = resource.partition(":")
    if colon and not Path(resource).exists():
        try:
            path = Path(str(files(package))) / inner
        except ModuleNotFoundError as error:
            raise HarnessError(
                f"recipe {resource}: no package '{package}'", "check the name before the colon"
            ) from error
        return path, f"{package}/{inner}"
    return Path(resource), resource


def _relative(base: str, resource: str) -> str:
    """``extends`` may name a sibling file."""
    if ":" in base or Path(base).is_absolute():
        return base
    folder, slash, _ = resource.rpartition("/")
    if slash:
        return f"{folder}/{base}"
    package, colon, _ = resource.partition(":")
    return f"{package}:{base}" if colon else base

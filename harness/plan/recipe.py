"""Resolve a recipe: lay its layers over each other and keep the origin of every value.

From weak to strong: the method's recipe (itself possibly ``extends`` another), the data set's
recipe, the method's recipe for that data set, a ``--recipe`` file, command line options, ``--set``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import HarnessError
from harness.kinds import singular
from harness.names import plain
from harness.plan import yaml_io
from harness.plan.schema import Data, Evaluation, Recipe, Stage
from harness.plugins import Registry
from harness.specs import DatasetSpec

#: Where components stand in a recipe, and of which kind they are.
COMPONENTS = {
    ("model", "backbone"): "backbones",
    ("model", "temporal"): "temporal modules",
    ("stages", "*", "loss"): "losses",
    ("stages", "*", "optimizer"): "optimizers",
    ("stages", "*", "schedule"): "schedules",
    ("evaluation", "postprocess"): "postprocessors",
}


@dataclass
class Layers:
    """Values laid over each other, each leaf with the place it came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: yaml_io.Origins = field(default_factory=dict)

    def lay(self, values: Mapping[str, Any], origins: yaml_io.Origins) -> None:
        """Lay values over the present ones. Stages stay in their order, new ones at the end, except where
        a layer names all of them: then the order is its own."""
        self._merge(self.values, values, (), origins)
        stages, named = self.values.get("stages"), values.get("stages")
        if isinstance(stages, dict) and isinstance(named, Mapping) and stages.keys() <= named.keys():
            self.values["stages"] = {name: stages[name] for name in named}

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
        """Where a value came from: the longest known prefix, else the first thing inside it, else
        the schema's default."""
        path = tuple(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return next((o for p, o in self.origins.items() if p[: len(path)] == path), "default")

    def by_stage(self, stages: Iterable[str]) -> Layers:
        """The same layers with what ``train`` shares laid under each stage's own values."""
        result = Layers(
            {key: _copy(value) for key, value in self.values.items() if key not in ("train", "stages")},
            {p: o for p, o in self.origins.items() if p[0] not in ("train", "stages")},
        )
        own = self.values.get("stages") or {}
        train = {p: o for p, o in self.origins.items() if p[0] == "train" and len(p) > 1}
        for name in stages:
            shared = {("stages", name, *p[1:]): o for p, o in train.items()}
            result.lay({"stages": {name: self.values.get("train", {})}}, shared)
            if own.get(name):
                result.lay({"stages": {name: own[name]}}, self.origins)
        return result


def read_layer(
    layers: Layers,
    resource: str,
    chain: Mapping[Path, str] | None = None,
    variants: Iterable[str] = (),
) -> None:
    """Lay a recipe file and, before it, what it ``extends``; ``resource`` is a path or
    ``package:path``. ``variants`` are the names that could have been meant by one that is no file."""
    path, shown = yaml_io.locate(resource)
    chain = chain or {}
    if variants and not path.exists() and ":" not in resource:
        raise HarnessError(
            f"cannot read recipe {resource}: there is no such file",
            f"the method's own variants: {', '.join(sorted(variants))}",
        )
    if path.resolve() in chain:
        raise HarnessError(
            f"recipes extend each other in a circle: {' -> '.join((*chain.values(), shown))}", "cut one"
        )
    values, origins = yaml_io.read(path, shown)
    base = values.pop("extends", None)
    if base is not None:
        if not isinstance(base, str):
            raise HarnessError(
                f"recipe {resource}: 'extends' must name one recipe", "extends: package:path.yaml"
            )
        read_layer(layers, _relative(base, resource), {**chain, path.resolve(): shown})
    layers.lay(values, origins)


def resolve(layers: Layers, registry: Registry, dataset: DatasetSpec | None = None) -> Recipe:
    """Check the layers strictly and fill in every default, those of the components too.

    The data set's own options are checked where it is given.
    """
    _check_mappings(layers)
    layers = layers.by_stage(layers.values.get("stages") or ("finetune",))
    for name, stage in layers.values["stages"].items():
        convert(stage, Stage, ("stages", name), layers)  # here the message can name the stage
    resolved = msgspec.to_builtins(convert(layers.values, Recipe, (), layers))
    for pattern, kind in COMPONENTS.items():
        for path, parent, key in _matching(resolved, pattern):
            parent[key] = resolve_component(parent[key], kind, path, layers, registry)
    if dataset is not None:
        options = convert(resolved["data"]["options"], dataset.options, ("data", "options"), layers)
        resolved["data"]["options"] = _copy(msgspec.to_builtins(options))
    for name, stage in resolved["stages"].items():
        if stage["source"]:
            stage["source"] = _resolve_source(stage["source"], ("stages", name, "source"), layers, registry)
        module = registry.find("temporal modules", resolved["model"]["temporal"]["name"])[0]
        convert(stage["temporal"], module.stage_options, ("stages", name, "temporal"), layers)
    recipe = convert(resolved, Recipe, (), layers)
    _check_sampling(recipe.data, layers)
    return recipe


def with_task(recipe: Recipe, task: str, layers: Layers, registry: Registry) -> Recipe:
    """The recipe with all options of its task, checked."""
    spec, _ = registry.find("tasks", task)
    path = ("evaluation", "task")
    options = _copy(msgspec.to_builtins(convert(recipe.evaluation.task, spec.options, path, layers)))
    evaluation = msgspec.structs.replace(recipe.evaluation, task=options)
    return msgspec.structs.replace(recipe, evaluation=evaluation)


def _check_sampling(data: Data, layers: Layers) -> None:
    """What the values that choose frames ask of each other."""
    name, problem = "", ""
    if data.slice != "even" and data.sampling in ("uniform", "strided"):
        asked = f"'{data.slice}' asks for data.sampling fps or reference_fps"
        name, problem = "slice", f"{asked}, not {data.sampling}"
    elif data.slice != "even" and data.jitter:
        name, problem = "slice", f"'{data.slice}' keeps a part, data.jitter draws from the whole clip"
    elif data.sampling == "reference_fps" and data.fps != int(data.fps):
        name, problem = "fps", f"data.sampling reference_fps takes a whole number, not {data.fps:g}"
    if name:
        raise HarnessError(f"recipe value 'data.{name}': {problem}", _set_in(layers, ("data", name)))


def _resolve_source(
    source: dict[str, Any], path: tuple[str, ...], layers: Layers, registry: Registry
) -> dict[str, Any]:
    """A stage's data set by its own name, with its split and all its options."""
    spec = _named("datasets", source["dataset"], (*path, "dataset"), layers, registry)
    options = convert(source["options"], spec.options, (*path, "options"), layers)
    return {
        **source,
        "dataset": spec.name,
        "split": source["split"] or spec.default_protocol.train,
        "options": _copy(msgspec.to_builtins(options)),
    }


def _check_mappings(layers: Layers) -> None:
    """``train``, ``stages`` and each stage, which are merged before they are checked."""
    stages = layers.values.get("stages")
    sections = [(("train",), layers.values.get("train", {})), (("stages",), stages)]
    if isinstance(stages, dict):
        sections += [(("stages", name), stage) for name, stage in stages.items()]
    for path, value in sections:
        if not isinstance(value, dict) and (value is not None or path == ("train",)):
            raise HarnessError(
                f"recipe value '{'.'.join(path)}' is not a mapping",
                _set_in(layers, path) or "stages: {finetune: {epochs: 5}}",
            )


def component(value: Mapping[str, Any], kind: str, registry: Registry) -> tuple[Any, Any, Any]:
    """The spec, plugin and checked options of a component value such as ``{"name": "tiny"}``."""
    options = dict(value)
    name = options.pop("name")
    spec, plugin = registry.find(kind, name)
    return spec, plugin, convert(options, spec.options, (kind, name), Layers())


def describe_component(value: Mapping[str, Any], kind: str, registry: Registry) -> str:
    """A component with all its options, such as ``adamw(betas=[0.9, 0.98], eps=1e-06)``."""
    spec, _, options = component(value, kind, registry)
    given = [f"{name}={option}" for name, option in sorted(msgspec.to_builtins(options).items())]
    return spec.name + (f"({', '.join(given)})" if given else "")


def convert(values: Any, kind: type, path: tuple[str, ...], layers: Layers) -> Any:
    """``msgspec.convert`` with the value's path and origin in the message."""
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `")
        parts = (*path, *re.findall(r"[^.\[\]$`]+", inner.replace("[...]", ".*")))
        unknown = re.search(r"unknown field `(.+)`", message)
        if unknown:
            at = _at(kind, parts[len(path) :])
            fields = (*getattr(at, "__struct_fields__", ()), *(("train",) if at is Recipe else ()))
            parts = (*parts, unknown.group(1))
            message = f"unknown key{_meant(unknown.group(1), fields)}"
        shown = f"recipe value '{'.'.join(parts)}'" if parts else "recipe"
        raise HarnessError(
            f"{shown}: {message[0].lower()}{message[1:]}",
            _set_in(layers, parts) or "`harness describe METHOD` shows a whole recipe",
        ) from error


def _meant(key: str, known: Sequence[str]) -> str:
    """What an unknown key could have been: the nearest known one, else all of them."""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f", did you mean '{near[0]}'?"
    return f" (known here: {', '.join(known)})" if known else ""


def _set_in(layers: Layers, parts: tuple[str, ...]) -> str:
    origin = layers.origin(parts) if parts else "default"
    return "" if origin == "default" else f"set in {origin}"


def resolve_component(
    value: Any, kind: str, path: tuple[str, ...], layers: Layers, registry: Registry
) -> dict[str, Any]:
    """A component value, which stands at ``path`` in the layers, checked and with every default."""
    shown = ".".join(path)
    options = {**_default_name(path), **value} if isinstance(value, dict) else {}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise HarnessError(f"recipe value '{shown}' names no {singular(kind)}", f"{shown}: {{name: ...}}")
    base, slash, variant = name.partition("/")
    spec = _named(kind, name if not slash else base, (*path, "name"), layers, registry)
    if slash:
        if not getattr(spec, "variant_option", ""):
            raise HarnessError(
                f"{singular(kind)} '{base}' has no variants, '{name}' asks for one", f"use '{base}'"
            )
        options.setdefault(spec.variant_option, variant)
    checked = convert(options, spec.options, path, layers)
    return {"name": spec.name, **_copy(msgspec.to_builtins(checked))}


def _named(kind: str, name: str, path: tuple[str, ...], layers: Layers, registry: Registry) -> Any:
    """The spec of the component that the value at ``path`` names; if there is none, the hint says who named it."""
    try:
        return registry.find(kind, name)[0]
    except HarnessError as error:
        hint = "; ".join(filter(None, (_set_in(layers, path), error.hint)))
        raise HarnessError(error.message, hint) from error


def _default_name(path: tuple[str, ...]) -> dict[str, str]:
    """The name of the schema's own component there: an option of it may be set without naming it."""
    section = {"stages": Stage, "evaluation": Evaluation}.get(path[0])
    defaults = {f.name: f.default_factory for f in msgspec.structs.fields(section)} if section else {}
    return {"name": defaults[path[-1]]()["name"]} if path[-1] in defaults else {}


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
    """Whether ``new`` names another component, whose options have nothing to do with the old's. A plugin's
    name before it says more exactly which one is meant, where a recipe has the plain name."""
    if "name" not in old or "name" not in new or old["name"] == new["name"]:
        return False
    names = [str(old["name"]), str(new["name"])]
    return all(":" in name for name in names) or plain(names[0]) != plain(names[1])


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


def _leaves(value: Any, path: tuple[str, ...], origin: str) -> yaml_io.Origins:
    if not isinstance(value, dict) or not value:
        return {path: origin}
    return {p: o for key, item in value.items() for p, o in _leaves(item, (*path, str(key)), origin).items()}


def _relative(base: str, resource: str) -> str:
    """``extends`` may name a sibling file."""
    if ":" in base or Path(base).is_absolute():
        return base
    folder, slash, _ = resource.rpartition("/")
    if slash:
        return f"{folder}/{base}"
    package, colon, _ = resource.partition(":")
    return f"{package}:{base}" if colon else base

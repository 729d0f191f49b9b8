"""A JSON Schema of recipe files, for editors: completion, and mistakes underlined while one types.

It describes a *layer*: every key may be left out, ``extends`` and ``train`` may stand there, and a
component has the options of its name, as the installed plugins declare them. Not covered: what only a
resolved recipe shows, such as an option that a lower layer's component lacks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.kinds import singular
from harness.plan.recipe import COMPONENTS
from harness.plan.schema import Group, Recipe
from harness.plugins import Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_FIELD = re.compile(r"    (\w+): .*?(?:  # (.*))?$")
_COMMENT = re.compile(r"    # (.*)$")


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """The schema of a recipe file with the components of ``registry``; plain JSON values."""
    parts = _layers_of(Recipe)
    recipe = parts["Recipe"]["properties"]
    recipe["extends"] = {"type": "string", "description": "the recipe below this one, package:path.yaml"}
    recipe["train"] = {"$ref": "#/$defs/Stage", "description": "what all stages share"}
    for path, kind in COMPONENTS.items():
        parent = {"stages": "Stage", "model": "Model", "evaluation": "Evaluation"}[path[0]]
        known = parts[parent]["properties"][path[-1]]
        parts[parent]["properties"][path[-1]] = {
            "$ref": f"#/$defs/{_title(kind)}",
            **{key: known[key] for key in ("description",) if key in known},
        }
    for kind in COMPONENTS.values():
        parts |= _component(kind, registry)
    return {
        "$schema": DIALECT,
        "title": "harness recipe",
        "$ref": "#/$defs/Recipe",
        "$defs": dict(sorted(parts.items())),
    }


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What the comments in a struct's source say of its fields: beside a field, or in the lines above."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(struct).splitlines():
        if comment := _COMMENT.fullmatch(line):
            above.append(comment.group(1))
            continue
        if (field := _FIELD.fullmatch(line)) and field.group(1) in struct.__struct_fields__:
            found[field.group(1)] = " ".join([*above, field.group(2) or ""]).strip()
        above = []
    return found


def _layers_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Schemas of a struct and those inside it, with meanings and nothing required: layers are merged.

    A list is replaced as a whole, so what stands in one is complete.
    """
    _, parts = msgspec.json.schema_components((struct,), ref_template="#/$defs/{name}")
    from harness.plan import schema

    for name, part in parts.items():
        if name != Group.__name__:
            part.pop("required", None)
        for field, meaning in meanings(getattr(schema, name)).items():
            if meaning:
                part["properties"][field]["description"] = meaning
    return parts


def _component(kind: str, registry: Registry) -> dict[str, Any]:
    """Schemas of the components of a kind: the names, and for each name its options."""
    names: list[str] = []
    rules: list[Mapping[str, Any]] = []
    parts: dict[str, Any] = {}
    for spec, _ in registry.specs(kind):
        called = [spec.name, *spec.aliases]
        names += called
        (reference,), found = msgspec.json.schema_components(
            (spec.options,), ref_template=f"#/$defs/{_title(kind)} {spec.name} {{name}}"
        )
        parts |= {f"{_title(kind)} {spec.name} {name}": part for name, part in found.items()}
        own = parts[reference["$ref"].removeprefix("#/$defs/")]
        own.pop("required", None)
        own["properties"]["name"] = {"type": "string"}
        own["description"] = spec.summary
        rules.append({"if": _named(called), "then": reference})
    head = {
        "type": "object",
        "description": f"a {singular(kind)}: its name and its options",
        # A slash asks for a variant, a colon follows a plugin's name.
        "properties": {"name": {"anyOf": [{"enum": names}, {"type": "string", "pattern": "[/:]"}]}},
        "allOf": rules,
    }
    return {_title(kind): head, **parts}


def _named(names: Sequence[str]) -> dict[str, Any]:
    return {"properties": {"name": {"enum": list(names)}}, "required": ["name"]}


def _title(kind: str) -> str:
    return singular(kind).capitalize()

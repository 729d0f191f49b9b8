"""The generated pages follow from the code, and the schema of recipes agrees with the recipes there are."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from harness.kinds import KINDS
from harness.plan import yaml_io
from harness.plan.json_schema import meanings, recipe_schema
from harness.plan.schema import Recipe
from harness.plugins import registry
from tests.docs.pages import DOCS, HOW, SECTIONS, commands_page, recipes_page

PACKAGED = sorted((DOCS.parent / "plugins").glob("*/recipes/**/*.yaml"))


def test_the_help_of_every_command():
    """docs/commands.md is what the commands themselves say."""
    written = (DOCS / "commands.md").read_text("utf-8")
    assert written == commands_page(), f"bring docs/commands.md up to date: {HOW}"


def test_the_keys_of_recipes():
    """docs/recipes.md has every key with its type and default."""
    written = (DOCS / "recipes.md").read_text("utf-8")
    assert written == recipes_page(written), f"bring docs/recipes.md up to date: {HOW}"
    assert "| `freeze_layers` | int >= -1 | `-1` |" in written


def test_every_section_of_a_recipe_has_its_table():
    """The page shows all structs that a recipe is made of."""
    _, parts = msgspec.json.schema_components((Recipe,))
    assert {struct.__name__ for struct in SECTIONS.values()} == set(parts)


@pytest.mark.parametrize("struct", SECTIONS.values(), ids=lambda struct: struct.__name__)
def test_every_key_has_a_meaning(struct):
    """Each key has a comment, which the page and the schema show."""
    said = meanings(struct)
    assert [name for name in struct.__struct_fields__ if not said.get(name)] == []


@pytest.fixture(scope="module")
def checker() -> jsonschema.Draft202012Validator:
    schema = recipe_schema(registry())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: "/".join(path.parts[len(DOCS.parts) :]))
def test_packaged_recipes_fit_the_schema(checker, path: Path):
    """A recipe, or each part of an ablation, is accepted; a pre-training recipe names its data set too."""
    values, _ = yaml_io.read(path, path.name)
    ablations = {file for spec, _ in registry().specs("methods") for file in spec.ablations.values()}
    parted = {yaml_io.locate(file)[0].resolve() for file in ablations}
    layers = list(values.values()) if path.resolve() in parted else [values]
    for layer in layers:
        layer.pop("dataset", None)
        checker.validate(layer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": {"epoch": 3}},
        {"train": {"epochs": "3"}},
        {"train": {"epochs": 0}},
        {"data": {"sampling": "sometimes"}},
        {"model": {"temporal": {"name": "mean_pol"}}},
        {"model": {"temporal": {"name": "seq_transformer", "layer": 2}}},
        {"stages": {"one": {"loss": {"name": "triplet", "margin": -1.0}}}},
        {"train": {"groups": [{"lr": 1.0}]}},
        {"modle": {}},
    ],
    ids=str,
)
def test_the_schema_refuses(checker, wrong):
    """A misspelt key, component or option, a wrong type, and a value out of range."""
    assert not checker.is_valid(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"model": {"backbone": {"name": "open_clip/ViT-H-14"}}},
        {"model": {"temporal": {"layers": 2}}},
        {"train": {"loss": {"name": "standard:info_nce"}}},
        {"model": {"temporal": {"name": "meanP", "linear_patch": "3d"}}},
    ],
    ids=str,
)
def test_the_schema_accepts(checker, right):
    """A layer may leave anything out, and name a variant, a plugin, or an alias."""
    checker.validate(right)


def test_the_command_prints_it(cli):
    """``harness schema`` prints the schema, with the options of every component of a recipe."""
    schema = json.loads(cli("schema").stdout)
    assert schema["$defs"]["Stage"]["properties"]["epochs"]["description"]
    for kind in ("losses", "backbones", "temporal modules"):
        assert kind in KINDS
        for spec, _ in registry().specs(kind):
            found = [part for name, part in schema["$defs"].items() if f" {spec.name} " in name]
            assert any(set(spec.options.__struct_fields__) <= set(part["properties"]) for part in found)

"""The recipes that come with a method, laid in their order: what stands before anyone asks for anything."""

from __future__ import annotations

from collections.abc import Iterable

from harness.names import plain
from harness.plan import recipe as recipes
from harness.plan.recipe import Layers
from harness.results.digest import digest
from harness.specs import DatasetSpec, MethodSpec


def lay_recipes(method: MethodSpec, dataset: DatasetSpec | None, task: str = "") -> Layers:
    """The packaged recipes of a method, and those that belong to a data set and to a task, from weak to
    strong."""
    layers = Layers()
    recipes.read_layer(layers, method.recipe)
    if dataset and dataset.recipe:
        recipes.read_layer(layers, dataset.recipe)
    if dataset and plain(dataset.name) in method.recipes:
        recipes.read_layer(layers, method.recipes[plain(dataset.name)])
    task = plain(task)
    own = method.tasks.get(f"{plain(dataset.name)}/{task}" if dataset else "", method.tasks.get(task))
    if own:
        recipes.read_layer(layers, own)
    return layers


def own_recipe_digest(method: MethodSpec, dataset: DatasetSpec, task: str) -> str:
    """What tells whether a method's own recipe for a data set and task is still the same: SHA-256 of the
    packaged layers, whatever a run may change. It needs no data, unlike the digest of a plan."""
    values = lay_recipes(method, dataset, task).values
    decisive = {name: value for name, value in values.items() if name not in ("note", "variant")}
    return digest({**decisive, "order": list(values.get("stages", ()))})  # keys are sorted for hashing


def lay_variants(layers: Layers, given: Iterable[str], method: MethodSpec, dataset: str) -> None:
    """Recipes in their order: files, or variants of the method by name, those of the data set first."""
    for name in given:
        known = method.variants.get(f"{plain(dataset)}/{name}", method.variants.get(name, name))
        recipes.read_layer(layers, known, variants=method.variants)

"""Opens a data set, for a run's plan or for a command that names one. No torch, nothing decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.data import Dataset
from harness.errors import HarnessError
from harness.plan import recipe as recipes
from harness.plan.plan import data_root_of
from harness.plan.recipe import Layers
from harness.plugins import Registry, load_factory
from harness.specs import DatasetSpec

#: Where the options of a data set stand in a recipe.
_OPTIONS = "data.options."


@dataclass(frozen=True)
class Opened:
    """A data set with its declaration and the folder it lies in."""

    spec: DatasetSpec
    dataset: Dataset
    root: Path


def open_named(
    name: str,
    components: Registry,
    *,
    data_root: str | None = None,
    annotations: str = "",
    settings: Sequence[str] = (),
) -> Opened:
    """The data set as a run would open it; ``settings`` are written as for ``harness run --set``.

    Raises HarnessError for a setting that is no option of the data set, and where its folder or
    its annotation files are not found.
    """
    spec, _ = components.find("datasets", name)
    layers = Layers()
    if spec.recipe:
        recipes.read_layer(layers, spec.recipe)
    if annotations:
        path = ("data", "options", "annotations")
        layers.lay({"data": {"options": {"annotations": annotations}}}, {path: "--annotations"})
    for setting in settings:
        if not setting.strip().startswith(_OPTIONS):
            raise HarnessError(
                f"--set {setting!r} is no option of the data set", f"--set {_OPTIONS}NAME=VALUE"
            )
        layers.set(setting)
    values = layers.values.get("data", {}).get("options", {})
    options = msgspec.to_builtins(recipes.convert(values, spec.options, ("data", "options"), layers))
    root = data_root_of(spec, data_root)
    return Opened(spec, dataset_at(root, spec.name, options, components), root)


def dataset_at(root: Path, name: str, values: Mapping[str, Any], components: Registry) -> Dataset:
    """A data set under a folder; ``values`` are its options as a recipe holds them."""
    spec, plugin = components.find("datasets", name)
    options = msgspec.convert(values, spec.options, strict=True)
    dataset = load_factory(spec.factory, plugin)(options, root)
    if not isinstance(dataset, Dataset):
        raise HarnessError(
            f"the factory {spec.factory} of plugin {plugin.label} returned a {type(dataset).__name__}",
            "it has to return a harness.data.Dataset",
        )
    return dataset

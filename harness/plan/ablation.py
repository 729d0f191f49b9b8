"""An ablation: runs of one method that differ in a part of the recipe, as a file of named parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import HarnessError
from harness.names import plain
from harness.plan import yaml_io
from harness.plan.recipe import Layers
from harness.specs import MethodSpec


def cells_of(method: MethodSpec, name: str, dataset: str) -> Sequence[str]:
    """The names of an ablation's runs on a data set, in the order of its file."""
    return list(_read(method, name, dataset)[0])


def lay_cell(layers: Layers, method: MethodSpec, name: str, cell: str, dataset: str) -> None:
    """Lay over a recipe what a run of an ablation changes; its row is called after it."""
    values, origins = _read(method, name, dataset)
    layers.lay(values[cell], {path[1:]: origin for path, origin in origins.items() if path[0] == cell})
    layers.lay({"variant": cell}, {("variant",): f"the ablation {name}"})


def _read(method: MethodSpec, name: str, dataset: str) -> tuple[dict[str, Any], yaml_io.Origins]:
    if name not in method.ablations:
        known = ", ".join(name for name in method.ablations if "/" not in name) or "none"
        raise HarnessError(f"method '{method.name}' has no ablation '{name}'", f"known: {known}")
    return yaml_io.read(
        *yaml_io.locate(method.ablations.get(f"{plain(dataset)}/{name}", method.ablations[name]))
    )

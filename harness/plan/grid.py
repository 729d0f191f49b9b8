"""The cells of a grid: methods x data sets x axes of recipe values x seeds. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import msgspec

from harness.errors import HarnessError
from harness.kinds import singular
from harness.plan import yaml_io
from harness.plan.plan import Request, build_plan
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry

#: Brackets within which a comma separates no values.
_OPEN, _CLOSE = "[{(", "]})"


@dataclass(frozen=True)
class Axis:
    """A recipe value, and what it is to be, as written."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One run of a grid. ``row`` names what it shares with the other seeds, ``values`` are those of the
    axes by their paths."""

    row: str
    plan: RunPlan
    values: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.row} s{self.plan.seed}"


def axis_of(text: str) -> Axis:
    """``a.b=1,2`` as an axis; a comma in brackets belongs to its value."""
    path, equals, values = text.partition("=")
    found = tuple(_split(values))
    if not equals or not path.strip() or not all(found):
        raise HarnessError(
            f"--grid {text!r} is not of the form a.b=VALUE,VALUE", "for example --grid train.lr=1e-6,1e-5"
        )
    return Axis(path.strip(), found)


def names_of(text: str, kind: str, registry: Registry) -> tuple[str, ...]:
    """The components of a list separated by commas, by their own names."""
    given = [name.strip() for name in text.split(",")]
    if not all(given):
        raise HarnessError(f"{text!r} lacks the name of a {singular(kind)}", "one name, or A,B,C")
    return tuple(dict.fromkeys(registry.find(kind, name)[0].name for name in given))


def cells_of(
    request: Request,
    methods: Sequence[str],
    datasets: Sequence[str],
    axes: Sequence[Axis],
    seeds: int,
    registry: Registry,
) -> list[Cell]:
    """All cells, with seeds from the request's on, fastest; the first that cannot be planned is an error.

    The values of the axes are added to the recipe's variant, which names the row; not where they are
    what the recipe has without them.
    """
    _check_request(request, datasets, axes)
    cells: dict[tuple[str, int], Cell] = {}
    for method, dataset in product(methods, datasets):
        beside = tuple(name for name in datasets if name != dataset)
        own = replace(request, method=method, dataset=dataset, beside=beside)
        plain = _digest_of(own, registry) if axes else ""
        for values in product(*(axis.values for axis in axes)):
            changes = [(axis.path, value) for axis, value in zip(axes, values, strict=True)]
            shown = {path: _shown(value) for path, value in changes}
            label = ", ".join(f"{path}={value}" for path, value in shown.items())
            row = " ".join(filter(None, (method, dataset, label)))
            settings = (*own.settings, *(f"{path}={value}" for path, value in changes))
            plan = _planned(row, replace(own, settings=settings), registry)
            if plan.digest != plain:
                plan = _named(plan, label)
            for seed in range(request.seed, request.seed + seeds):
                cell = Cell(row, msgspec.structs.replace(plan, seed=seed), shown)
                other = cells.setdefault((plan.digest + method, seed), cell)
                if other is not cell:
                    raise HarnessError(f"'{other.name}' and '{cell.name}' are the same run", "leave one out")
    return list(cells.values())


def _check_request(request: Request, datasets: Sequence[str], axes: Sequence[Axis]) -> None:
    paths = [axis.path for axis in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise HarnessError(f"--grid {path} is given twice", "give all its values at once: a.b=1,2,3")
    bare = [root for root in request.data_roots if "=" not in root]
    if bare and len(datasets) > 1:
        raise HarnessError(
            f"--data-root {bare[0]}: of {len(datasets)} data sets, whose folder is it?",
            f"write {datasets[0]}={bare[0]}",
        )


def _planned(row: str, request: Request, registry: Registry) -> RunPlan:
    try:
        return build_plan(request, registry)[0]
    except HarnessError as error:
        raise HarnessError(f"cell '{row}': {error.message}", error.hint) from error


def _digest_of(request: Request, registry: Registry) -> str:
    """The digest without any axis; empty where only the axes make it a run."""
    try:
        return build_plan(request, registry)[0].digest
    except HarnessError:
        return ""


def _named(plan: RunPlan, label: str) -> RunPlan:
    variant = ", ".join(filter(None, (plan.recipe.variant, label)))
    return msgspec.structs.replace(plan, recipe=msgspec.structs.replace(plan.recipe, variant=variant))


def _shown(value: str) -> str:
    """A value as it is understood: ``1e-5`` and ``0.00001`` look the same."""
    parsed = yaml_io.parse_scalar(value)
    return f"{parsed:g}" if isinstance(parsed, float) else value.strip()


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]

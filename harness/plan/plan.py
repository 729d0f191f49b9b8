"""From a request to its plan: what the command line asks for, laid over the recipes and resolved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from harness import __version__, places
from harness.data.auxiliary import LMDB_FILE
from harness.errors import HarnessError
from harness.names import in_path, plain
from harness.plan import recipe as recipes
from harness.plan.ablation import lay_cell
from harness.plan.budget import parse_budget
from harness.plan.packaged import lay_recipes, lay_variants
from harness.plan.protocols import protocol_of
from harness.plan.recipe import Layers
from harness.plan.run_plan import RunPlan, StageData
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.results.digest import digest, sha256_file
from harness.specs import BackboneSpec, DatasetSpec, MethodSpec


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    method: str
    dataset: str
    task: str = "retrieval"
    seed: int = 0
    data_roots: tuple[str, ...] = ()  # DIR, or NAME=DIR of a data set that a stage trains on
    annotations: str = ""
    backbone: str = ""
    weights: str = ""
    init_from: str = ""
    protocol: str = ""
    postprocess: str = ""
    allow_missing: str | None = None
    recipes: tuple[str, ...] = ()  # files, or names of the method's variants
    ablation: tuple[str, str] | None = None  # and which of its runs
    zero_shot: bool = False
    train_fraction: float | None = None
    budget: str = ""  # ``frames=2M`` or ``time=30m``
    settings: tuple[str, ...] = field(default_factory=tuple)
    use_cache: bool = True
    #: Data sets that other runs of the same command read, whose roots this one leaves alone.
    beside: tuple[str, ...] = ()


def build_plan(request: Request, registry: Registry) -> tuple[RunPlan, Layers]:
    """Resolve a request, and refuse what cannot work, before anything heavy is imported."""
    method, _ = registry.find("methods", request.method)
    dataset, _ = registry.find("datasets", request.dataset)
    request = replace(request, task=_task_of(method, request.task, registry))
    layers = lay_recipes(method, dataset, request.task)
    lay_request(layers, request, method, dataset.name)
    recipe = recipes.resolve(layers, registry, dataset)
    if request.zero_shot:
        elsewhere = {
            name: stage
            for name, stage in recipe.stages.items()
            if stage.source and stage.source.dataset != dataset.name
        }
        recipe = msgspec.structs.replace(recipe, stages=elsewhere)
    recipe = recipes.with_task(recipe, request.task, layers, registry)
    return _plan(method.name, dataset, recipe, request, registry), layers


def lay_request(layers: Layers, request: Request, method: MethodSpec, dataset: str) -> None:
    """What the command line changes: recipes in their order, options, then settings."""
    if request.ablation:
        lay_cell(layers, method, *request.ablation, dataset)
    lay_variants(layers, request.recipes, method, dataset)
    for option, path, value in (
        ("--backbone", ("model", "backbone", "name"), request.backbone),
        (
            "--weights",
            ("model", "backbone", "weights"),
            request.weights and str(Path(request.weights).resolve()),
        ),
        (
            "--annotations",
            ("data", "options", "annotations"),
            request.annotations and str(Path(request.annotations).expanduser().resolve()),
        ),
        ("--protocol", ("data", "protocol"), request.protocol),
        ("--post", ("evaluation", "postprocess", "name"), request.postprocess),
        ("--allow-missing", ("evaluation", "missing"), request.allow_missing),
        ("--train-fraction", ("data", "train_fraction"), request.train_fraction),
        ("--budget", ("budget",), request.budget and parse_budget(request.budget)),
    ):
        if value:
            tree: Any = value
            for part in reversed(path):
                tree = {part: tree}
            layers.lay(tree, {path: option})
    for assignment in request.settings:
        layers.set(assignment)


def _task_of(method: MethodSpec, task: str, registry: Registry) -> str:
    """The task's own name; a method that cannot do it is an error."""
    spec, _ = registry.find("tasks", task)
    lacking = [need for need in spec.needs if need not in method.offers]
    if lacking:
        able = [m.name for m, _ in registry.specs("methods") if set(spec.needs) <= set(m.offers)]
        raise HarnessError(
            f"method '{method.name}' cannot do the task '{spec.name}': it does not offer {', '.join(lacking)}",
            f"methods that can: {', '.join(able) or 'none installed'}",
        )
    return spec.name


def _plan(method: str, dataset: DatasetSpec, recipe: Recipe, request: Request, registry: Registry) -> RunPlan:
    backbone, _ = registry.find("backbones", recipe.model.backbone["name"])
    weights = recipe.model.backbone.get("weights", "")
    if weights and not Path(weights).is_file():
        raise HarnessError(f"the weights file {weights} does not exist", "check --weights")
    start = str(Path(request.init_from).expanduser().resolve()) if request.init_from else ""
    if start and weights:
        raise HarnessError(
            f"the backbone's weights are to come from {weights}, and --init-from fills the whole model",
            "leave --init-from or --weights (model.backbone.weights) out",
        )
    if start and not Path(start).is_file():
        raise HarnessError(f"--init-from: there is no file {start}", "give the file of a model, not a folder")
    pretraining = None
    if backbone.pretraining and not weights and not start:
        pretraining = pretraining_plan(backbone, registry, request.use_cache)
    protocol = protocol_of(dataset, recipe, request.task, registry)
    if recipe.evaluation.selection == "val" and not protocol.val:
        raise HarnessError(
            f"evaluation.selection is val, and the protocol {dataset.name}/{protocol.name} has no validation split",
            "name a split with --set data.val_split=..., or select the last epoch",
        )
    # What was chosen by default stands in the plan like what was asked for, and hashes the same.
    named = msgspec.structs.replace(
        recipe.data, protocol=protocol.name, train_split=protocol.train, val_split=protocol.val
    )
    recipe = msgspec.structs.replace(recipe, data=named)
    auxiliary = {name: str(Path(file).expanduser().resolve()) for name, file in recipe.data.auxiliary.items()}
    recipe = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, auxiliary=auxiliary))
    for name, file in auxiliary.items():
        if not Path(file).exists():
            raise HarnessError(f"data.auxiliary.{name}: there is no {file}", "make it with `harness caption`")
    roots = _roots_by_name(request, dataset, recipe, registry)
    return RunPlan(
        method=method,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        task=request.task,
        protocol=protocol,
        seed=request.seed,
        recipe=recipe,
        versions=versions_of(method, recipe, dataset.name, request.task, registry),
        data_root=str(data_root_of(dataset, roots.get(dataset.name))),
        use_cache=request.use_cache,
        pretraining=pretraining,
        weights_sha256=sha256_file(weights) if weights else "",
        init_from=start,
        init_sha256=sha256_file(start) if start else "",
        auxiliary_sha256={name: _sha256_of(file) for name, file in recipe.data.auxiliary.items()},
        module_sha256=_module_files(recipe, registry),
        sources=_sources(recipe, roots, registry),
    )


def _module_files(recipe: Recipe, registry: Registry) -> dict[str, str]:
    """The content of the local files and folders that the temporal module's options name."""
    spec, _ = registry.find("temporal modules", recipe.model.temporal["name"])
    named = {name: Path(recipe.model.temporal.get(name) or "").expanduser() for name in spec.files}
    return {name: _sha256_of(str(path)) for name, path in named.items() if path.name and path.exists()}


def _sha256_of(place: str) -> str:
    """Of a file, or of the files of a folder by name; of a database its data alone, as whoever reads it may
    write into its lock."""
    path = Path(place)
    if path.is_file():
        return sha256_file(path)
    whole = (path / LMDB_FILE,) if (path / LMDB_FILE).is_file() else sorted(path.rglob("*"))
    return digest({str(p.relative_to(path)): sha256_file(p) for p in whole if p.is_file()})


def _sources(recipe: Recipe, roots: dict[str, str], registry: Registry) -> dict[str, StageData]:
    """The other data sets of a recipe's stages, each with the folder that it lies in."""
    found = {}
    for stage, source in ((n, s.source) for n, s in recipe.stages.items() if s.source):
        spec, _ = registry.find("datasets", source.dataset)
        found[stage] = StageData(
            dataset=spec.name,
            split=source.split,
            options=source.options,
            fingerprint=spec.fingerprint,
            data_root=str(data_root_of(spec, roots.get(spec.name))),
            fraction=source.fraction,
        )
    return found


def _roots_by_name(
    request: Request, dataset: DatasetSpec, recipe: Recipe, registry: Registry
) -> dict[str, str]:
    """Data roots by data set. ``NAME=DIR`` is of a data set of that name, a bare ``DIR`` the run's own."""
    wanted = {dataset.name, *(s.source.dataset for s in recipe.stages.values() if s.source)}
    roots: dict[str, str] = {}
    for root in request.data_roots:
        name, equals, folder = root.partition("=")
        if not equals or not registry.called("datasets", name):
            roots[dataset.name] = root
            continue
        spec, _ = registry.find("datasets", name)
        if spec.name not in wanted | set(request.beside):
            raise HarnessError(
                f"--data-root {root}: this run does not read '{spec.name}'",
                f"it reads {', '.join(sorted(wanted))}; a folder of that name is ./{root}",
            )
        roots[spec.name] = folder
    return roots


def pretraining_plan(backbone: BackboneSpec, registry: Registry, use_cache: bool = True) -> RunPlan:
    """The plan that makes a backbone's weights: a recipe that also names its data set.

    Its seed is fixed and so is its task, so that every run starts from the same weights.
    """
    layers = Layers()
    recipes.read_layer(layers, backbone.pretraining)
    own, layers = layers, Layers()
    dataset, _ = registry.find("datasets", own.values.pop("dataset", ""))
    if dataset.recipe:
        recipes.read_layer(layers, dataset.recipe)
    layers.lay(own.values, own.origins)
    inner = Request(method=backbone.name, dataset=dataset.name, use_cache=use_cache)
    return _plan(backbone.name, dataset, recipes.resolve(layers, registry, dataset), inner, registry)


def data_root_of(dataset: DatasetSpec, given: str | None) -> Path:
    """Where a data set lies; a generated one in the cache folder unless a place is given."""
    if dataset.generated:
        base = Path(given) if given else places.cache_root() / "data"
        return base / in_path(dataset.name)
    return places.data_root(plain(dataset.name), given)


def versions_of(method: str, recipe: Recipe, dataset: str, task: str, registry: Registry) -> dict[str, str]:
    names = [
        # A pre-training plan is called after its backbone and belongs to no method.
        *([("methods", method)] if registry.called("methods", method) else []),
        ("datasets", dataset),
        ("tasks", task),
        ("backbones", recipe.model.backbone["name"]),
        ("temporal modules", recipe.model.temporal["name"]),
        ("postprocessors", recipe.evaluation.postprocess["name"]),
        *(("losses", stage.loss["name"]) for stage in recipe.stages.values()),
        *(("optimizers", stage.optimizer["name"]) for stage in recipe.stages.values()),
        *(("schedules", stage.schedule["name"]) for stage in recipe.stages.values()),
        *(("datasets", stage.source.dataset) for stage in recipe.stages.values() if stage.source),
    ]
    used = {plugin.label: plugin for plugin in (registry.find(kind, name)[1] for kind, name in names)}
    versions = {p.key: p.version for p in used.values()}
    return {"harness": __version__, **dict(sorted(versions.items()))}

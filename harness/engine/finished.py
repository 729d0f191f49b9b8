"""A finished model: where its weights lie, and the recipe that they were trained by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.engine import checkpoint
from harness.errors import HarnessError
from harness.plan.packaged import lay_recipes
from harness.plan.plan import Request, lay_request
from harness.plan.recipe import Layers, resolve
from harness.plan.run_plan import RunPlan, load_plan
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.results.run_files import PLAN


@dataclass(frozen=True)
class Finished:
    """``file`` holds the weights of a model of ``method``; ``trained_on`` is the plan of the run
    that made them, None where only a file was given."""

    file: Path
    method: str
    trained_on: RunPlan | None

    def recipe(self, request: Request, registry: Registry) -> Recipe:
        """What the model was trained by, with the request's recipe file, options and settings on it.

        For a file that is its method's own recipe, with no data set's laid over it.
        """
        if self.trained_on is None:
            layers = lay_recipes(registry.find("methods", self.method)[0], None)
        else:
            refuse_backbone(request)
            layers = Layers()
            layers.lay(msgspec.to_builtins(self.trained_on.recipe), {})
        dataset = self.trained_on.dataset if self.trained_on else ""
        lay_request(layers, request, registry.find("methods", self.method)[0], dataset)
        return resolve(layers, registry)


def find_finished(given: Path, method: str, registry: Registry) -> Finished:
    """``given`` is a run folder, which knows its plan, or a checkpoint file of ``method``."""
    if not given.exists():
        raise HarnessError(
            f"there is no run or checkpoint at {given}", "give a run folder or a checkpoint file"
        )
    trained_on = load_plan(given / PLAN) if given.is_dir() else None
    if trained_on is None and not method:
        raise HarnessError(f"{given} is a file and does not say its method", "add --method NAME")
    if trained_on and method and registry.find("methods", method)[0].name != trained_on.method:
        raise HarnessError(
            f"{given} is a run of '{trained_on.method}', not of '{method}'", "leave --method out"
        )
    model = given / checkpoint.MODEL if given.is_dir() else given
    if not model.is_file():
        raise HarnessError(
            f"{given} has no finished model ({checkpoint.MODEL})", "finish it with `harness run --resume`"
        )
    return Finished(model, trained_on.method if trained_on else method, trained_on)


def refuse_backbone(request: Request) -> None:
    """A run's own weights fit its own backbone only."""
    if request.backbone or request.weights:
        raise HarnessError("a run brings its own backbone", "leave --backbone and --weights out")

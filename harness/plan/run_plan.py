"""RunPlan: everything a run is made of, as plain JSON.

The plan is printed by ``--dry-run``, saved in the run folder, sent to every worker and hashed. Two
runs with the same digest and seed are the same run, wherever their files lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from harness.errors import HarnessError
from harness.names import in_path
from harness.plan.schema import Recipe
from harness.results.digest import digest


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen protocol, with the training and validation splits actually used."""

    name: str
    train: str
    test: str
    val: str = ""
    query_unit: str
    n_queries: int
    n_gallery: int
    texts_hash: str


class StageData(msgspec.Struct, frozen=True, kw_only=True):
    """The data set of a stage that does not train on the run's own; fields as in :class:`RunPlan`."""

    dataset: str
    split: str
    options: dict[str, Any]
    fingerprint: str
    data_root: str
    fraction: float = 1.0
    train_texts: str = ""

    @property
    def shown(self) -> str:
        """As a row names it: ``<data set>/train (0.1 of its clips)``."""
        return f"{self.dataset}/{part_of(self.split, self.fraction)}"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result: not where files lie."""
        values = msgspec.to_builtins(self)
        del values["data_root"]
        values["options"].pop("annotations", None)
        return values


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved run.

    ``fingerprint`` names the content of a generated data set; ``versions`` maps each plugin that
    takes part to its version. ``train_texts`` is the hash of the training clips and texts, known once
    the data set has been opened. ``sources`` holds, by stage, the other data sets that are trained on.
    ``init_from`` is the file that the whole model starts from. ``auxiliary_sha256`` is the content of
    the files of further texts, by name, ``module_sha256`` that of the temporal module's, by option.
    """

    method: str
    dataset: str
    fingerprint: str
    task: str
    protocol: Protocol
    seed: int
    recipe: Recipe
    versions: dict[str, str]
    data_root: str
    use_cache: bool = True
    pretraining: RunPlan | None = None
    weights_sha256: str = ""
    init_from: str = ""
    init_sha256: str = ""
    train_texts: str = ""
    auxiliary_sha256: dict[str, str] = {}
    module_sha256: dict[str, str] = {}
    sources: dict[str, StageData] = {}

    @property
    def own_stages(self) -> tuple[str, ...]:
        """The stages that train on the run's own data set; none in a zero-shot run."""
        return tuple(name for name in self.recipe.stages if name not in self.sources)

    def fraction(self, stage: str) -> float:
        """The share of its clips that a stage trains on."""
        source = self.sources.get(stage)
        return source.fraction if source else self.recipe.data.train_fraction

    @property
    def digest(self) -> str:
        """SHA-256 over what decides the result: not the seed, not where files lie."""
        values = msgspec.to_builtins(self)
        for place in ("seed", "data_root", "use_cache", "versions", "init_from"):
            del values[place]
        del values["recipe"]["note"], values["recipe"]["variant"]
        if "weights" in values["recipe"]["model"]["backbone"]:
            values["recipe"]["model"]["backbone"]["weights"] = self.weights_sha256
        values["recipe"]["model"]["temporal"].update(values.pop("module_sha256"))
        if self.recipe.budget is None:
            del values["recipe"]["budget"]
        if not values["recipe"]["evaluation"]["task"]:  # a task without options
            del values["recipe"]["evaluation"]["task"]
        del values["recipe"]["data"]["auxiliary"]  # places, too
        values["recipe"]["data"]["options"].pop("annotations", None)  # a place; the texts are in the record
        values["pretraining"] = self.pretraining.digest if self.pretraining else ""
        values["sources"] = {stage: source.identity for stage, source in self.sources.items()}
        for stage in self.sources:  # said by the above, without a place in it
            del values["recipe"]["stages"][stage]["source"]
        if len(self.recipe.stages) > 1:  # keys are sorted before they are hashed
            values["order"] = list(self.recipe.stages)
        for stage in values["recipe"]["stages"].values():
            if not stage["temporal"]:  # decides nothing
                del stage["temporal"]
        return digest(values)

    @property
    def name(self) -> str:
        """The run folder's name."""
        return in_path(f"{self.method}-{self.dataset}-{self.digest[:12]}-s{self.seed}")

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def part_of(split: str, fraction: float) -> str:
    """A training split as a row names it, with the share of its clips where that is not all of them."""
    return split if fraction == 1 else f"{split} ({fraction:.4g} of its clips)"


def load_plan(path: Path) -> RunPlan:
    """A saved plan; one written by another version of the format is an error."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunPlan, strict=True)
    except OSError as error:
        raise HarnessError(
            f"no plan at {path}: {error.strerror}", "give a run folder made by `harness run`"
        ) from error
    except msgspec.DecodeError as error:
        raise HarnessError(
            f"{path} is not a plan of this version: {error}", "run the method again"
        ) from error

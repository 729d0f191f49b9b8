"""``wandb``: a run of Weights & Biases for a run here, with the plan as its config.

Project, entity and mode are W&B's own environment variables (``WANDB_PROJECT``, ``WANDB_MODE=offline``, ...);
its files go to RUN/wandb. RUN/wandb_id keeps the run's id there, so that a resumed run goes on with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.results.atomic import write_atomically
from harness_observers.observer import Observer

ID = "wandb_id"
LOGGED = ("loss", "grad_norm", "lr", "stage", "epoch", "seconds")


class WeightsAndBiases(Observer):
    name = package = "wandb"

    def __init__(self) -> None:
        self.run: Any = None

    def run_started(self, payload: dict) -> None:
        self._finish()
        self.run = _run(payload)

    def step(self, payload: dict) -> None:
        # Steps that an earlier start has sent are known there; W&B drops what is not newer, and says so.
        self.run.log({name: payload[name] for name in LOGGED}, step=payload["steps"])

    def evaluated(self, payload: dict) -> None:
        self.run = self.run or _run(payload)  # a finished model, scored only
        for group, figures in payload["metrics"].items():
            if isinstance(figures, dict):
                self.run.summary.update({f"{group}/{name}": value for name, value in figures.items()})
        self._finish()

    def _finish(self) -> None:
        """Before the worker ends: under Ray it is killed, and what is not sent is lost."""
        if self.run:
            self.run.finish()
        self.run = None


def _run(payload: dict) -> Any:
    import wandb

    folder = Path(payload["folder"])
    known = folder / ID
    if not known.exists():
        write_atomically(known, wandb.util.generate_id())
    return wandb.init(
        id=known.read_text(),
        resume="allow",
        name=folder.name,
        dir=str(folder),
        config=payload["plan"],
        settings=wandb.Settings(console="off"),  # standard output is for results, and left alone
    )


observer = WeightsAndBiases()

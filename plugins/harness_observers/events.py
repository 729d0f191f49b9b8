"""``tensorboard``: RUN/tensorboard/train has the scalars of every step, RUN/tensorboard/test the final figures.

``tensorboard --logdir runs`` shows all runs side by side.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness_observers.observer import Observer

SCALARS = ("loss", "grad_norm", "lr")


class TensorBoard(Observer):
    name = package = "tensorboard"

    def __init__(self) -> None:
        self.writer: Any = None
        self.steps = 0

    def run_started(self, payload: dict) -> None:
        self._close()
        self.steps = payload["steps"]
        # What an earlier start wrote of later steps is void: TensorBoard drops it when it reads this.
        self.writer = _writer(Path(payload["folder"]) / "tensorboard" / "train", self.steps + 1)

    def step(self, payload: dict) -> None:
        self.steps = payload["steps"]
        for name in SCALARS:
            self.writer.add_scalar(name, payload[name], self.steps)
        self.writer.flush()  # a run that is killed has every step in its files

    def evaluated(self, payload: dict) -> None:
        steps = self.steps if self.writer else 0  # a finished model, scored only
        self._close()
        folder = Path(payload["folder"]) / "tensorboard" / "test"
        shutil.rmtree(folder, ignore_errors=True)  # a finished run that is resumed is scored again
        with _writer(folder) as writer:
            for group, figures in payload["metrics"].items():
                if isinstance(figures, dict):
                    for name, value in figures.items():
                        writer.add_scalar(f"{group}/{name}", value, steps)

    def _close(self) -> None:
        if self.writer:
            self.writer.close()
        self.writer, self.steps = None, 0


def _writer(folder: Path, purge_step: int | None = None) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)


observer = TensorBoard()

"""One cell of a grid, in a process of its own: a run whose output goes to a file."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness import hookimpl
from harness.engine import run as engine
from harness.engine.execute import CONSOLE
from harness.engine.probe import probe_run
from harness.engine.run_folder import is_busy, record_in
from harness.errors import HarnessError
from harness.plan.run_plan import RunPlan
from harness.plugins import registry
from harness.results.run_files import PLAN

#: What a run by Ray workers says beside its first worker, whose words are in ``console.log``.
DRIVER = "driver.log"

#: Seconds for which a cell waits until an earlier process, whose node was lost or killed, has let go.
PATIENCE_S = 60.0


class CellJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is sent; all places are absolute."""

    plan: RunPlan
    runs: str
    leaderboards: str
    workers: int
    micro_batch: int
    checkpoint_every: int
    probes: bool = False
    environment: dict[str, str] = {}

    @property
    def folder(self) -> Path:
        return Path(self.runs) / self.plan.name

    @property
    def console(self) -> str:
        """The name of the file, in the folder, of what the process says."""
        return DRIVER if self.workers else CONSOLE


def run_cell(sent: str) -> str:
    """Make the run of a :class:`CellJob` in JSON, or go on with it; returns what went wrong, if anything."""
    job = msgspec.json.decode(sent, type=CellJob)
    os.environ.update(job.environment)
    with _said_to_file(job) as file:
        try:
            _wait_for(job.folder)
            where = engine.Places(Path(job.runs), Path(job.leaderboards))
            # A process that was killed behind its record makes the run again: the leaderboards may lack it.
            if job.probes and record_in(job.folder, job.plan):
                probe_run(job.folder, {}, registry(), where, job.workers)
            else:
                engine.run(
                    job.plan,
                    registry(),
                    where,
                    workers=job.workers,
                    resume=(job.folder / PLAN).exists(),
                    checkpoint_every=job.checkpoint_every,
                    micro_batch=job.micro_batch,
                    probes=job.probes,
                )
        except HarnessError as error:
            print(f"error: {error}", file=file)
            if not (job.folder / PLAN).exists():  # of a run that was refused nothing is left
                _beside(job).unlink(missing_ok=True)
            return str(error)
        except Exception as error:  # a defect: the other cells go on, and the file has the traceback
            traceback.print_exc(file=file)
            return f"{type(error).__name__}: {error} (the traceback is in {file.name})"
    return ""


def _wait_for(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_busy(folder) and time.monotonic() < deadline:
        time.sleep(0.5)


def _beside(job: CellJob) -> Path:
    return job.folder.with_name(f".{job.folder.name}.{job.console}")


@contextlib.contextmanager
def _said_to_file(job: CellJob) -> Iterator:
    """Everything that is said goes to a file in the run folder; beside it until the run has one.

    Where workers train, no event of theirs is heard here: then the file is moved at the end, or by the next
    process where this one is killed.
    """
    final, beside = job.folder / job.console, _beside(job)
    _settle(job)
    path = final if (job.folder / PLAN).exists() else beside
    path.parent.mkdir(parents=True, exist_ok=True)

    class Mover:
        @hookimpl
        def harness_run_event(self, event: str, payload: dict) -> None:
            if event == "run_started":
                _settle(job)  # what is open stays open

    observer = Mover()
    manager = registry().manager
    manager.register(observer)
    try:
        with (
            path.open("a", encoding="utf-8", buffering=1) as file,
            contextlib.redirect_stderr(file),
            contextlib.redirect_stdout(file),
        ):
            yield file
    finally:
        manager.unregister(observer)
        _settle(job)


def _settle(job: CellJob) -> None:
    """Move what was said into the run folder, once there is one."""
    if _beside(job).exists() and (job.folder / PLAN).exists():
        _beside(job).replace(job.folder / job.console)

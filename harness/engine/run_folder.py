"""The folder of a run: one process at a time works in it, and what ends before its first step leaves no trace."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.plan.run_plan import RunPlan
from harness.results.atomic import write_atomically
from harness.results.record import ResultRecord
from harness.results.record_file import load
from harness.results.run_files import LOG, PLAN, RECORD


def record_in(folder: Path, plan: RunPlan) -> ResultRecord | None:
    """The record in a run folder, if it is of this plan."""
    path = folder / RECORD
    record = load(path) if path.exists() else None
    return record if record and record.plan_digest == plan.digest else None


@contextmanager
def run_folder(plan: RunPlan, runs: Path, resume: bool) -> Iterator[Path]:
    """The run's folder with its plan, emptied unless the run is resumed."""
    folder = runs.resolve() / plan.name
    with locked(folder) if resume else fresh_folder(folder):
        write_atomically(folder / PLAN, plan.to_json().decode() + "\n")
        yield folder


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for the length of the work that fills it.

    Work that ends before its first step (refused, interrupted) leaves everything as it was, an
    earlier run in the same place too.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        with locked(folder), _emptied(folder):
            yield folder
    finally:
        if not folder.exists():
            with suppress(OSError):  # another run may have come into it
                for parent in made:
                    parent.rmdir()


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    aside = folder.with_name(f".{folder.name}.before")
    if aside.exists() and not (folder / LOG).exists():  # a run was killed before its first step
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    folder.mkdir()
    try:
        yield
    except BaseException:
        if not (folder / LOG).exists():
            shutil.rmtree(folder)
            if aside.exists():
                aside.rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def is_busy(folder: Path) -> bool:
    """Whether a process is working in a run folder just now."""
    try:
        with _lock_of(folder).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else works in the folder meanwhile; a lock ends with its process, however that ends."""
    lock = _lock_of(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        opened = lock.open("w")
    except OSError as error:
        raise HarnessError(
            f"the run folder {folder} cannot be made: {error.strerror}",
            "make the folder of runs one that may be written to, or name another one with --runs",
        ) from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HarnessError(
                f"another process is working in {folder}", "wait for it, or give this one other --runs"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)

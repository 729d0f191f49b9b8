"""Processes that take the parts of a run's workers, without Ray.

One crew serves a whole session of tests: starting a process and importing torch costs seconds, joining
its members into process groups of one, two or four costs milliseconds.
"""

from __future__ import annotations

import atexit
import datetime
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from harness.engine.workers import Workers

#: Seconds after which a collective whose peer is lost fails, instead of blocking the tests.
TIMEOUT_S = 120


class WorkerError(Exception):
    """What a member's function raised, as its traceback in text."""

    @property
    def cause(self) -> str:
        """The error itself, without the way to it."""
        return str(self).strip().splitlines()[-1]


class Crew:
    """``size`` processes; :meth:`run` calls a function in the first few of them at once."""

    def __init__(self, size: int, folder: Path) -> None:
        self.folder, self.groups = folder, 0
        # One process imports what all need, and is copied: before it has any thread, so that is safe.
        context = torch.multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["harness.testing.nursery"])
        self.members = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            self.members.append((process, ours))

    def run(self, world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """``function(workers, *arguments)`` in ``world`` processes; their results by rank."""
        self.groups += 1
        meeting = self.folder / f"group-{self.groups}"
        try:
            for rank, (_, pipe) in enumerate(self.members[:world]):
                pipe.send((str(meeting), rank, world, function, arguments))
        except OSError as error:
            self.close()
            raise WorkerError(f"a worker died before it had anything to do: {error}") from None
        answers = []
        for rank, (_, pipe) in enumerate(self.members[:world]):
            try:
                if not pipe.poll(TIMEOUT_S):
                    raise EOFError
                answers.append(pipe.recv())
            except EOFError:
                self.close()
                raise WorkerError(f"worker {rank} of {world} died or does not answer") from None
        problems = [problem for problem, _ in answers if problem]
        if problems:
            # Whoever waits for a member that failed fails too, with less to say.
            raise WorkerError(min(problems, key=lambda text: "gloo" in text.lower()))
        return [result for _, result in answers]

    def close(self) -> None:
        session_crew.cache_clear()
        for process, _ in self.members:
            process.kill()
            process.join()


@cache
def session_crew() -> Crew:
    """Four processes that live as long as this one; new ones where a member was lost."""
    folder = tempfile.TemporaryDirectory(prefix="harness-crew-")
    crew = Crew(4, Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(crew.close)
    return crew


def _serve(pipe: Connection) -> None:
    # The number of threads decides the order of sums, so it is the same for every worker count.
    torch.set_num_threads(1)
    while True:
        try:
            meeting, rank, world, function, arguments = pipe.recv()
        except EOFError:
            return
        if world > 1:
            dist.init_process_group(
                "gloo",
                init_method=f"file://{meeting}",
                rank=rank,
                world_size=world,
                timeout=datetime.timedelta(seconds=TIMEOUT_S),
            )
        try:
            workers = Workers(rank=rank, world=world, device=torch.device("cpu"))
            answer = ("", function(workers, *arguments))
        except Exception:  # sent to the test, which fails with it
            answer = (traceback.format_exc(), None)
        finally:
            if world > 1:
                dist.destroy_process_group()
        pipe.send(answer)

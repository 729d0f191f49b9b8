"""Spawned processes that take the parts of a run's workers, without Ray.

One crew serves a whole test module: starting a process and importing torch costs seconds, joining
its members into process groups of one, two or three costs milliseconds.
"""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from harness.engine.workers import Workers

#: Seconds after which a collective whose peer is lost fails, instead of blocking the tests.
TIMEOUT_S = 120


class Crew:
    """``size`` processes; :meth:`run` calls a function in the first few of them at once."""

    def __init__(self, size: int, folder: Path) -> None:
        self.folder, self.groups = folder, 0
        context = torch.multiprocessing.get_context("spawn")
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
        for rank, (_, pipe) in enumerate(self.members[:world]):
            pipe.send((str(meeting), rank, world, function, arguments))
        answers = []
        for rank, (_, pipe) in enumerate(self.members[:world]):
            assert pipe.poll(TIMEOUT_S), f"worker {rank} of {world} does not answer"
            answers.append(pipe.recv())
        for problem, _ in answers:
            assert not problem, problem
        return [result for _, result in answers]

    def close(self) -> None:
        for process, _ in self.members:
            process.kill()
            process.join()


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

"""Where the cells of a grid run: child processes here, or tasks that Ray places on any node.

A cell by ``--workers N`` is a child process here too, whose workers Ray places (:mod:`.execute`).
Not covered: which cell is next, and what becomes of one whose process died (:mod:`.grid`).
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Protocol

import torch

from harness.engine.execute import RAY_SETTINGS, check_workers, cluster_address, default_workers, reason
from harness.engine.grid_cell import run_cell
from harness.engine.progress import say
from harness.errors import HarnessError


class Ending(NamedTuple):
    """How a cell's process ended: ``problem`` is empty where all went well. One that ``died`` had no time
    to say what was wrong."""

    name: str
    problem: str = ""
    died: bool = False


class Placement(Protocol):
    """Starts cells in processes of their own, and tells when they ended."""

    def room(self) -> int:
        """How many cells there is room for at once, those that run included."""

    def start(self, name: str, sent: str) -> None:
        """Start a cell; ``sent`` is its :class:`~harness.engine.grid_cell.CellJob` in JSON."""

    def wait(self, seconds: float) -> list[Ending]:
        """The cells that ended, after so many seconds at most."""

    def close(self) -> None:
        """End what still runs."""


class Children:
    """Processes of this machine. They are forked from one that has imported everything and done nothing."""

    def __init__(self, room: Callable[[], int]) -> None:
        self.room = room
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__])
        self.running: dict[Connection, tuple[str, Any]] = {}

    def start(self, name: str, sent: str) -> None:
        ours, theirs = self.context.Pipe(duplex=False)
        with theirs:
            process = self.context.Process(target=_child, args=(sent, theirs))
            process.start()
        self.running[ours] = name, process

    def wait(self, seconds: float) -> list[Ending]:
        endings = []
        for connection in wait(list(self.running), seconds):
            name, process = self.running.pop(connection)
            with connection:
                try:
                    ending = Ending(name, connection.recv())
                    process.join()
                except EOFError:
                    process.join()
                    ending = Ending(name, f"its process ended {_how(process.exitcode)}", died=True)
            endings.append(ending)
        return endings

    def close(self) -> None:
        for _, process in self.running.values():
            process.kill()
        for _, process in self.running.values():
            process.join()


def _child(sent: str, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to see, and to end this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(run_cell(sent))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a child"
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _how(status: int | None) -> str:
    return f"by {signal.Signals(-status).name}" if status and status < 0 else f"with exit code {status}"


class RayTasks:
    """A Ray task for each cell, on any node with the resources that it ``needs``."""

    def __init__(self, needs: Mapping[str, float], limit: int) -> None:
        import ray

        amounts = dict(needs)
        self.needs, self.limit = needs, limit
        # A process of its own for each: a measured peak is its own, and memory of a device is given back.
        self.task = ray.remote(
            max_calls=1,
            max_retries=0,
            num_cpus=amounts.pop("CPU", 0),
            num_gpus=amounts.pop("GPU", 0),
            resources=amounts,
            scheduling_strategy="SPREAD",
        )(run_cell)
        self.running: dict[Any, str] = {}

    def room(self) -> int:
        return min(self.limit, nodes_room(self.needs))

    def start(self, name: str, sent: str) -> None:
        self.running[self.task.options(name=name).remote(sent)] = name

    def wait(self, seconds: float) -> list[Ending]:
        import ray

        if not self.running:
            return []
        over, _ = ray.wait(list(self.running), timeout=seconds)
        return [self._ending(task) for task in over]

    def _ending(self, task: Any) -> Ending:
        import ray

        name = self.running.pop(task)
        try:
            return Ending(name, ray.get(task))
        except ray.exceptions.RayTaskError as error:  # the function itself could not be run there
            return Ending(name, str(error).strip().splitlines()[-1])
        except ray.exceptions.RayError as error:
            return Ending(name, reason(error), died=True)

    def close(self) -> None:
        import ray

        for task in self.running:
            ray.cancel(task, force=True)


def nodes_room(needs: Mapping[str, float]) -> int:
    """How many cells of such needs the nodes that are alive have room for, were they idle."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(min(node.get(name, 0) // amount for name, amount in needs.items())) for node in alive)


def workers_room(workers: int, limit: int) -> int:
    """How many cells of so many Ray Train workers the cluster has room for, were it idle."""
    return min(limit, nodes_room({gpu_or_cpu(): 1}) // workers)


def gpu_or_cpu() -> str:
    """What a worker takes: a GPU where the cluster has any, else a core."""
    import ray

    return "GPU" if ray.cluster_resources().get("GPU") else "CPU"


class Placed(NamedTuple):
    """Where the cells of a grid run, by how many workers each, on which cluster if Ray places those."""

    placement: Placement
    workers: int
    address: str = ""


@contextlib.contextmanager
def placed(
    parallel: int | None, address: str, needs: Mapping[str, float], workers: int | None
) -> Iterator[Placed]:
    """A placement for the length of a block; everything may be left to what there is (None, empty).

    Without Ray one cell runs after the other. Ray is used where a cluster or resources are named, where
    several cells are to run at once, and on a machine with several GPUs.
    """
    limit = parallel or sys.maxsize
    several = parallel > 1 if parallel else torch.cuda.device_count() > 1
    if not (address or os.environ.get("RAY_ADDRESS") or needs or several):
        count = default_workers() if workers is None else workers
        check_workers(count)
        yield Placed(Children(lambda: 1), count)
        return
    if needs and workers:
        raise HarnessError(
            "--resources is what a cell of one process takes; a Ray worker takes a GPU or a core",
            "leave --resources or --workers out",
        )
    with cluster(address) as found:
        if workers:
            made = Placed(Children(lambda: workers_room(workers, limit)), workers, found)
        else:
            made = Placed(RayTasks(needs or {"CPU": 1, gpu_or_cpu(): 1}, limit), 0)
        if not made.placement.room():
            asked = f"{workers} workers" if workers else _listed(made.placement.needs)
            raise HarnessError(f"no node has room for a cell of {asked}", "see `ray status`")
        say(f"room for {made.placement.room()} cells at once")
        yield made


def needs_of(text: str) -> dict[str, float]:
    """``cpu=2,gpu=0.5`` as Ray's resources; other names are those of custom ones."""
    needs = {}
    for part in filter(None, text.split(",")):
        name, _, amount = part.strip().partition("=")
        try:
            needs[name.upper() if name.lower() in ("cpu", "gpu") else name] = float(amount)
        except ValueError:
            needs[name] = 0.0
    if not all(name and amount > 0 for name, amount in needs.items()):
        raise HarnessError(
            f"--resources {text!r} is not of the form NAME=AMOUNT,...", "for example cpu=2,gpu=1"
        )
    return needs


def _listed(needs: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in needs.items())


@contextlib.contextmanager
def cluster(address: str) -> Iterator[str]:
    """A connection to the cluster at ``address`` or RAY_ADDRESS, or one of this machine alone, for the
    length of a block; its address."""
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    # Ray prints a death on standard output, which belongs to results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            ray.init(
                address=cluster_address(address),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = address or os.environ.get("RAY_ADDRESS") or "this machine"
            raise HarnessError(
                f"no Ray cluster at {where}: {str(error).strip().splitlines()[0]}",
                "start one with `ray start --head`, and give its address",
            ) from error
        try:
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()

"""Run a job's workers: in this process, or by Ray Train. The only module that imports ray.

What the first Ray worker says to the user goes to ``console.log`` in the run folder, which this
process repeats line by line; what Ray says stays in ``ray/messages.log`` and Ray's own log folder.
A worker that dies is replaced: the group starts again from the run folder's checkpoint. An error of
the run or of the program would only come back, so it ends the run at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import msgspec
import torch
import torch.distributed as dist

from harness.engine.progress import say
from harness.engine.worker import Job, Outcome, work
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.results.atomic import write_atomically

OUTCOME, ERROR, CONSOLE = "outcome.json", "error.json", "console.log"

#: Folder of Ray's own files, Ray's messages in it, and the mark of a worker that raised an error.
RAY, MESSAGES, RAISED = "ray", "messages.log", "raised-{rank}"

#: How often workers that died are replaced before the run gives up.
MAX_FAILURES = 3

#: Seconds between two looks at the workers' console.
ECHO_INTERVAL_S = 0.2

RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Relative paths, of the cache for example, mean the same in a worker as here.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def execute(job: Job, count: int) -> Outcome | None:
    """The job's outcome. ``count`` 0: here, so that a debugger works; N: N Ray Train workers."""
    return work(job, here()) if count == 0 else _by_ray(job, count)


def here() -> Workers:
    """This process alone, on its first GPU where it has one."""
    return Workers(rank=0, world=1, device=_device())


def default_workers() -> int:
    """0 where there is at most one GPU, else one worker for each."""
    count = torch.cuda.device_count()
    return 0 if count <= 1 else count


def cluster_address(given: str = "") -> str:
    """The cluster that was named, here or by RAY_ADDRESS, else one of this machine alone. Left to itself
    Ray joins whatever cluster was started on the machine last, be it somebody else's or gone."""
    return given or os.environ.get("RAY_ADDRESS") or "local"


def _device() -> torch.device:
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def _by_ray(job: Job, count: int) -> Outcome | None:
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    use_gpu = torch.cuda.is_available()
    folder = Path(job.folder).resolve()
    for name in (OUTCOME, ERROR, CONSOLE):
        (folder / name).unlink(missing_ok=True)
    (folder / RAY).mkdir(exist_ok=True)
    # Ray prints a death on standard output, which belongs to results.
    with (folder / RAY / MESSAGES).open("w") as messages, contextlib.redirect_stdout(messages):
        try:
            if not ray.is_initialized():
                ray.init(
                    address=cluster_address(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            with _echoed(folder / CONSOLE):
                _fit_until_done(job, folder, count, use_gpu)
        finally:
            ray.shutdown()
    found = folder / OUTCOME
    return msgspec.json.decode(found.read_bytes(), type=Outcome) if found.exists() else None


def _fit_until_done(job: Job, folder: Path, count: int, use_gpu: bool) -> None:
    """Start the workers, and again whenever one of them died."""
    marks = [folder / RAY / RAISED.format(rank=rank) for rank in range(count)]
    for left in reversed(range(MAX_FAILURES + 1)):
        for mark in marks:
            mark.unlink(missing_ok=True)
        failure = _fit(job, folder, count, use_gpu)
        if failure is None:
            return
        if (folder / ERROR).exists():
            raise HarnessError(**msgspec.json.decode((folder / ERROR).read_bytes()))
        # A worker that died left no mark. One that lost its peer did, in the midst of a collective;
        # an error of the program itself shows on every worker.
        if all(mark.exists() for mark in marks):
            raise failure
        if not left:
            raise HarnessError(
                f"the workers died {MAX_FAILURES + 1} times, the last time: {reason(failure)}",
                "often memory: use fewer --workers or a smaller train.batch_size, then --resume",
            ) from failure
        say(f"a worker died ({reason(failure)}); starting again from the last checkpoint")


def _fit(job: Job, folder: Path, count: int, use_gpu: bool) -> Exception | None:
    """One start of the workers; their failure where they failed.

    Ray Train would replace dead workers by itself, but also those that raised an error which can
    only come back, so its own budget of failures is zero. It runs in a thread of its own because
    in the main thread it takes over Ctrl-C, and leaves with exit code 0.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _ray_worker,
        train_loop_config={"job": msgspec.json.encode(job).decode()},
        scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder / RAY),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    result: Future[None] = Future()

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # handed over: the main thread raises it
            result.set_exception(error)
        else:
            result.set_result(None)

    threading.Thread(target=fit, daemon=True).start()
    try:
        return result.result()
    except TrainingFailedError as failure:
        return failure


def _ray_worker(config: dict) -> None:
    """One Ray Train worker. The checkpoint in the run folder is the only one, so a group that is
    started again after a failure continues from there by itself."""
    from ray.train.torch import get_device

    job = msgspec.json.decode(config["job"], type=Job)
    folder = Path(job.folder)
    workers = Workers(rank=dist.get_rank(), world=dist.get_world_size(), device=get_device())
    with contextlib.ExitStack() as stack:
        if workers.first:
            console = stack.enter_context((folder / CONSOLE).open("a", encoding="utf-8", buffering=1))
            stack.enter_context(contextlib.redirect_stderr(console))
        try:
            outcome = work(job, workers)
        except HarnessError as error:
            said = {"message": error.message, "hint": error.hint}
            write_atomically(folder / ERROR, msgspec.json.encode(said).decode())
            raise
        except Exception:
            (folder / RAY / RAISED.format(rank=workers.rank)).touch()
            raise
    if outcome is not None:
        (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))


@contextlib.contextmanager
def _echoed(path: Path) -> Iterator[None]:
    """Repeat on standard error, for the length of a block, the lines that are added to a file."""
    over = threading.Event()

    def follow() -> None:
        shown = 0
        while True:
            last = over.wait(ECHO_INTERVAL_S)
            if path.exists():
                with path.open("rb") as file:
                    file.seek(shown)
                    added = file.read()
                if not last:  # a line that is still being written can wait
                    added = added[: added.rfind(b"\n") + 1]
                shown += len(added)
                if added:
                    sys.stderr.write(added.decode("utf-8", "replace"))
                    sys.stderr.flush()
            if last:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check_workers(count: int) -> None:
    """Refuse more workers than this machine can run, before any work."""
    use_gpu = torch.cuda.is_available()
    available = torch.cuda.device_count() if use_gpu else os.cpu_count() or 1
    if count > available and not os.environ.get("RAY_ADDRESS"):
        what = "GPUs" if use_gpu else "CPU cores"
        raise HarnessError(
            f"--workers {count} needs {count} {what}, this machine has {available}", "use fewer"
        )


def reason(failure: Exception) -> str:
    """The last line's first sentence: Ray says the rest of it about every death."""
    return str(failure).strip().splitlines()[-1].partition(". ")[0]

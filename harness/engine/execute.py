"""Run a job's workers: in this process, or by Ray Train. The only module that imports ray."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec
import torch
import torch.distributed as dist

from harness.engine.worker import Job, Outcome, work
from harness.engine.workers import Workers
from harness.errors import HarnessError

OUTCOME = "outcome.json"

#: How often a worker that died is replaced before the run gives up.
MAX_FAILURES = 3

_RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_DEDUP_LOGS": "0",
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


def _device() -> torch.device:
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def _by_ray(job: Job, count: int) -> Outcome | None:
    for name, value in _RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    use_gpu = torch.cuda.is_available()
    _check_resources(count, use_gpu)
    folder = Path(job.folder).resolve()
    (folder / OUTCOME).unlink(missing_ok=True)
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=True, logging_level=logging.ERROR)
    trainer = TorchTrainer(
        _ray_worker,
        train_loop_config={"job": msgspec.json.encode(job).decode()},
        scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _user_error(error) from error
    finally:
        ray.shutdown()
    found = folder / OUTCOME
    return msgspec.json.decode(found.read_bytes(), type=Outcome) if found.exists() else None


def _ray_worker(config: dict) -> None:
    """One Ray Train worker. The checkpoint in the run folder is the only one, so a group that is
    started again after a failure continues from there by itself."""
    job = msgspec.json.decode(config["job"], type=Job)
    workers = Workers(rank=dist.get_rank(), world=dist.get_world_size(), device=_device())
    outcome = work(job, workers)
    if outcome is not None:
        (Path(job.folder) / OUTCOME).write_bytes(msgspec.json.encode(outcome))


def _check_resources(count: int, use_gpu: bool) -> None:
    available = torch.cuda.device_count() if use_gpu else os.cpu_count() or 1
    if count > available and not os.environ.get("RAY_ADDRESS"):
        what = "GPUs" if use_gpu else "CPU cores"
        raise HarnessError(
            f"--workers {count} needs {count} {what}, this machine has {available}", "use fewer"
        )


def _user_error(error: Exception) -> Exception:
    """The first HarnessError that a worker raised, or the failure itself."""
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "cause", failure)
        if isinstance(cause, HarnessError):
            return cause
    return HarnessError(f"the workers failed: {str(error).strip().splitlines()[-1]}", "see the log above")

"""Training and evaluation. :class:`Task` is public: what a task plugin's factory returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engine.task import Evaluation, Task, TaskResult

__all__ = ["Evaluation", "Task", "TaskResult"]


def __getattr__(name: str) -> Any:
    """The public names, imported with torch when one is asked for.

    Commands that train nothing use :mod:`harness.engine.progress` without it.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.engine import task

    return getattr(task, name)

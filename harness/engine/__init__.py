"""Training and evaluation. :class:`Task` is public: what a task plugin's factory returns."""

from harness.engine.task import Evaluation, Task, TaskResult

__all__ = ["Evaluation", "Task", "TaskResult"]

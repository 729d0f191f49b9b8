"""The kinds of component that plugins declare."""

from __future__ import annotations

from harness import specs

#: Kinds of component: how messages and ``harness list`` call them, the hook, the spec's class.
KINDS: dict[str, tuple[str, type]] = {
    "methods": ("harness_methods", specs.MethodSpec),
    "datasets": ("harness_datasets", specs.DatasetSpec),
    "backbones": ("harness_backbones", specs.BackboneSpec),
    "temporal modules": ("harness_temporal_modules", specs.TemporalModuleSpec),
    "losses": ("harness_losses", specs.LossSpec),
    "optimizers": ("harness_optimizers", specs.OptimizerSpec),
    "schedules": ("harness_schedules", specs.ScheduleSpec),
    "checkpoint formats": ("harness_checkpoint_formats", specs.CheckpointFormatSpec),
    "captioners": ("harness_captioners", specs.CaptionerSpec),
    "tasks": ("harness_tasks", specs.TaskSpec),
    "postprocessors": ("harness_postprocessors", specs.PostprocessorSpec),
    "published results": ("harness_published_results", specs.PublishedResultsSpec),
}


def singular(kind: str) -> str:
    """``"losses"`` to ``"loss"``, for messages."""
    return kind[:-2] if kind == "losses" else kind[:-1]

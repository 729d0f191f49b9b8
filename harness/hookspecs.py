"""The hooks: every way into the harness, for built-in plugins and a stranger's alike.

A plugin is a module (or object) named by an entry point of the group ``harness.plugins``. It
implements any of these functions under :data:`harness.hookimpl` and may state the interface it
was written for as ``HARNESS_API = (low, high)``; without it the current version is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from harness import specs

#: Version of this interface; a plugin's ``HARNESS_API`` range has to contain it.
API_VERSION = 1

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")


@hookspec
def harness_backbones() -> Iterable[specs.BackboneSpec]:
    """Image-text towers. Called once, when a command first looks up a name."""


@hookspec
def harness_temporal_modules() -> Iterable[specs.TemporalModuleSpec]:
    """Ways to run a backbone over a clip. Called once, when a command first looks up a name."""


@hookspec
def harness_losses() -> Iterable[specs.LossSpec]:
    """Training objectives. Called once, when a command first looks up a name."""


@hookspec
def harness_optimizers() -> Iterable[specs.OptimizerSpec]:
    """Update rules. Called once, when a command first looks up a name."""


@hookspec
def harness_schedules() -> Iterable[specs.ScheduleSpec]:
    """Learning rates over time. Called once, when a command first looks up a name."""


@hookspec
def harness_checkpoint_formats() -> Iterable[specs.CheckpointFormatSpec]:
    """Layouts of weights files. Called once, when a command first looks up a name."""


@hookspec
def harness_captioners() -> Iterable[specs.CaptionerSpec]:
    """Makers of auxiliary captions. Called once, when a command first looks up a name."""


@hookspec
def harness_datasets() -> Iterable[specs.DatasetSpec]:
    """Data sets with their protocols. Called once, when a command first looks up a name."""


@hookspec
def harness_tasks() -> Iterable[specs.TaskSpec]:
    """What a trained model is scored on. Called once, when a command first looks up a name."""


@hookspec
def harness_postprocessors() -> Iterable[specs.PostprocessorSpec]:
    """Changes of test scores. Called once; a processed score never shares a plain one's table."""


@hookspec
def harness_methods() -> Iterable[specs.MethodSpec]:
    """Methods: named recipes. Called once, when a command first looks up a name."""


@hookspec
def harness_published_results() -> Iterable[specs.PublishedResultsSpec]:
    """Results from the literature, to stand beside measured ones. Called once; `harness leaderboard`
    reads the files behind them."""


@hookspec
def harness_run_event(event: str, payload: dict) -> None:
    """Observe a run. ``event`` is one of ``run_started``, ``step``, ``evaluated``,
    ``record_written``; ``payload`` holds plain values. Called for a step by the first worker, else by
    the command."""

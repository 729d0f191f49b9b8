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
    """Observe a run. Called at each of its events, with ``payload`` of plain values; each names the run's
    ``folder``, but for the first, when there is none. In their order, with what else is in them:

    - ``run_planned``: ``plan`` (as plan.json has it). Nothing has been done yet: a HarnessError ends the
      command, so this is the place to refuse a wrong setting or a missing package. Any other exception, here
      or later, is said once, and that observer is left out until the command ends.
    - ``run_started``: ``plan``, ``seed``, and ``steps``, those that the checkpoint holds; 0 in a fresh run.
      Whatever was seen of later steps is void, they are done again. Comes again when a dead worker was
      replaced, and never where a finished model is only scored.
    - ``step``: a line of log.jsonl (``loss``, ``grad_norm``, ``lr``, ``stage``, ``epoch`` from 0, ``step`` of
      the stage from 1, ``seconds`` of training) and ``steps``, those done in all stages. It is in the log
      already.
    - ``evaluated``: ``plan`` and ``metrics`` (a record's: ``t2v``, ``v2t``, ``contrasts``, ``figures``).
    - ``record_written``: ``path`` of the record.

    The first and last come in the process of the command, the others on the first worker, which is another
    process under Ray. Training a backbone's own weights is not observed; of `harness probe`, which scores a
    finished run again, only that its record was written."""

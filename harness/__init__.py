"""harness: a plugin-based benchmark harness for text-video research.

These names are the light half of the public interface: importing them costs no torch. The heavy
half lives in :mod:`harness.models` (towers, temporal modules, losses), :mod:`harness.data` (data
sets) and :mod:`harness.engine` (tasks).
"""

from harness.errors import HarnessError
from harness.hookspecs import API_VERSION, hookimpl
from harness.specs import (
    BackboneSpec,
    CaptionerSpec,
    CheckpointFormatSpec,
    DatasetSpec,
    LossSpec,
    MethodSpec,
    OptimizerSpec,
    Options,
    PostprocessorSpec,
    ProtocolSpec,
    PublishedResultsSpec,
    ScheduleSpec,
    TaskSpec,
    TemporalModuleSpec,
)

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "BackboneSpec",
    "CaptionerSpec",
    "CheckpointFormatSpec",
    "DatasetSpec",
    "HarnessError",
    "LossSpec",
    "MethodSpec",
    "OptimizerSpec",
    "Options",
    "PostprocessorSpec",
    "ProtocolSpec",
    "PublishedResultsSpec",
    "ScheduleSpec",
    "TaskSpec",
    "TemporalModuleSpec",
    "hookimpl",
]

"""Task: what a trained model is scored on, and what the engine offers to one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.data import Caption, Clip, Dataset, Question
from harness.engine.encode import encode_clips, encode_texts
from harness.engine.generate import Write, write_texts
from harness.engine.inputs import Batches
from harness.engine.score import score_matrix
from harness.engine.workers import Workers
from harness.models import Features
from harness.models.assembly import VideoTextModel, make
from harness.plan.run_plan import RunPlan
from harness.plugins import Registry
from harness.results.record import Example, Metrics, Protocol, Queries
from harness.results.retrieved import Retrieved


@dataclass(frozen=True)
class Evaluation:
    """A model, a data set, and the ways to run one over the other.

    Every worker calls the same methods in the same order. Results are complete on the first
    worker only; the others get None.
    """

    plan: RunPlan
    model: VideoTextModel
    dataset: Dataset
    batches: Batches
    workers: Workers
    registry: Registry

    @property
    def clips(self) -> Sequence[Clip]:
        """The gallery, missing clips included."""
        return self.dataset.clips(self.plan.protocol.test)

    @property
    def captions(self) -> Sequence[Caption]:
        """The queries."""
        return self.dataset.captions(self.plan.protocol.test)

    def encode_clips(self) -> tuple[Features | None, dict[str, str]]:
        """Features of the clips that can be read, in gallery order, and why the others cannot."""
        return encode_clips(self.model, self.clips, self.batches, self.workers, self.plan.recipe.evaluation)

    def encode_texts(self) -> Features | None:
        """Features of all queries, in order."""
        return encode_texts(
            self.model, self.captions, self.batches, self.workers, self.plan.recipe.evaluation
        )

    @property
    def questions(self) -> Sequence[Question]:
        """What is asked about the clips."""
        return self.dataset.questions(self.plan.protocol.test)

    def write(
        self, write: Write, prompts: Mapping[str, Sequence[Caption]] | None = None
    ) -> tuple[dict[str, list[str]] | None, dict[str, str]]:
        """A text for each readable clip, or one for each of its ``prompts``, by clip id; and why the
        others cannot be read. ``write`` turns memories into texts."""
        settings = self.plan.recipe.evaluation
        return write_texts(self.model, self.clips, prompts, write, self.batches, self.workers, settings)

    def score(self, texts: Features | None, clips: Features | None) -> np.ndarray | None:
        """Similarities ``[texts, clips]``, float64."""
        budget = self.plan.recipe.evaluation.tile_memory_mb
        return score_matrix(self.model, texts, clips, self.workers, budget)

    def postprocess(self, scores: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The matrices that text-to-video and video-to-text are counted on."""
        return make(self.plan.recipe.evaluation.postprocess, "postprocessors", self.registry)(scores, missing)


@dataclass(frozen=True)
class TaskResult:
    """What goes into the record: figures, the counts behind them, and what was missing.

    ``score`` is the one figure by which an epoch is selected; higher is better. A task without ranks has
    no ``queries``, but columns of ``evidence`` that its figures follow from, and ``examples`` to look at. What was
    ``retrieved`` stays in the run folder. ``notes`` are said to the user once, a line each, and are part of no record.
    """

    metrics: Metrics
    protocol: Protocol
    score: float
    queries: Queries | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    retrieved: Retrieved | None = None
    notes: tuple[str, ...] = ()


class Task(ABC):
    """A way to score a model."""

    @abstractmethod
    def evaluate(self, evaluation: Evaluation) -> TaskResult | None:
        """Run the model over the test split. None on every worker but the first."""

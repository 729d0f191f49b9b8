"""The record of one evaluated run: everything a table shows and everything needed to check it.

A record is a JSON file of a few kilobytes that reads well in a pull request. It keeps the counts
of every query (see :mod:`harness.results.ranks`), so each printed number can be computed again.
Not covered: how the numbers were obtained, and how tables are laid out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from harness.names import NAME

TiePolicy = Literal["average", "optimistic", "pessimistic", "average_ce"]
V2TProtocol = Literal["caption_rank", "group_rank"]
QueryUnit = Literal["sentence", "paragraph", "question", "clip"]
HashStatus = Literal["verified", "unverified", "computed"]
Selection = Literal["last", "val", "test", "unknown"]
MissingPolicy = Literal["worst", "drop"]

DIRECTIONS = ("t2v", "v2t")
FIGURES = ("R@1", "R@5", "R@10", "MdR", "MnR")

# Beyond any gallery, and such that counts and their sums are exact wherever they are computed.
_MOST = 10**9

# Method and data set are folder and file names too, so they must be harmless as such.
_NAME = re.compile(f"({NAME.pattern}:)?{NAME.pattern}")
_HEX = re.compile(r"[0-9a-f]{12,64}")


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which queries were asked of which gallery.

    ``ids_texts_hash`` comes from :func:`harness.results.digest.texts_hash`; ``hash_status`` is
    ``verified`` when the data set states the hash and it agrees, ``computed`` when it states
    none, ``unverified`` when nobody looked. ``v2t`` is the definition of a video-to-text rank.
    """

    name: str
    query_unit: QueryUnit
    n_queries: int
    n_gallery: int
    ids_texts_hash: str = ""
    hash_status: HashStatus = "unverified"
    v2t: V2TProtocol = "caption_rank"

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a protocol needs a name")
        if self.n_queries < 1 or self.n_gallery < 1:
            raise ValueError("n_queries and n_gallery count from 1")
        if not self.ids_texts_hash and self.hash_status != "unverified":
            raise ValueError(f"hash_status is {self.hash_status} but there is no hash")


class QueryCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The counts of all queries of one direction, in the order of the protocol.

    ``better``: integers separated by single spaces, one per query. ``tied``: query index to
    count, only where more than the ground truth itself ties. ``gallery``: entries ranked.
    """

    better: str
    gallery: int
    tied: dict[int, int] = {}

    def __post_init__(self) -> None:
        try:
            better = self.better_list()
        except ValueError as error:
            raise ValueError("better must be integers separated by spaces") from error
        if not better:
            raise ValueError("there is no query")
        if len(better) != len(self):
            raise ValueError("better must be separated by single spaces")
        if self.gallery > _MOST:
            raise ValueError(f"gallery is {self.gallery}, which is more than can be ranked")
        if min(better) < 0 or max(better) >= self.gallery:
            raise ValueError(f"better must lie in 0..{self.gallery - 1} for this gallery")
        for index, count in self.tied.items():
            if not 0 <= index < len(better):
                raise ValueError(f"tied names query {index} of {len(better)}")
            if count < 2 or better[index] + count > self.gallery:
                raise ValueError(f"tied is {count} for query {index}, which cannot be")

    @classmethod
    def of(cls, better: Sequence[int], tied: Sequence[int], gallery: int) -> QueryCounts:
        """Pack one ``better`` and one ``tied`` (>= 1) per query."""
        assert len(better) == len(tied)
        return cls(
            better=" ".join(map(str, better)),
            gallery=gallery,
            tied={index: count for index, count in enumerate(tied) if count > 1},
        )

    def better_list(self) -> list[int]:
        """``better`` of each query."""
        return list(map(int, self.better.split()))

    def __len__(self) -> int:
        return self.better.count(" ") + 1


class Queries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The counts of both directions."""

    t2v: QueryCounts
    v2t: QueryCounts


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Figures by name: recalls in percent, ``MdR`` and ``MnR`` as 1-based ranks.

    ``contrasts`` holds further accuracies in percent, e.g. of telling a clip from its reverse.
    ``figures`` are those of a task without ranks, as papers print them. ``main`` is the one that orders
    rows, higher is better; where empty, the first by name.
    """

    t2v: dict[str, float] = {}
    v2t: dict[str, float] = {}
    contrasts: dict[str, float] = {}
    figures: dict[str, float] = {}
    main: str = ""

    @property
    def names(self) -> list[str]:
        """The names of ``figures``, the main one first and the others in alphabetical order."""
        return sorted(self.figures, key=lambda name: (name != self.main, name))

    @property
    def leading(self) -> tuple[str, str]:
        """Group and name of the figure that orders rows and that rows are compared by: text-to-video R@1, or
        the first one of a task without ranks."""
        return ("figures", self.names[0]) if self.figures else ("t2v", "R@1")

    def __post_init__(self) -> None:
        for name, value in [*self.t2v.items(), *self.v2t.items(), *self.contrasts.items()]:
            if name in ("MdR", "MnR"):
                if value < 1.0:
                    raise ValueError(f"{name} is {value}, but ranks count from 1")
            elif not 0.0 <= value <= 100.0:
                raise ValueError(f"{name} is {value}, not a percentage")
        if self.main and self.main not in self.figures:
            raise ValueError(f"main is {self.main!r}, which is no figure")
        for name, value in self.figures.items():
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}, not a figure")


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was said of one clip, what was asked, if anything, and what was meant: one of the references."""

    clip: str
    asked: str = ""
    said: str
    meant: str


class MissingClip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clip that could not be used, and why (``not found``, ``cannot decode: ...``)."""

    id: str
    reason: str


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The clips that training skipped and those that evaluation could not use.

    ``policy`` says what became of the latter: ranked ``worst``, or a ``drop`` from queries and
    gallery, which makes the row comparable to nothing but itself.
    """

    train: tuple[MissingClip, ...] = ()
    test: tuple[MissingClip, ...] = ()
    policy: MissingPolicy = "worst"

    def __post_init__(self) -> None:
        if self.policy == "drop" and not self.test:
            raise ValueError("missing.policy is drop, but no test clip is missing")


class TrainCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Samples that one pass over the training data uses, and how many it had to skip.

    ``seen`` counts a sample each time that it was in a batch, in all stages; None where nobody counted.
    """

    samples: int
    skipped: int = 0
    seen: int | None = None


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the same model scores when it gets the test clips' frames otherwise, and from what that follows.

    Of ranks only text-to-video: ``metrics.t2v`` and the counts in ``queries``. Of other tasks
    ``metrics.figures`` and their ``evidence``, as in a record.
    """

    metrics: Metrics
    queries: QueryCounts | None = None
    evidence: dict[str, str] = {}


class Resampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """95 % intervals over queries of figures without a closed form, by the percentile bootstrap.

    ``intervals`` are (low, high) by figure, such as ``t2v.MdR``, from ``samples`` draws with ``seed``.
    """

    samples: int
    seed: int
    intervals: dict[str, tuple[float, float]]

    def __post_init__(self) -> None:
        for name, (low, high) in self.intervals.items():
            if not low <= high:
                raise ValueError(f"the interval of {name} is {low} to {high}")


#: Ways to give a model the frames of a test clip that tell whether it sees time.
ProbeName = Literal["shuffled", "reversed", "middle"]


class ResultRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One method on one data set with one seed.

    Units: ``train_seconds`` s of wall clock, ``gpu_hours`` h, ``peak_memory_mb`` MiB of the
    busiest worker, ``resolution`` pixels, ``text_length`` tokens, ``batch_size`` over all
    workers. ``budget`` is what training was allowed, such as ``2M frames``, where it was not the epochs of
    the recipe. A published row has no counts, no digest and a ``source``; its unknowns are None. It was
    ``read`` there or is ``recalled`` from memory, and of a row that was read ``recalled_fields`` names
    the figures that are not from there, such as ``t2v.MdR``. ``trained_digest`` is that of the plan which
    the model was trained by, where it is another one; ``own_recipe_digest`` that of the method's own recipe
    for the data set and task as it was then, whatever the run changed
    (:func:`harness.plan.packaged.own_recipe_digest`). ``evidence`` holds columns of numbers,
    separated by single spaces, from which the figures of a task without ranks follow. ``probes`` are
    scores of the same model with the test clips' frames shuffled, reversed, or the middle one alone.
    """

    schema: Literal[1] = 1
    kind: Literal["measured", "published"] = "measured"
    # identity
    method: str
    variant: str = ""
    dataset: str
    task: str
    protocol: Protocol
    postprocess: str = "none"
    ties: TiePolicy = "average"
    train_split: str = "unknown"
    selection: Selection = "unknown"
    selected_epoch: int | None = None
    # outcome
    metrics: Metrics
    queries: Queries | None = None
    evidence: dict[str, str] = {}
    examples: tuple[Example, ...] = ()
    probes: dict[ProbeName, Probe] = {}
    resampling: Resampling | None = None
    missing: Missing = Missing()
    train: TrainCount | None = None
    # disclosed
    backbone: str | None = None
    pretraining: str | None = None
    parameters: int | None = None
    frames: int | None = None
    resolution: int | None = None
    text_length: int | None = None
    batch_size: int | None = None
    budget: str = ""
    world_size: int | None = None
    train_seconds: float | None = None
    gpu_hours: float | None = None
    peak_memory_mb: float | None = None
    # provenance
    recipe_digest: str = ""
    plan_digest: str = ""
    trained_digest: str = ""
    own_recipe_digest: str = ""
    seed: int | None = None
    versions: dict[str, str] = {}
    checkpoint_sha256: str | None = None
    commit: str | None = None
    dirty: bool = False
    environment: dict[str, str] = {}
    created: str = ""
    source: str = ""
    confidence: Literal["", "read", "recalled"] = ""
    recalled_fields: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for what in ("method", "dataset"):
            name = getattr(self, what)
            if not _NAME.fullmatch(name) or name.lower() == "readme":
                raise ValueError(f"{what} {name!r} cannot be used as a file name")
        if not (self.postprocess.strip() and self.task.strip() and self.train_split.strip()):
            raise ValueError("postprocess, task and train_split must not be empty")
        if self.created:
            datetime.fromisoformat(self.created)
        if self.kind == "published":
            if not (self.source and self.confidence):
                raise ValueError("a published row needs its source and read or recalled")
        else:
            self._check_measured()

    def _check_measured(self) -> None:
        """What a measured row may never lack: counts that fit the protocol, figures, identity."""
        if not _HEX.fullmatch(self.recipe_digest) or self.seed is None or not self.created:
            raise ValueError("a measured row needs recipe_digest (hex), seed and created")
        if self.metrics.figures:
            self._check_evidence()
        else:
            self._check_ranks()
        self._check_probes()

    def _check_evidence(self) -> None:
        if not self.evidence:
            raise ValueError("a measured row needs the evidence of its figures")
        for name, column in self.evidence.items():
            if not re.fullmatch(r"\S+(?: \S+)*", column):
                raise ValueError(f"evidence.{name} must be values separated by single spaces")

    def _check_probes(self) -> None:
        """A probe asks the record's own queries of the same gallery."""
        wanted = (self.protocol.n_queries, self.protocol.n_gallery)
        for name, probe in self.probes.items():
            if self.metrics.figures:
                if not (probe.metrics.figures and probe.evidence):
                    raise ValueError(f"probes.{name} needs figures and their evidence")
            elif probe.queries is None or (len(probe.queries), probe.queries.gallery) != wanted:
                raise ValueError(
                    f"probes.{name} needs the counts of {wanted[0]} queries x {wanted[1]} videos"
                )

    def _check_ranks(self) -> None:
        if self.queries is None:
            raise ValueError("a measured row needs the counts of its queries")
        asked, gallery = len(self.queries.t2v), self.queries.t2v.gallery
        if (asked, gallery) != (self.protocol.n_queries, self.protocol.n_gallery):
            raise ValueError(
                f"the counts are of {asked} queries x {gallery} videos, the protocol has "
                f"{self.protocol.n_queries} x {self.protocol.n_gallery}"
            )
        back = self.queries.v2t
        entries = asked if self.protocol.v2t == "caption_rank" else len(back)
        if back.gallery != entries:
            raise ValueError(
                f"the video-to-text gallery is {back.gallery}, but {self.protocol.v2t} has {entries}"
            )
        for direction in DIRECTIONS:
            lacking = [name for name in FIGURES if name not in getattr(self.metrics, direction)]
            if lacking:
                raise ValueError(f"metrics.{direction} lacks {', '.join(lacking)}")

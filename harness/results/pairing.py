"""A measured row against the published rows that it may be held against.

Two rows are a pair where everything agrees that a paper states of its table: data set, task, protocol, its
query unit and counts, and post-processing; and where method and train split are the same. What else decides
a figure (how the epoch was selected, backbone, frames, pixels, pre-training) need not agree and is stated
beside it. Video-to-text figures are compared only under one definition of their ranks.

    notes = delta_notes(row, published)   # for a table: one cell, and its footnotes

Not covered: whether a difference is more than chance (:mod:`harness.results.verdict`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.results.record import DIRECTIONS, ResultRecord
from harness.results.statistics import Spread
from harness.results.table import NOTHING, SELECTIONS, Row, escape

#: The activation that a family of weights was trained with. Papers leave it out of a tower's name.
_ACTIVATION = "quickgelu"

#: Conditions that are compared as they stand. Everybody describes pre-training in words of their own, so that
#: other words are shown and need be no other weights.
_FURTHER = {"frames": "frames", "resolution": "resolution", "pretraining": "pretraining, as each calls it"}


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same here and where the row was published, as text."""

    what: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.what}: {self.here} here, {self.there} there"


@dataclass(frozen=True)
class Delta:
    """One figure on both sides, in its own unit; ``direction`` is ``t2v``, ``v2t`` or ``figures``."""

    direction: str
    name: str
    measured: Spread
    published: float
    recalled: bool

    @property
    def difference(self) -> float:
        """Measured mean minus published."""
        return self.measured.mean - self.published

    @property
    def label(self) -> str:
        """As tables head the column."""
        return self.name if self.direction == "figures" else f"{self.direction.upper()} {self.name}"


@dataclass(frozen=True)
class Pair:
    """A published row, every figure that both have (the one that orders rows first), and what differs.

    ``unpaired`` are published figures that nothing here may be held against, with the reason.
    """

    published: ResultRecord
    deltas: tuple[Delta, ...]
    differences: tuple[Difference, ...]
    unpaired: tuple[str, ...]


@dataclass(frozen=True)
class DeltaNotes:
    """What a table shows of a row's pairs: ``-0.4 ± 0.2 (read, best on test)``, and Markdown footnotes."""

    cell: str
    footnotes: tuple[str, ...]


@dataclass(frozen=True)
class Conditions:
    """What may differ within a pair; None is not known, and differs from nothing. ``budget`` is empty where
    training was as long as the method's epochs."""

    selection: str
    backbone: str | None
    frames: int | None
    resolution: int | None
    pretraining: str | None
    budget: str


def pairs(row: Row, published: Iterable[ResultRecord]) -> list[Pair]:
    """The published rows that a measured one may be held against, the most alike first.

    Rows with another backbone are among them only where none has the same.
    """
    found = [pair for pair in (_pair(row, one) for one in published) if pair]
    alike = [pair for pair in found if not any(one.what == "backbone" for one in pair.differences)]
    return sorted(
        alike or found, key=lambda pair: (len(pair.differences), pair.published.confidence != "read")
    )


def mismatches(row: Row, published: ResultRecord) -> list[Difference]:
    """Why two rows are no pair: what would have to be the same and is not; empty for a pair."""
    here, there = _stated(row.runs[0]), _stated(published)
    found = [Difference(what, here[what], there[what]) for what in here if here[what] != there[what]]
    if row.runs[0].missing.policy == "drop":
        found.append(Difference("test clips", "some are left out", "all"))
    if row.runs[0].variant:  # a part of an ablation does not stand for its method
        found.append(Difference("variant", row.runs[0].variant, "the method itself"))
    return found


def differences(here: Conditions, published: ResultRecord) -> list[Difference]:
    """What else decides a figure and is not the same, of what is known on both sides."""
    there = conditions_of(published)
    found = []
    if there.selection not in ("unknown", here.selection):
        found.append(Difference("selection", SELECTIONS[here.selection], SELECTIONS[there.selection]))
    if here.backbone and there.backbone and not same_backbone(here.backbone, there.backbone):
        found.append(Difference("backbone", here.backbone, there.backbone))
    for what, name in _FURTHER.items():
        mine, other = getattr(here, what), getattr(there, what)
        if mine is not None and other is not None and mine != other:
            found.append(Difference(name, str(mine), str(other)))
    if here.budget:
        found.append(Difference("training", f"a budget of {here.budget}", "as long as was published"))
    return found


def conditions_of(record: ResultRecord) -> Conditions:
    """Those of a measured or a published row."""
    return Conditions(**{name: getattr(record, name) for name in Conditions.__annotations__})


def same_backbone(here: str, there: str) -> bool:
    """Whether two spellings name one tower: ``ViT-B-32-quickgelu`` is ``ViT-B/32``.

    Case and separators do not count, nor does the activation. Everything else does: ``ViT-B-32-256`` takes
    other pictures, and ``EVA01-g-14`` is only perhaps what a paper calls ``EVA-g/14``.
    """
    return _architecture(here) == _architecture(there)


def delta_notes(row: Row, published: Iterable[ResultRecord]) -> DeltaNotes:
    """What a table shows of a measured row beside the published rows of its data set.

    The cell is the first figure against the most similar published row, and the footnotes have all figures
    and differences. Where nothing pairs the cell is empty, and a footnote says what the closest row of the
    same method has otherwise; of a method that has no published row there is nothing to say.
    """
    published = list(published)
    found = [pair for pair in pairs(row, published) if pair.deltas]
    if found:
        return DeltaNotes(_cell(found[0]), tuple(_footnote(pair) for pair in found))
    near = closest(row, published)
    if near is None:
        return DeltaNotes(NOTHING, ())
    reasons = mismatches(row, near) or ["no figure is in both"]
    text = "; ".join(map(str, reasons))
    return DeltaNotes(
        NOTHING, (escape(f"No published row is the same setting. Closest: {near.source}; {text}."),)
    )


def closest(row: Row, published: Iterable[ResultRecord]) -> ResultRecord | None:
    """The row of the same method and data set with the fewest mismatches; None where there is none."""
    first = row.runs[0]
    of_method = [one for one in published if (one.method, one.dataset) == (first.method, first.dataset)]
    return min(of_method, key=lambda one: len(mismatches(row, one)), default=None)


def signed(value: float, decimals: int = 1) -> str:
    """With its sign, and without one for what is printed as zero."""
    text = f"{value:+.{decimals}f}"
    return text if float(text) else text[1:]


def _pair(row: Row, published: ResultRecord) -> Pair | None:
    if mismatches(row, published):
        return None
    first = row.runs[0]
    deltas, unpaired = [], []
    for direction in (*DIRECTIONS, "figures"):
        for name, value in getattr(published.metrics, direction).items():
            measured = row.figure(direction, name)
            delta = measured and Delta(
                direction, name, measured, value, _recalled(published, direction, name)
            )
            if direction == "v2t" and not _same_ranks(first, published):
                one, other = (record.protocol.v2t.replace("_", " ") for record in (first, published))
                unpaired.append(f"V2T {name}: by {one} here, by {other} there")
            elif delta is None:
                unpaired.append(f"{direction.upper()} {name}: not measured")
            else:
                deltas.append(delta)
    main = first.metrics.leading
    deltas.sort(key=lambda delta: (delta.direction, delta.name) != main)  # stable: the rest keeps its order
    differing = differences(conditions_of(first), published) + _lacking(row)
    return Pair(published, tuple(deltas), tuple(differing), tuple(unpaired))


def _stated(record: ResultRecord) -> dict[str, str]:
    """What has to agree, by the name that a message has for it."""
    protocol = record.protocol
    return {
        "method": record.method,
        "data set": record.dataset,
        "task": record.task,
        "protocol": protocol.name,
        "queries": f"{protocol.n_queries} {protocol.query_unit}s",
        "gallery": f"{protocol.n_gallery} videos",
        "train split": record.train_split,
        "post-processing": record.postprocess,
    }


def _same_ranks(here: ResultRecord, there: ResultRecord) -> bool:
    """With one text to a clip the two definitions of a video-to-text rank agree."""
    return here.protocol.v2t == there.protocol.v2t or here.protocol.n_queries == here.protocol.n_gallery


def _lacking(row: Row) -> list[Difference]:
    """Clips that a measured row had to do without, and test texts that are not those of the data set."""
    found = []
    for what, lost in (
        ("training clips", max(len(run.missing.train) for run in row.runs)),
        ("test clips", max(len(run.missing.test) for run in row.runs)),
    ):
        if lost:
            found.append(Difference(what, f"{lost} missing", "none known to be"))
    if any(run.protocol.hash_status == "unverified" for run in row.runs):
        found.append(Difference("test ids and texts", "not verified", "not stated"))
    return found


def _architecture(backbone: str) -> list[str]:
    return [part for part in re.split(r"[^a-z0-9]+", backbone.casefold()) if part not in ("", _ACTIVATION)]


def _recalled(published: ResultRecord, direction: str, name: str) -> bool:
    return published.confidence == "recalled" or f"{direction}.{name}" in published.recalled_fields


def _cell(pair: Pair) -> str:
    first = pair.deltas[0]
    spread = f" ± {first.measured.spread:.1f}" if first.measured.n > 1 else ""
    main = first.direction == "figures" or (first.direction, first.name) == ("t2v", "R@1")
    name = "" if main else f"{escape(first.label)} "
    return f"{name}{signed(first.difference)}{spread} ({', '.join(remarks(pair))})"


def remarks(pair: Pair) -> Sequence[str]:
    """In a word or two each: how the first figure is known, and what differs beside pre-training, which
    everybody calls by another name."""
    said = ["recalled" if pair.deltas[0].recalled else "read"]
    for one in pair.differences:
        if one.what == "selection":
            said.append(one.there)
        elif one.what in ("backbone", "frames", "resolution", "training"):
            said.append(f"other {one.what}")
    return said


def _footnote(pair: Pair) -> str:
    shown = []
    for delta in pair.deltas:
        published = f"({delta.published:.1f})" if delta.recalled else f"{delta.published:.1f}"
        shown.append(f"{delta.label} {signed(delta.difference)} from {published}")
    text = f"Against {pair.published.source}: {', '.join(shown)}."
    if pair.differences:
        text += f" Differs: {'; '.join(map(str, pair.differences))}."
    if pair.unpaired:
        text += f" Not compared: {'; '.join(pair.unpaired)}."
    return escape(text)

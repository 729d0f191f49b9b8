"""Findings of one data set, split by split and protocol by protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from harness.data.dataset import Caption, Clip, Dataset, Progress, Question, SplitReport, asked_and_answered
from harness.data.inspection.sameness import same_content
from harness.data.video import DamagedClip, VideoInfo, read_frames_sequential
from harness.data.window import no_frame, restricted
from harness.errors import HarnessError
from harness.results.digest import texts_hash
from harness.specs import ProtocolSpec


@dataclass(frozen=True)
class SplitFindings:
    """One split, by the ids of its clips; ``missing``, ``silent``, ``unlisted`` as in SplitReport.

    ``damaged`` gives the reason for each clip that does not decode to its end. ``duplicates`` are
    groups of sound clips that show the same part of files with the same content. ``shared_texts``
    maps a text to the clips it describes, where it describes more than one.
    """

    clips: int
    found: int
    captions: int
    missing: tuple[str, ...]
    damaged: Mapping[str, str]
    silent: tuple[str, ...]
    unlisted: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    shared_texts: Mapping[str, tuple[str, ...]]
    questions: int = 0


@dataclass(frozen=True)
class Overlap:
    """What two splits have in common: ``ids`` of clips in both, and ``content``, pairs of clips with
    different ids that show a common part of the same content.

    ``protocols`` are those that train on the one split and test on the other: there it is an error.
    """

    splits: tuple[str, str]
    ids: tuple[str, ...]
    content: tuple[tuple[str, str], ...]
    protocols: tuple[str, ...]


@dataclass(frozen=True)
class ProtocolFindings:
    """A protocol against what is known of it; an expected count of 0 is not fixed.

    ``lacking`` are its splits without annotation files. Without those of the test split nothing
    else is known, and ``hash_status`` is empty; else it is ``verified``, ``differs`` or
    ``not stated``. ``usable`` of the ``gallery`` are there and, as far as was looked, sound.
    ``problems`` are what spoils a score; ``incomplete`` is that of a gallery that is not whole.
    """

    train: str
    test: str
    lacking: tuple[str, ...]
    queries: int = 0
    expected_queries: int = 0
    gallery: int = 0
    expected_gallery: int = 0
    usable: int = 0
    texts_hash: str = ""
    hash_status: str = ""
    incomplete: str = ""
    problems: tuple[str, ...] = ()

    @property
    def checked(self) -> bool:
        """Whether its test split could be read."""
        return bool(self.texts_hash)


@dataclass(frozen=True)
class Inspection:
    """Everything that was found. ``unreadable``: splits whose annotation files are of no use, with
    the reason. ``decoded``: whether the clips were decoded; if not, none counts as damaged."""

    decoded: bool
    splits: Mapping[str, SplitFindings]
    unreadable: Mapping[str, str]
    overlaps: Sequence[Overlap]
    protocols: Mapping[str, ProtocolFindings]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def sound(self) -> bool:
        """Whether a protocol's annotation files are there, and every such protocol can be trusted."""
        found = self.protocols.values()
        return any(p.checked for p in found) and not any(p.problems or p.incomplete for p in found)


def inspect(
    dataset: Dataset,
    splits: Sequence[str],
    protocols: Sequence[ProtocolSpec],
    *,
    decode: bool,
    threads: int,
    progress: Progress,
) -> Inspection:
    """Inspects the given splits, and the protocols whose test split is among them.

    ``threads`` files are read at a time. With ``decode`` each file is decoded once, all of it.
    """
    contents, unreadable = _read_splits(dataset, splits)
    damaged = _damaged(contents, threads, progress) if decode else {}
    sound = [
        clip
        for split in contents.values()
        for clip in split.clips
        if clip.path and _part(clip) not in damaged
    ]
    alike = same_content(dict.fromkeys(clip.path for clip in sound), threads, progress)
    shown = {_part(clip): alike.get(clip.path, str(clip.path)) for clip in sound}
    report = dataset.check(list(contents))
    findings = {
        name: _split_findings(split, report.splits[name], damaged, shown) for name, split in contents.items()
    }
    overlaps = [
        found
        for first, second in combinations(contents, 2)
        if (found := _overlap((first, second), contents, shown, protocols))
    ]
    judged = {p.name: _judge(p, contents, findings, unreadable, overlaps) for p in protocols}
    return Inspection(decode, findings, unreadable, overlaps, judged, tuple(report.notes))


#: A file and the part of it that a clip shows: clips of several splits are often the same.
_Part = tuple[Path | None, float, float | None]


@dataclass(frozen=True)
class _Split:
    clips: Sequence[Clip]
    captions: Sequence[Caption]
    questions: Sequence[Question]

    def queries(self, unit: str) -> int:
        """How many queries a protocol of that unit makes of the split."""
        asked: Mapping[str, Sequence] = {"question": self.questions, "clip": self.clips}
        return len(asked.get(unit, self.captions))

    def texts(self, unit: str) -> Iterator[tuple[str, str, str]]:
        """(id, text, clip id) of all that is asked or compared with, reference answers included."""
        if unit == "question":
            return asked_and_answered(self.questions)
        return ((c.id, c.text, c.clip_id) for c in self.captions)


def _part(clip: Clip) -> _Part:
    return clip.path, clip.start_s, clip.end_s


def _read_splits(dataset: Dataset, splits: Sequence[str]) -> tuple[dict[str, _Split], dict[str, str]]:
    contents, unreadable = {}, {}
    for name in splits:
        try:
            contents[name] = _Split(dataset.clips(name), dataset.captions(name), dataset.questions(name))
        except HarnessError as error:
            unreadable[name] = str(error)
    return contents, unreadable


def _damaged(contents: Mapping[str, _Split], threads: int, progress: Progress) -> dict[_Part, str]:
    """The reason for every part of a file that cannot be shown to its end."""
    parts: dict[Path, dict[_Part, Clip]] = defaultdict(dict)
    for split in contents.values():
        for clip in split.clips:
            if clip.path is not None:
                parts[clip.path][_part(clip)] = clip
    damaged: dict[_Part, str] = {}
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        decoding = [pool.submit(_decode, path, list(clips.values())) for path, clips in parts.items()]
        for done, future in enumerate(as_completed(decoding), start=1):
            damaged |= future.result()
            progress(done, len(decoding), "decoding")
    finally:
        pool.shutdown(cancel_futures=True)
    return damaged


def _decode(path: Path, clips: Sequence[Clip]) -> dict[_Part, str]:
    """Decodes a whole file; the reason for each of its clips that is not sound."""
    known: list[VideoInfo] = []

    def choose(info: VideoInfo) -> np.ndarray:
        known.append(info)
        # Of a folder only wanted pictures are decoded; of a file every frame is, wanted or not.
        return np.arange(info.frames if path.is_dir() else 0)

    try:
        read_frames_sequential(path, choose, convert=lambda picture: None)
    except DamagedClip as error:
        return {_part(clip): error.reason for clip in clips}
    damaged = {}
    for clip in clips:
        if not restricted(known[-1], clip.start_s, clip.end_s)[0].frames:
            damaged[_part(clip)] = no_frame(known[-1], clip)
    return damaged


def _split_findings(
    split: _Split, report: SplitReport, damaged: Mapping[_Part, str], shown: Mapping[_Part, str]
) -> SplitFindings:
    """``damaged`` and ``shown`` are those of all splits; ``shown`` names the content of a file."""
    alike: dict[tuple, list[str]] = defaultdict(list)
    for clip in split.clips:
        if _part(clip) in shown:
            alike[shown[_part(clip)], clip.start_s, clip.end_s].append(clip.id)
    said: dict[str, dict[str, None]] = defaultdict(dict)
    for caption in split.captions:
        said[caption.text][caption.clip_id] = None
    return SplitFindings(
        clips=report.clips,
        found=report.found,
        captions=report.captions,
        missing=report.missing,
        damaged={clip.id: damaged[_part(clip)] for clip in split.clips if _part(clip) in damaged},
        silent=report.silent,
        unlisted=report.unlisted,
        duplicates=tuple(tuple(group) for group in alike.values() if len(group) > 1),
        shared_texts={text: tuple(clips) for text, clips in said.items() if len(clips) > 1},
        questions=report.questions,
    )


def _overlap(
    pair: tuple[str, str],
    contents: Mapping[str, _Split],
    shown: Mapping[_Part, str],
    protocols: Sequence[ProtocolSpec],
) -> Overlap | None:
    first, second = (contents[name].clips for name in pair)
    known = {clip.id for clip in first}
    ids = tuple(clip.id for clip in second if clip.id in known)
    by_content = defaultdict(list)
    for clip in first:
        if _part(clip) in shown:
            by_content[shown[_part(clip)]].append(clip)
    content = tuple(
        (other.id, clip.id)
        for clip in second
        for other in by_content.get(shown.get(_part(clip), ""), ())
        if other.id != clip.id and _meet(other, clip)
    )
    if not ids and not content:
        return None
    crossed = tuple(p.name for p in protocols if {p.train, p.test} == set(pair))
    return Overlap(pair, ids, content, crossed)


def _meet(one: Clip, other: Clip) -> bool:
    """Whether two parts of the same content have a moment in common."""
    ends = [float("inf") if clip.end_s is None else clip.end_s for clip in (one, other)]
    return max(one.start_s, other.start_s) < min(ends)


def _judge(
    protocol: ProtocolSpec,
    contents: Mapping[str, _Split],
    findings: Mapping[str, SplitFindings],
    unreadable: Mapping[str, str],
    overlaps: Iterable[Overlap],
) -> ProtocolFindings:
    splits = [name for name in dict.fromkeys((protocol.train, protocol.test)) if name]
    lacking = tuple(name for name in splits if name not in contents and name not in unreadable)
    problems = [f"{name} cannot be read" for name in splits if name in unreadable]
    if protocol.test not in contents:
        # Files of the training split alone do not make a protocol.
        return ProtocolFindings(protocol.train, protocol.test, lacking, problems=tuple(problems))
    test, found = contents[protocol.test], findings[protocol.test]
    for overlap in overlaps:
        if protocol.name in overlap.protocols:
            shared = [*overlap.ids, *(pair[1] for pair in overlap.content)]
            problems.append(
                f"{len(set(shared))} clips of {overlap.splits[1]} are also in {overlap.splits[0]}, "
                f"such as {shared[0]}"
            )
    computed = texts_hash(test.texts(protocol.query_unit), [clip.id for clip in test.clips])
    status = "verified" if computed == protocol.texts_hash else "differs"
    return ProtocolFindings(
        protocol.train,
        protocol.test,
        lacking,
        queries=test.queries(protocol.query_unit),
        expected_queries=protocol.n_queries,
        gallery=len(test.clips),
        expected_gallery=protocol.n_gallery,
        usable=found.found - len(found.damaged),
        texts_hash=computed,
        hash_status=status if protocol.texts_hash else "not stated",
        incomplete=_incomplete(found, protocol.n_gallery),
        problems=tuple(problems),
    )


def _incomplete(test: SplitFindings, stated: int) -> str:
    """How much of a gallery of ``stated`` clips is usable, where not all is, and where the rest went."""
    whole, usable = max(stated, test.clips), test.found - len(test.damaged)
    if usable == whole:
        return ""
    silent = min(len(test.silent), whole - test.clips)  # a list may name some that the protocol leaves out
    lost = {
        "missing": len(test.missing),
        "damaged": len(test.damaged),
        "listed without a text": silent,
        "not in the annotation files": whole - test.clips - silent,
    }
    reasons = ", ".join(f"{count} {what}" for what, count in lost.items() if count)
    return f"{usable} of {whole} clips ({reasons})"

"""Data sets: what :class:`harness.data.Dataset` promises, on the plugin's own sample of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import Caption, Dataset
from harness.errors import HarnessError, in_one_line
from harness.plugins import load_factory
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.plain import make

PREPARED = "it opens, or says what is missing"


@dataclass
class Bench:
    """A data set over its sample in a folder of its own; None where there is no sample."""

    subject: Subject
    folder: tempfile.TemporaryDirectory
    dataset: Dataset | None

    @property
    def opened(self) -> Dataset:
        if self.dataset is None:
            raise NotChecked("it declares no `sample`, a miniature of its files")
        return self.dataset


def prepare(subject: Subject) -> Bench:
    folder = tempfile.TemporaryDirectory(prefix="harness-check-")
    root = Path(folder.name) / "sample"
    root.mkdir()
    if subject.spec.generated:
        return Bench(subject, folder, make(subject, Dataset, root))
    try:
        make(subject, Dataset, root)
    except HarnessError as error:
        if str(root) not in f"{error.message} {error.hint}":
            raise Fault(f"over an empty folder it says: {error.message}", "say where it looked") from error
    except OSError as error:
        said = in_one_line(error, subject.plugin.package)
        raise Fault(
            f"over an empty folder it raises {said}", "raise HarnessError that says which files it wants"
        ) from error
    else:
        raise Fault(
            "an empty folder is opened without an error", "raise HarnessError that says which files it wants"
        )
    if not subject.spec.sample:
        return Bench(subject, folder, None)
    load_factory(subject.spec.sample, subject.plugin)(root)
    try:
        return Bench(subject, folder, make(subject, Dataset, root))
    except HarnessError as error:
        raise Fault(
            f"over its own sample it says: {error.message}", "the sample has to hold all files that it opens"
        ) from error


def protocols(bench: Bench) -> None:
    """Names are unique; every split that a protocol names is there, with clips."""
    named = [protocol.name for protocol in bench.subject.spec.protocols]
    if not named or len(set(named)) != len(named):
        raise Fault(f"its protocols are {named}", "at least one, each with a name of its own")
    splits = bench.opened.splits()
    for protocol in bench.subject.spec.protocols:
        bench.subject.registry.find("tasks", protocol.tasks[0])
        for split in filter(None, (protocol.train, protocol.test, protocol.val)):
            if split in splits and not bench.opened.clips(split):
                raise Fault(f"the split '{split}' of the protocol {protocol.name} has no clips")
    if not any(protocol.test in splits for protocol in bench.subject.spec.protocols):
        raise Fault(
            f"no protocol's test split is among {list(splits)}", "splits() names those whose files are there"
        )


def consistent(bench: Bench) -> None:
    """Ids are unique within a split; every text and question is about a clip of its split. Paths are paths."""
    for split in bench.opened.splits():
        for clip in bench.opened.clips(split):
            if not isinstance(clip.path, Path | None):
                raise Fault(
                    f"the path of clip {clip.id} is a {type(clip.path).__name__}", "a pathlib.Path, or None"
                )
        ids = [clip.id for clip in bench.opened.clips(split)]
        _unique(f"clip of '{split}'", ids)
        listed: list[tuple[str, Sequence[Caption]]] = [("question", bench.opened.questions(split))]
        listed += [(source, bench.opened.captions(split, source)) for source in bench.opened.sources(split)]
        for what, texts in listed:
            _unique(f"{what} of '{split}'", [text.id for text in texts])
            strays = [text.id for text in texts if text.clip_id not in set(ids)]
            if strays:
                raise Fault(
                    f"the {what} {strays[0]} of '{split}' is about no clip of that split",
                    "clip_id is a clip's id",
                )
            if any(not text.text.strip() for text in texts):
                raise Fault(f"a {what} of '{split}' is empty", "leave it out, or say why it counts")


def _unique(what: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise Fault(f"there are two of the id {name}: {what}", "an id is unique within its split")
        seen.add(name)


def counted(bench: Bench) -> None:
    """``check`` counts what ``clips`` and ``captions`` list, and names what is missing."""
    dataset = bench.opened
    report = dataset.check(dataset.splits())
    for split, said in report.splits.items():
        clips = dataset.clips(split)
        missing = [clip.id for clip in clips if clip.path is None]
        if (said.clips, said.captions) != (len(clips), len(dataset.captions(split))):
            raise Fault(
                f"check of '{split}' counts {said.clips} clips and {said.captions} captions, which are not what is listed"
            )
        if sorted(said.missing) != sorted(missing):
            raise Fault(
                f"check of '{split}' names {len(said.missing)} missing clips, {len(missing)} have no path"
            )


def repeatable(bench: Bench) -> None:
    """Opened again, it lists the same clips and texts in the same order."""
    first = bench.opened
    again = make(bench.subject, Dataset, Path(bench.folder.name) / "sample")
    for split in first.splits():
        if list(first.clips(split)) != list(again.clips(split)) or list(first.captions(split)) != list(
            again.captions(split)
        ):
            raise Fault(
                f"'{split}' lists its clips or texts otherwise when it is opened again",
                "sort what a folder lists",
            )


def readable(bench: Bench) -> None:
    """A clip of the sample is a video, and its window lies within it."""
    from harness.data.video import probe

    if bench.subject.spec.generated:
        raise NotChecked("its files are generated by a run")
    for split in bench.opened.splits():
        for clip in [clip for clip in bench.opened.clips(split) if clip.path is not None][:1]:
            length = probe(clip.path).duration_s
            if not 0 <= clip.start_s < (clip.end_s if clip.end_s is not None else length):
                raise Fault(
                    f"clip {clip.id} is shown from {clip.start_s} s to {clip.end_s} s",
                    "seconds from the file's first frame",
                )


CHECKS = (
    ("its protocols name its splits", protocols),
    ("clips, texts and questions belong together", consistent),
    ("its check counts what it lists", counted),
    ("it lists the same every time", repeatable),
    ("a clip can be read", readable),
)

"""How long a data set of many clips takes to open, and whether that grows in step with their number.

Two shapes: tab-separated film clips in a folder for each film, and a JSON mapping of videos in one
folder to the sentences of a paragraph. The files are made for the purpose, the videos empty: opening
a data set finds and names them, and decodes nothing. Something done for each clip that looks at all
others would take sixteen times as long for four times the clips.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.bench.place import writable
from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split
from harness.results.table import markdown_table

#: A full size is measured against one of so many times fewer entries.
STEP = 4

#: Clips of one film, about as many as a feature film has sentences of audio description.
_CLIPS_OF_A_FILM = 600

_SENTENCE = "someone walks along the corridor and opens the door at the end of it"


@dataclass(frozen=True)
class Timing:
    """Medians in seconds: ``open`` walks the folder, ``clips`` reads the annotations and finds each
    file, ``captions`` makes the texts, ``check`` counts what is missing."""

    entries: int
    open: float
    clips: float
    captions: float
    check: float

    @property
    def total(self) -> float:
        return self.open + self.clips + self.captions + self.check


@dataclass(frozen=True)
class Shape:
    """One shape of annotations; ``ratio`` is the full size's total by that of a fourth of it."""

    name: str
    few: Timing
    many: Timing

    @property
    def ratio(self) -> float:
        return self.many.total / self.few.total


@dataclass(frozen=True)
class Result:
    """Both shapes, as medians over ``rounds``."""

    rounds: int
    shapes: tuple[Shape, ...]


def measure(folder: Path, film_clips: int, videos: int, rounds: int) -> Result:
    """Makes trees of both shapes below ``folder``, at full size and a fourth of it, and opens them."""
    writable(folder)
    shapes = []
    for name, make, split, size in (
        ("film clips, tab-separated", _films, Split((Route(("clips.csv",)),)), film_clips),
        ("paragraphs, JSON", _paragraphs, Split((Route(("texts.json",)),), paragraph=True), videos),
    ):
        with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as place:
            few, many = Path(place, "few"), Path(place, "many")
            make(few, size // STEP)
            make(many, size)
            # In turns, so that whatever else the machine does slows both.
            timed = [(_open(few, split), _open(many, split)) for _ in range(rounds)]
            shapes.append(Shape(name, *(_median(timings) for timings in zip(*timed))))
    return Result(rounds, tuple(shapes))


def to_json(result: Result) -> str:
    values = asdict(result)
    for shown, shape in zip(values["shapes"], result.shapes):
        shown["ratio"] = shape.ratio
        shown["few"]["total"], shown["many"]["total"] = shape.few.total, shape.many.total
    return json.dumps(values, indent=2)


def summary(result: Result) -> str:
    """The table, and what its last column should be."""
    rows = []
    for shape in result.shapes:
        for timing in (shape.few, shape.many):
            seconds = (timing.open, timing.clips, timing.captions, timing.check, timing.total)
            ratio = f"{shape.ratio:.1f}" if timing is shape.many else ""
            rows.append([shape.name, f"{timing.entries:,}", *(f"{s:.2f}" for s in seconds), ratio])
    headers = [
        "annotations",
        "entries",
        "open (s)",
        "clips (s)",
        "captions (s)",
        "check (s)",
        "total (s)",
        "ratio",
    ]
    note = f"medians over {result.rounds} rounds; {STEP} times the entries in {STEP} times the time is in proportion"
    return f"{markdown_table(headers, rows)}\n\n{note}"


def _films(root: Path, count: int) -> None:
    """``count`` clips, each a file ``<film>/<film>_<from>-<to>.avi`` and a line."""
    root.mkdir()
    with (root / "clips.csv").open("w", encoding="utf-8") as file:
        for number in range(count):
            film, place = divmod(number, _CLIPS_OF_A_FILM)
            begin, end = _clock(place * 7), _clock(place * 7 + 5)
            name = f"{film:04d}_A_FILM"
            clip = f"{name}_{begin}-{end}"
            folder = root / name
            if place == 0:
                folder.mkdir()
            (folder / f"{clip}.avi").touch()
            file.write("\t".join([clip, begin, end, begin, end, f"{_SENTENCE} {number}"]) + "\n")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}.{seconds // 60 % 60:02d}.{seconds % 60:02d}.{seconds * 37 % 1000:03d}"


def _paragraphs(root: Path, count: int) -> None:
    """``count`` videos in one folder, each with two to five sentences."""
    (root / "videos").mkdir(parents=True)
    said = {}
    for number in range(count):
        name = f"v_{number:011d}"
        (root / "videos" / f"{name}.mp4").touch()
        sentences = [f" {_SENTENCE} {number}.{place}" for place in range(2 + number % 4)]
        times = [[place * 10.5, place * 10.5 + 9] for place in range(len(sentences))]
        said[name] = {"duration": 120.5, "timestamps": times, "sentences": sentences}
    (root / "texts.json").write_text(json.dumps(said), encoding="utf-8")


def _open(root: Path, split: Split) -> Timing:
    opened, dataset = _seconds(lambda: AnnotatedDataset("bench", {"all": split}, AnnotatedOptions(), root))
    listed, clips = _seconds(lambda: dataset.clips("all"))
    said, captions = _seconds(lambda: dataset.captions("all"))
    checked, report = _seconds(lambda: dataset.check(["all"]))
    assert captions and report.splits["all"].found == len(clips), "every file that was made is found"
    return Timing(len(clips), opened, listed, said, checked)


def _seconds(work: Callable) -> tuple[float, object]:
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def _median(timings: tuple[Timing, ...]) -> Timing:
    def of(name: str) -> float:
        return statistics.median(getattr(timing, name) for timing in timings)

    return Timing(timings[0].entries, of("open"), of("clips"), of("captions"), of("check"))

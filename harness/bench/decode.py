"""How fast clips are decoded to a model's frames, against PyAV from the start and the ffmpeg command.

All ways take turns, clip by clip, so that whatever else the machine does slows each of them, and
medians are compared. Every way gives the same pictures: 12 spread frames, 224 pixels square.
ffmpeg is charged for its work only: what it needs for a clip of one frame, its start, is measured in the
same turns and taken off.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from harness.bench import memory
from harness.bench.footage import SCENE_S, SHAPES, Shape, footage, footage_path
from harness.data.sampling import uniform
from harness.data.transform import Geometry
from harness.data.video import read_frames
from harness.engine.progress import meter
from harness.results.table import NOTHING, markdown_table

FRAMES = 12
GEOMETRY = Geometry(224)

#: Seconds of work that a pool of threads gets in one turn: enough for both to run most of the time.
_POOLED_S = 1.0


@dataclass(frozen=True)
class Row:
    """One clip shape. Seconds are for one clip, medians over the turns; ``ffmpeg_s`` is net of the
    command's start ``ffmpeg_start_s``, both None without the command. ``two_threads`` is clips per
    second of two threads over one. ``peak_mb`` is what a process gains in memory over idle."""

    shape: str
    harness_s: float
    pyav_s: float
    ffmpeg_s: float | None
    ffmpeg_start_s: float | None
    two_threads: float
    peak_mb: float | None

    @property
    def over_pyav(self) -> float:
        return self.pyav_s / self.harness_s

    @property
    def over_ffmpeg(self) -> float | None:
        return None if self.ffmpeg_s is None else self.ffmpeg_s / self.harness_s


def measure(folder: Path, turns: int, shapes: Sequence[Shape] = SHAPES) -> list[Row]:
    """A row for each of ``shapes``, whose footage is kept under ``folder``."""
    start_clip = footage(folder, Shape("start", 0, 64, 64))
    rows = []
    for shape in shapes:
        with meter(
            f"making {shape}", shape.frames, shown=not os.path.exists(footage_path(folder, shape))
        ) as making:
            clip = footage(folder, shape, making.update)
        with meter(f"reading {shape}", turns) as reading:
            rows.append(_measure(shape, clip, start_clip, turns, reading.update))
    return rows


def _measure(shape: Shape, clip: Path, start_clip: Path, turns: int, progress: Callable[[int], None]) -> Row:
    read_clip(clip)
    pooled = 2 * math.ceil(_POOLED_S / 2 / _seconds(partial(read_clip, clip)))
    ways: dict[str, Callable[[], object]] = {
        "harness": partial(read_clip, clip),
        "pyav": partial(read_from_the_start, clip),
        "one thread": partial(_pool, 1, clip, pooled),
        "two threads": partial(_pool, 2, clip, pooled),
    }
    command = shutil.which("ffmpeg")
    if command:
        ways["ffmpeg"] = partial(read_with_ffmpeg, command, clip, shape.frames)
        ways["ffmpeg start"] = partial(read_with_ffmpeg, command, start_clip, 1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns):
        for name, way in ways.items():
            seconds[name].append(_seconds(way))
        progress(turn + 1)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    start = median.get("ffmpeg start")
    return Row(
        shape=str(shape),
        harness_s=median["harness"],
        pyav_s=median["pyav"],
        ffmpeg_s=median["ffmpeg"] - start if start is not None else None,
        ffmpeg_start_s=start,
        two_threads=median["one thread"] / median["two threads"],
        peak_mb=peak_megabytes(clip),
    )


def read_clip(clip: Path) -> np.ndarray:
    """The harness's way: uint8 ``[12, 3, 224, 224]``."""
    decoded = read_frames(clip, lambda info: uniform(info.frames, FRAMES), convert=GEOMETRY.apply)
    return np.stack(decoded.frames)


def read_from_the_start(clip: Path) -> np.ndarray:
    """The same frames with PyAV alone, decoding one after the other up to the last wanted one."""
    pictures = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = set(uniform(stream.frames, FRAMES).tolist())
        for place, frame in enumerate(container.decode(stream)):
            if place in wanted:
                pictures.append(GEOMETRY.apply(frame.to_ndarray(format="rgb24")))
                if len(pictures) == len(wanted):
                    break
    return np.stack(pictures)


def read_with_ffmpeg(command: str, clip: Path, frames: int) -> np.ndarray:
    """The same with the ffmpeg command on one thread, its raw pictures read from a pipe: uint8
    ``[12, 224, 224, 3]``, fewer for a clip with fewer ``frames``."""
    size, wanted = GEOMETRY.size, sorted(set(uniform(frames, FRAMES).tolist()))
    picked = "+".join(f"eq(n\\,{place})" for place in wanted)
    fit = f"scale={size}:{size}:force_original_aspect_ratio=increase:flags=bicubic,crop={size}:{size}"
    arguments = [command, "-v", "error", "-nostdin", "-threads", "1", "-i", str(clip), "-an"]
    arguments += ["-vf", f"select={picked},{fit}", "-fps_mode", "passthrough"]
    arguments += ["-filter_threads", "1", "-frames:v", str(len(wanted))]
    arguments += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size, size, 3)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _pool(threads: int, clip: Path, clips: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read_clip, [clip] * clips))


def peak_megabytes(clip: Path) -> float | None:
    """What reading ``clip`` adds to the memory of a fresh process at its peak; None where the system
    does not say."""
    if not memory.is_told():
        return None
    code = "import sys; from harness.bench.decode import print_peak; print_peak(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(clip)], check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def print_peak(clip: str) -> None:
    """In that process: reads, and prints the megabytes by which the peak exceeds what was held before."""
    import PIL.Image  # noqa: F401  (loaded at the first resize otherwise)

    before = memory.resident_mb()
    read_clip(Path(clip))
    print(memory.peak_mb() - before)


def to_json(rows: Sequence[Row]) -> str:
    figures = [asdict(row) | {"over_pyav": row.over_pyav, "over_ffmpeg": row.over_ffmpeg} for row in rows]
    what = {"frames": FRAMES, "size": GEOMETRY.size, "key_frame_every_s": SCENE_S}
    return json.dumps(what | {"clips": figures}, indent=2)


def summary(rows: Sequence[Row]) -> str:
    """The table, what it says of the ffmpeg command, and what its gains hang on."""
    headers = [
        "clip",
        "clips/s",
        "PyAV from the start",
        "ffmpeg",
        "x PyAV",
        "x ffmpeg",
        "2 threads",
        "MB over idle",
    ]
    body = [
        [
            row.shape,
            f"{1 / row.harness_s:.1f}",
            f"{1 / row.pyav_s:.1f}",
            NOTHING if row.ffmpeg_s is None else f"{1 / row.ffmpeg_s:.1f}",
            f"{row.over_pyav:.2f}",
            NOTHING if row.over_ffmpeg is None else f"{row.over_ffmpeg:.2f}",
            f"x {row.two_threads:.2f}",
            NOTHING if row.peak_mb is None else f"{row.peak_mb:.0f}",
        ]
        for row in rows
    ]
    start = rows[0].ffmpeg_start_s
    note = (
        "no ffmpeg command on the PATH"
        if start is None
        else f"ffmpeg net of its start, {start * 1000:.0f} ms"
    )
    how = f"{FRAMES} frames at {GEOMETRY.size} pixels, one thread, medians; {note}"
    least, most = SCENE_S
    keys = f"the footage has a key frame every {least} to {most} s; where they lie further apart, the gain is smaller"
    return f"{markdown_table(headers, body)}\n\n{how}\n{keys}"

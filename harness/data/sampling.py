"""Which frames of a clip are looked at. Plain numpy, and random only through a given generator.

Every chooser returns frame indices int64 ``[T]`` in ascending order. Each returned index stands
for a real frame, repeats included; :func:`real_mask` gives the mask of a batch that pads further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError

#: Presentation times are rounded to stream ticks, so a frame may be this late for its own tick.
_TICK_SLACK_S = 1e-6


def uniform(available: int, wanted: int, short: str = "repeat") -> np.ndarray:
    """``wanted`` indices spread evenly over ``available`` frames, both ends included.

    ``linspace(0, available - 1, wanted)`` cut to integers, which is CLIP-ViP's test mode
    (``src/datasets/dataset_video_retrieval.py``). A clip with fewer frames repeats some
    (``short="repeat"``) or yields each of its frames once (``short="fewer"``).
    """
    assert available > 0 and wanted > 0 and short in ("repeat", "fewer")
    count = min(available, wanted) if short == "fewer" else wanted
    return np.linspace(0, available - 1, count).astype(np.int64)


def fps(times: np.ndarray, duration_s: float, rate: float, max_frames: int) -> np.ndarray:
    """The frame on screen at each multiple of ``1 / rate`` seconds after the first frame.

    ``times [n]`` are presentation times in seconds. More than ``max_frames`` are thinned evenly,
    by a truncated linspace over their places. Going by time, not by frame number, is what makes
    it right for variable frame rates; a frame that stays on screen for several ticks is repeated.
    """
    assert len(times) > 0 and rate > 0 and max_frames > 0
    ticks = max(1, int(np.ceil(duration_s * rate - _TICK_SLACK_S)))
    moments = times[0] + np.arange(ticks) / rate + _TICK_SLACK_S
    indices = np.searchsorted(times, moments, side="right") - 1
    if ticks > max_frames:
        indices = indices[uniform(ticks, max_frames)]
    return indices.astype(np.int64)


def candidates(available: int, count: int) -> np.ndarray:
    """Up to ``count`` distinct frames, evenly spread, for training to draw from with `jitter`.

    Caching more candidates than a step needs is what keeps temporal jitter possible without
    decoding again.
    """
    return uniform(available, count, short="fewer")


def jitter(candidate_count: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """``wanted`` ascending places among ``candidate_count`` candidates, ends moved at random.

    CLIP-ViP's training mode: with ``interval = int(n / (wanted - 1))``, a start from
    ``{0 .. interval}``, an end from ``{n - 1 - interval .. n - 1}`` and an even spread between
    them, cut to integers. Where its code would fail or run backwards (one frame wanted, or fewer
    candidates than two intervals) the draw is limited to the candidates and put in order.
    """
    assert candidate_count > 0 and wanted > 0
    if wanted == 1:
        return rng.integers(0, candidate_count, size=1)
    interval = min(int(candidate_count / (wanted - 1)), candidate_count - 1)
    start = int(rng.integers(0, interval + 1))
    end = int(rng.integers(candidate_count - 1 - interval, candidate_count))
    return np.linspace(min(start, end), max(start, end), wanted).astype(np.int64)


def real_mask(count: int, length: int) -> np.ndarray:
    """Bool ``[length]``: True for the first ``count`` places, which hold real frames."""
    assert 0 < count <= length
    return np.arange(length) < count


@dataclass(frozen=True)
class Sampling:
    """How a clip's frames are chosen, as data that names a cache entry.

    ``kind`` is ``"uniform"`` (``frames`` over the whole clip) or ``"fps"`` (``fps`` frames per
    second of presentation time, thinned to at most ``frames``). ``short`` says what a uniform
    choice does in a clip of fewer frames: ``"repeat"`` or ``"fewer"``.
    """

    kind: str = "uniform"
    frames: int = 12
    fps: float | None = None
    short: str = "repeat"

    def __post_init__(self) -> None:
        if self.kind not in ("uniform", "fps"):
            raise HarnessError(f"unknown frame sampling '{self.kind}'", "choose 'uniform' or 'fps'")
        if self.short not in ("repeat", "fewer"):
            raise HarnessError(f"unknown policy '{self.short}' for short clips", "choose 'repeat' or 'fewer'")
        if self.frames < 1:
            raise HarnessError(f"cannot sample {self.frames} frames", "ask for 1 or more")
        if self.kind == "fps" and not (self.fps and self.fps > 0):
            raise HarnessError("fps sampling needs a rate", "set fps to frames per second, for example 1")
        if self.kind == "uniform" and self.fps is not None:
            raise HarnessError("uniform sampling takes no fps", "drop fps, or use the sampling kind 'fps'")

    def choose(self, info) -> np.ndarray:
        """Indices int64 ``[T]`` for a clip's ``VideoInfo``; ``T <= frames``."""
        if self.kind == "fps":
            return fps(info.times, info.duration_s, self.fps, self.frames)
        return uniform(info.frames, self.frames, self.short)

    def key(self) -> str:
        """A stable name for cache addresses."""
        if self.kind == "fps":
            return f"fps-{float(self.fps)!r}-max-{self.frames}"
        return f"uniform-{self.frames}-{self.short}"

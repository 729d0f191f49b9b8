"""Which frames of a clip are looked at. Plain numpy, and random only through a given generator.

Every chooser returns frame indices int64 ``[T]`` in ascending order. Each returned index stands
for a real frame, repeats included. :func:`in_order` says in which order a batch then holds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.data.window import restricted
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.data.video import VideoInfo

#: Ways to sample.
KINDS = ("uniform", "strided", "fps", "reference_fps", "middle")

#: Which of too many sampled frames stay, and in which order frames are given to a model.
SLICES = ("even", "head", "tail")
ORDERS = ("forward", "reversed", "shuffled", "middle")

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


def middle(available: int) -> np.ndarray:
    """The frame in the middle: ``available // 2``, as CLIP-ViP takes the picture that it captions
    (``src/datasets/dataset_pretrain_stage1_all_source.py``)."""
    assert available > 0
    return np.array([available // 2], dtype=np.int64)


def strided(available: int, wanted: int, stride: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """``wanted`` frames, ``stride`` apart; those beyond the end start again from the first frame.

    Without ``rng`` they stand around the middle of the clip. With it the place of the whole is random, and
    each frame is moved by less than the stride, as in CLIP-ViP's training with ``sample_rate``
    (``src/datasets/dataloader.py``, after mmaction's ``SampleFrames``).
    """
    assert available > 0 and wanted > 0 and stride > 0
    places = max(0, available - wanted * stride) + 1
    if rng is None:
        return (max(0, available - (wanted - 1) * stride - 1) // 2 + np.arange(wanted) * stride) % available
    start = int(rng.integers(0, places)) if available >= wanted * stride else 0
    return (start + np.arange(wanted) * stride + rng.integers(0, stride, size=wanted)) % available


def fps(times: np.ndarray, duration_s: float, rate: float, max_frames: int, part: str = "even") -> np.ndarray:
    """The frame on screen at each multiple of ``1 / rate`` seconds after the first frame.

    ``times [n]`` are presentation times in seconds. Of more than ``max_frames`` a ``part`` is
    :func:`kept`. Going by time, not by frame number, is what makes it right for variable frame
    rates; a frame that stays on screen for several ticks is repeated.
    """
    assert len(times) > 0 and rate > 0 and max_frames > 0
    ticks = max(1, int(np.ceil(duration_s * rate - _TICK_SLACK_S)))
    moments = times[0] + np.arange(ticks) / rate + _TICK_SLACK_S
    indices = np.searchsorted(times, moments, side="right") - 1
    return indices[kept(ticks, max_frames, part)].astype(np.int64)


def reference_fps(
    rate: float, available: int, per_second: int, start_s: float = 0.0, end_s: float | None = None
) -> np.ndarray:
    """``per_second`` frames of every second from ``start_s`` to ``end_s``, both included.

    The arithmetic that most CLIP-based retrieval code shares (``dataloaders/rawvideo_util.py``), by
    frame number: the container's ``rate`` is cut to an integer, so the moments drift where it is
    none; the seconds end with ``ceil(available / rate)`` at the latest; the first index beyond the
    clip's ``available`` frames ends the reading. That code knows whole seconds only; a window that
    has others is widened to them. Empty where the window holds no frame. Raises
    :class:`HarnessError` where a second does not have that many frames.
    """
    assert available > 0 and per_second > 0
    whole = int(rate)
    if whole < per_second:
        raise HarnessError(
            f"{per_second} frames per second cannot be taken from a clip of {rate:g}",
            "ask for fewer: --set data.fps=1" if whole else "use another data.sampling, such as fps",
        )
    last = math.ceil(available / whole)
    if end_s is not None:
        last = min(last, math.ceil(end_s))
    seconds = np.arange(math.floor(start_s), last + 1)
    indices = (seconds[:, None] * whole + np.arange(per_second) * (whole // per_second)).ravel()
    return indices[indices < available]


def kept(available: int, max_frames: int, part: str = "even") -> np.ndarray:
    """Ascending places int64 ``[<= max_frames]`` of the sampled frames that stay.

    All of them if there are no more than ``max_frames``; otherwise those spread evenly, both ends
    included, or the first (``head``) or last (``tail``) ones.
    """
    assert available >= 0 and max_frames > 0 and part in SLICES
    count = min(available, max_frames)
    if count < available and part == "even":
        return uniform(available, count)
    return np.arange(count) + (available - count if part == "tail" else 0)


def in_order(count: int, order: str, rng: np.random.Generator | None = None) -> np.ndarray:
    """The places int64 ``[count]`` of ``count`` frames in ``forward``, ``reversed`` or ``shuffled``
    order; ``rng`` shuffles. ``middle``: the middle one in every place, a clip that stands still.

    A still keeps the number of frames, so it is a legal clip for every temporal module, and all of them
    get the same one.
    """
    assert order in ORDERS
    if order == "middle":
        return middle(count).repeat(count)
    if order == "shuffled":
        assert rng is not None, "a shuffle has to be repeatable"
        return rng.permutation(count)
    return np.arange(count)[:: -1 if order == "reversed" else 1]


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
    them, cut to integers. Where its code would fail, run backwards or leave the clip (one or two
    frames wanted), both ends are put in order and inside.
    """
    assert candidate_count > 0 and wanted > 0
    if wanted == 1:
        return rng.integers(0, candidate_count, size=1)
    interval = int(candidate_count / (wanted - 1))
    start = int(rng.integers(0, interval + 1))
    end = int(rng.integers(candidate_count - 1 - interval, candidate_count))
    first, last = sorted((min(start, candidate_count - 1), max(0, end)))
    return np.linspace(first, last, wanted).astype(np.int64)


@dataclass(frozen=True)
class Sampling:
    """How a clip's frames are chosen, as data that names a cache entry.

    ``kind`` is ``"uniform"`` (``frames`` over the whole clip), ``"strided"`` (``frames`` that are
    ``stride`` apart), ``"fps"`` (``fps`` frames per second of presentation time), ``"reference_fps"``
    (``fps`` frames per second by frame number, as :func:`reference_fps` counts) or ``"middle"`` (one). ``slice`` says which ``frames`` of more are kept; a uniform choice
    never has more. ``short`` says what it does in a clip of fewer frames: ``"repeat"`` or ``"fewer"``.
    """

    kind: str = "uniform"
    frames: int = 12
    fps: float | None = None
    short: str = "repeat"
    slice: str = "even"
    stride: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise HarnessError(f"unknown frame sampling '{self.kind}'", f"choose {', '.join(KINDS)}")
        if self.short not in ("repeat", "fewer"):
            raise HarnessError(f"unknown policy '{self.short}' for short clips", "choose 'repeat' or 'fewer'")
        if self.slice not in SLICES:
            raise HarnessError(f"unknown slice '{self.slice}'", f"choose {', '.join(SLICES)}")
        if self.frames < 1:
            raise HarnessError(f"cannot sample {self.frames} frames", "ask for 1 or more")
        timed = self.kind in ("fps", "reference_fps")
        if not timed and self.fps is not None:
            raise HarnessError(
                f"{self.kind} sampling takes no fps", "drop fps, or use the sampling kind 'fps'"
            )
        if not timed and self.slice != "even":
            raise HarnessError(
                f"{self.kind} sampling has no {self.slice} to keep", "use the sampling kind 'fps'"
            )
        if self.kind == "middle" and self.frames != 1:
            raise HarnessError(f"middle sampling gives 1 frame, not {self.frames}", "set frames to 1")
        if timed and not (self.fps and self.fps > 0):
            raise HarnessError(
                f"{self.kind} sampling needs a rate", "set fps to frames per second, for example 1"
            )
        if self.kind == "reference_fps" and self.fps != int(self.fps):
            raise HarnessError(
                f"reference_fps sampling cannot take {self.fps:g} frames per second", "set fps to 1 or more"
            )

    @property
    def drawn(self) -> bool:
        """Whether random frames are drawn from the whole clip, and not from cached candidates."""
        return self.kind == "strided"

    def choose(
        self,
        info: VideoInfo,
        start_s: float = 0.0,
        end_s: float | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Indices int64 ``[T]`` into the file of ``info``, for the window of it that is the clip.

        ``T <= frames``, and 0 where the window holds no frame. ``reference_fps`` counts seconds from
        the file's start and includes the second at which the window ends; the other kinds see what
        is on screen in the window as if it were all that there is. ``rng`` moves those that are
        :attr:`drawn`.
        """
        if self.kind == "reference_fps":
            indices = reference_fps(info.rate, info.frames, int(self.fps), start_s, end_s)
            return indices[kept(len(indices), self.frames, self.slice)]
        info, first = restricted(info, start_s, end_s)
        if not info.frames:
            return np.zeros(0, np.int64)
        if self.kind == "fps":
            return first + fps(info.times, info.duration_s, self.fps, self.frames, self.slice)
        if self.kind == "middle":
            return first + middle(info.frames)
        if self.kind == "strided":
            return first + strided(info.frames, self.frames, self.stride, rng)
        return first + uniform(info.frames, self.frames, self.short)

    def key(self) -> str:
        """A stable name for cache addresses."""
        if self.kind == "middle":
            return "middle"
        if self.kind == "strided":
            return f"strided-{self.frames}-{self.stride}"
        if self.kind == "uniform":
            return f"uniform-{self.frames}-{self.short}"
        name = "fps" if self.kind == "fps" else "reference-fps"
        part = "" if self.slice == "even" else f"-{self.slice}"
        return f"{name}-{float(self.fps)!r}-max-{self.frames}{part}"

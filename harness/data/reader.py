"""From a clip to the frames that a model sees, through the frame cache.

Preparing is the only thing that writes to the cache, so the many worker processes of a data
loader never compete, and what they read needs no decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from harness.data.cache import Damaged, FrameCache, clip_key, jpeg
from harness.data.dataset import Clip
from harness.data.processes import decode_in_processes
from harness.data.sampling import Sampling
from harness.data.storing import DecodedClip, store
from harness.data.transform import Geometry
from harness.data.video import DamagedClip, VideoInfo, raise_if_out_of_files, read_frames
from harness.data.window import no_frame
from harness.errors import HarnessError

Progress = Callable[[int, int], None]


class ClipFrames(NamedTuple):
    """``frames`` uint8 ``[T, 3, H, W]`` (read-only if cached) and ``times [T]`` in seconds, which
    count as the file's do, for a clip that is a window too."""

    frames: np.ndarray
    times: np.ndarray


class CacheStatus(NamedTuple):
    """``hits``: clips with nothing left to decode (known damage included); ``misses``: clips still
    to be decoded; ``projected_bytes``: the most that storing them will take, as JPEG about."""

    hits: int
    misses: list[Clip]
    projected_bytes: int


@dataclass(frozen=True)
class ClipReader:
    """Reads clips with one sampling and one geometry; picklable, safe to use from threads.

    Every clip given has a ``path``. ``threads`` is how many clips :meth:`prepare` decodes at once. Without a ``cache``
    every read decodes. With ``storage`` jpeg all frames, cached or not, have been through JPEG.
    """

    sampling: Sampling
    geometry: Geometry
    cache: FrameCache | None = None
    threads: int = 1
    storage: Literal["npy", "jpeg"] = "npy"

    def read(self, clip: Clip) -> ClipFrames:
        """The frames of one clip, from the cache if they are there. Raises ``DamagedClip``."""
        if self.cache is not None:
            key = self.key(clip)
            known = self.cache.lookup(key)
            if known is None:
                # Another run may have stored it since; looking costs far less than decoding.
                self.cache.refresh()
                known = self.cache.lookup(key)
            if isinstance(known, Damaged):
                raise DamagedClip(clip.path, known.reason)
            if known is not None:
                return ClipFrames(known.frames, known.times)
        stored, times = self.decode(clip)
        return ClipFrames(stored if isinstance(stored, np.ndarray) else jpeg.decode(stored), times)

    def prepare(
        self, clips: Iterable[Clip], progress: Progress | None = None, processes: int = 0
    ) -> dict[str, str]:
        """Fills the cache and returns the reason for each clip, by id, that cannot be read.

        ``progress(done, total)`` is called from the calling thread, first with what needs no
        work. Clips of the same content are decoded once. If it is interrupted, what was decoded
        so far is kept. With ``processes``, which takes a cache, so many of them decode, and a file
        that makes the decoder crash is damaged for this once; otherwise ``threads`` do it here.

        Without a cache everything is decoded and thrown away: a run has to know the
        damaged clips beforehand to have the same samples as a run with a cache.
        """
        if self.cache is not None:
            self.cache.refresh()
        clips = list({clip.id: clip for clip in clips}.values())
        damaged: dict[str, str] = {}
        by_key: dict[str, list[Clip]] = {}
        for clip in clips:
            try:
                by_key.setdefault(self.key(clip), []).append(clip)
            except DamagedClip as error:
                damaged[clip.id] = error.reason
        work = {key: same[0] for key, same in by_key.items() if not self.is_cached(key)}
        counts = {key: len(by_key[key]) for key in work}
        done = len(clips) - sum(counts.values())
        report = progress or (lambda *_: None)
        report(done, len(clips))
        failed = {}
        fill = self._fill_by_processes(work, processes) if processes else self._fill(work)
        with closing(fill) as finished:
            for key, error in finished:
                if error is not None:
                    failed[key] = error.reason
                if key in counts:  # some come a second time, with other news
                    done += counts.pop(key)
                    report(done, len(clips))
        for key, same in by_key.items():
            reason = failed.get(key) or (self.cache.damage(key) if self.cache is not None else None)
            if reason is not None:
                damaged.update((clip.id, reason) for clip in same)
        return damaged

    def status(
        self, clips: Iterable[Clip], progress: Progress | None = None, verify: bool = False
    ) -> CacheStatus:
        """What :meth:`prepare` would find, without decoding.

        With ``verify`` all stored frames are read and held against their checksums. Clips that fail are
        misses, also for :meth:`prepare` afterwards, which stores them anew.

        Sampling by time may give fewer frames than allowed, so the projection is an upper bound
        for pixels; pictures are taken to have their usual share of that.
        Without a cache all clips are misses and nothing will be stored.
        """
        clips = list({clip.id: clip for clip in clips}.values())
        if self.cache is None:
            return CacheStatus(0, clips, 0)
        self.cache.refresh()
        report = progress or (lambda *_: None)
        misses, to_store = [], set()
        for done, clip in enumerate(clips):
            report(done, len(clips))
            try:
                key = self.key(clip)
            except DamagedClip:
                misses.append(clip)
                continue
            if not (self.cache.verify(key) if verify else key in self.cache):
                misses.append(clip)
                to_store.add(key)
        report(len(clips), len(clips))
        per_clip = self.sampling.frames * 3 * self.geometry.size**2
        if self.storage == "jpeg":
            per_clip //= jpeg.ABOUT_TIMES_SMALLER
        return CacheStatus(len(clips) - len(misses), misses, len(to_store) * per_clip)

    def draw(self, clip: Clip, rng: np.random.Generator) -> ClipFrames:
        """Random frames of one clip, from its file: no cache has them. Raises ``DamagedClip``."""
        stored, times = self.decode(clip, rng)
        return ClipFrames(stored if isinstance(stored, np.ndarray) else jpeg.decode(stored), times)

    def decode(self, clip: Clip, rng: np.random.Generator | None = None) -> DecodedClip:
        """The clip from its file, as it is stored; with ``rng`` random frames of it. Raises ``DamagedClip``, and ``HarnessError`` where
        the sampling cannot be had of such a file."""

        def choose(info: VideoInfo) -> np.ndarray:
            try:
                indices = self.sampling.choose(info, clip.start_s, clip.end_s, rng)
            except HarnessError as error:
                raise HarnessError(f"clip {clip.id}: {error.message}", error.hint) from error
            if not len(indices):
                raise DamagedClip(clip.path, no_frame(info, clip))
            return indices

        def convert(picture: np.ndarray) -> np.ndarray | bytes:
            frame = self.geometry.apply(picture)
            return jpeg.encode(frame) if self.storage == "jpeg" else frame

        decoded = read_frames(clip.path, choose, convert=convert)
        frames = decoded.frames if self.storage == "jpeg" else np.stack(decoded.frames)
        return DecodedClip(frames, decoded.times)

    def key(self, clip: Clip) -> str:
        """The clip's address in the cache. Raises ``DamagedClip`` if its file cannot be read."""
        try:
            return clip_key(clip, self.sampling.key(), self.geometry.key(), self.storage)
        except OSError as error:
            raise_if_out_of_files(error, clip.path)
            raise DamagedClip(clip.path, error.strerror or str(error), lasting=False) from error

    def is_cached(self, key: str) -> bool:
        """Whether nothing is left to decode for ``key``."""
        return self.cache is not None and key in self.cache

    def _fill_by_processes(
        self, work: dict[str, Clip], count: int
    ) -> Iterator[tuple[str, DamagedClip | None]]:
        """:meth:`_fill` by ``count`` processes, none of which is sent the cache itself."""
        assert self.cache is not None
        return decode_in_processes(replace(self, cache=None).decode, self.cache, work, count)

    def _fill(self, work: dict[str, Clip]) -> Iterator[tuple[str, DamagedClip | None]]:
        """Decodes ``work`` and stores it if there is a cache, yielding each key as it is done, with its error if any.

        Only a few clips are in flight, which bounds memory. Clips that another run has stored in
        the meantime are passed over.
        """
        waiting = iter(work.items())
        pool = ThreadPoolExecutor(max(1, self.threads), thread_name_prefix="decode")
        flying: dict[Future, str] = {}
        try:
            with nullcontext() if self.cache is None else self.cache.writer() as writer:
                while True:
                    while len(flying) < 2 * max(1, self.threads):
                        key, clip = next(waiting, (None, None))
                        if key is None:
                            break
                        if self.is_cached(key):
                            yield key, None
                        else:
                            flying[pool.submit(self.decode, clip)] = key
                    if not flying:
                        return
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        key = flying.pop(future)
                        yield key, store(writer, key, future.result)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

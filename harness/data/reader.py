"""From a path to the frames that a model sees, through the frame cache.

Preparing is the only thing that writes to the cache, so the many worker processes of a data
loader never compete, and what they read needs no decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.data.cache import Damaged, FrameCache, Writer, clip_key
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.data.video import DamagedClip, raise_if_out_of_files, read_frames

Progress = Callable[[int, int], None]


class ClipFrames(NamedTuple):
    """``frames`` uint8 ``[T, 3, H, W]`` (read-only if cached) and ``times [T]`` in seconds."""

    frames: np.ndarray
    times: np.ndarray


class CacheStatus(NamedTuple):
    """``hits``: clips with nothing left to decode (known damage included); ``misses``: paths still
    to be decoded; ``projected_bytes``: the most that storing them will take."""

    hits: int
    misses: list[Path]
    projected_bytes: int


@dataclass(frozen=True)
class ClipReader:
    """Reads clips with one sampling and one geometry; picklable, safe to use from threads.

    ``threads`` is how many clips :meth:`prepare` decodes at once. Without a ``cache`` every read
    decodes.
    """

    sampling: Sampling
    geometry: Geometry
    cache: FrameCache | None = None
    threads: int = 1

    def read(self, path: Path | str) -> ClipFrames:
        """The frames of one clip, from the cache if they are there. Raises ``DamagedClip``."""
        if self.cache is not None:
            key = self._key(path)
            known = self.cache.lookup(key)
            if known is None:
                # Another run may have stored it since; looking costs far less than decoding.
                self.cache.refresh()
                known = self.cache.lookup(key)
            if isinstance(known, Damaged):
                raise DamagedClip(path, known.reason)
            if known is not None:
                return ClipFrames(known.frames, known.times)
        return self._decode(path)

    def prepare(self, paths: Iterable[Path | str], progress: Progress | None = None) -> dict[Path, str]:
        """Fills the cache and returns the reason for each clip that cannot be read.

        ``progress(done, total)`` is called from the calling thread, first with what needs no
        work. Files of the same content are decoded once. If it is interrupted, what was decoded
        so far is kept. Without a cache everything is decoded and thrown away: a run has to know the
        damaged clips beforehand to have the same samples as a run with a cache.
        """
        if self.cache is not None:
            self.cache.refresh()
        paths = list(dict.fromkeys(map(Path, paths)))
        damaged: dict[Path, str] = {}
        by_key: dict[str, list[Path]] = {}
        for path in paths:
            try:
                by_key.setdefault(self._key(path), []).append(path)
            except DamagedClip as error:
                damaged[path] = error.reason
        work = {key: same[0] for key, same in by_key.items() if not self._cached(key)}
        done = len(paths) - sum(len(by_key[key]) for key in work)
        report = progress or (lambda *_: None)
        report(done, len(paths))
        failed = {}
        with closing(self._fill(work)) as finished:
            for key, error in finished:
                if error is not None:
                    failed[key] = error.reason
                done += len(by_key[key])
                report(done, len(paths))
        for key, same in by_key.items():
            reason = failed.get(key) or (self.cache.damage(key) if self.cache is not None else None)
            if reason is not None:
                damaged.update(dict.fromkeys(same, reason))
        return damaged

    def status(self, paths: Iterable[Path | str]) -> CacheStatus:
        """What :meth:`prepare` would find, without decoding; for dry runs.

        Sampling by time may give fewer frames than allowed, so the projection is an upper bound.
        Without a cache all clips are misses and nothing will be stored.
        """
        paths = list(dict.fromkeys(map(Path, paths)))
        if self.cache is None:
            return CacheStatus(0, paths, 0)
        self.cache.refresh()
        misses, unreadable = [], 0
        for path in paths:
            try:
                if self._key(path) not in self.cache:
                    misses.append(path)
            except DamagedClip:
                misses.append(path)
                unreadable += 1
        per_clip = self.sampling.frames * 3 * self.geometry.size**2
        return CacheStatus(len(paths) - len(misses), misses, (len(misses) - unreadable) * per_clip)

    def _fill(self, work: dict[str, Path]) -> Iterator[tuple[str, DamagedClip | None]]:
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
                        key, path = next(waiting, (None, None))
                        if key is None:
                            break
                        if self._cached(key):
                            yield key, None
                        else:
                            flying[pool.submit(self._decode, path)] = key
                    if not flying:
                        return
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        key = flying.pop(future)
                        yield key, self._store(writer, key, future)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _store(writer: Writer | None, key: str, future: Future) -> DamagedClip | None:
        try:
            clip = future.result()
        except DamagedClip as error:
            if error.lasting and writer is not None:
                writer.add_damaged(key, error.reason)
            return error
        if writer is not None:
            writer.add(key, clip.frames, clip.times)
        return None

    def _cached(self, key: str) -> bool:
        return self.cache is not None and key in self.cache

    def _decode(self, path: Path | str) -> ClipFrames:
        decoded = read_frames(path, self.sampling.choose, convert=self.geometry.apply)
        return ClipFrames(np.stack(decoded.frames), decoded.times)

    def _key(self, path: Path | str) -> str:
        try:
            return clip_key(path, self.sampling.key(), self.geometry.key())
        except OSError as error:
            raise_if_out_of_files(error, path)
            raise DamagedClip(path, error.strerror or str(error), lasting=False) from error

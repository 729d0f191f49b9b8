"""Decoding with every core, in processes that may crash.

A codec is a large piece of C that is fed with whatever the internet holds: one bad file can end the
process that decodes it. So each process decodes a clip at a time and stores it by a writer of its own,
and one that dies is replaced. The clip that it was at is tried again alone; if that process dies too,
the clip is reported as damaged and the others go on.

The processes import no torch, hold no lock of ours, and end when their parent does, however it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from random import SystemRandom
from typing import NamedTuple

from harness.data.cache import FrameCache, Writer
from harness.data.dataset import Clip
from harness.data.storing import DecodedClip, store
from harness.data.video import DamagedClip, raise_if_out_of_files
from harness.errors import HarnessError

#: What a process decodes a clip with, by pickle: it may raise ``DamagedClip``.
Decode = Callable[[Clip], DecodedClip]

#: Clips that a process holds at once: the one it is at, and the next, so that it need not wait.
_AHEAD = 2

#: So many processes in a row may end before they begin.
_STARTS = 3

#: A clip that was lost with so many processes is tried alone, though each time another was under work.
_LOSSES = 2


class _Done(NamedTuple):
    """What a process says of a clip; ``flushes`` counts the shards it has written so far."""

    key: str
    error: DamagedClip | None
    flushes: int


def decode_in_processes(
    decode: Decode, cache: FrameCache, work: dict[str, Clip], count: int
) -> Iterator[tuple[str, DamagedClip | None]]:
    """Decodes ``work`` (clips by key) into the cache with ``count`` processes.

    Yields each key as it is decoded, with its error if any. A key may come again, when the process
    that held its frames died before they were on disk. Closing the generator stores what is
    decoded and ends the processes. An error of the program or of the machine (``HarnessError``) in
    a process is raised here.
    """
    return _Crew(decode, cache, work, count).run()


@dataclass(eq=False)
class _Worker:
    """One process, seen from its parent. ``given``: what it has not answered for, in order;
    ``pending``: what it has decoded and may not have stored yet."""

    process: subprocess.Popen
    connection: Connection
    alone: bool
    ready: bool = False
    ending: bool = False
    given: dict[str, Clip] = field(default_factory=dict)
    pending: dict[str, Clip] = field(default_factory=dict)
    flushes: int = 0

    def give(self, key: str, clip: Clip) -> None:
        self.given[key] = clip
        self.send((key, clip))

    def end(self) -> None:
        """Asks it to store what it has and to leave."""
        if not self.ending:
            self.ending = True
            self.send(None)

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            return  # it died; reading from it will tell


class _Crew:
    """All processes of one preparation, and the work that is left."""

    def __init__(self, decode: Decode, cache: FrameCache, work: dict[str, Clip], count: int) -> None:
        assert count > 0
        self.decode, self.cache, self.count = decode, cache, count
        self.waiting = deque(work.items())
        # Several runs on one cache begin at different clips, so each finds much of its work done.
        self.waiting.rotate(SystemRandom().randrange(len(work) or 1))
        self.suspects: deque[tuple[str, Clip]] = deque()
        self.losses: Counter[str] = Counter()
        self.workers: list[_Worker] = []
        self.stillborn = 0

    def run(self) -> Iterator[tuple[str, DamagedClip | None]]:
        try:
            while True:
                yield from self._hand_out()
                if not self.workers:
                    return
                by_connection = {worker.connection: worker for worker in self.workers}
                for connection in wait(list(by_connection)):
                    yield from self._listen(by_connection[connection])
        finally:
            self._dismiss()

    def _hand_out(self) -> Iterator[tuple[str, None]]:
        """Keeps every process busy and passes over what another run has stored meanwhile."""
        while len(self.workers) < self.count and (self.suspects or self.waiting):
            alone = bool(self.suspects)
            worker = self._start(alone)
            worker.give(*(self.suspects if alone else self.waiting).popleft())
            if alone:
                worker.end()
        for worker in self.workers:
            while not worker.ending and len(worker.given) < _AHEAD:
                if not self.waiting:
                    worker.end()
                    break
                key, clip = self.waiting.popleft()
                if key in self.cache:
                    yield key, None
                else:
                    worker.give(key, clip)

    def _start(self, alone: bool) -> _Worker:
        try:
            worker = _started(alone)
        except OSError as error:
            raise_if_out_of_files(error, self.cache.root)
            raise
        worker.send((self.decode, self.cache.root))
        self.workers.append(worker)
        return worker

    def _listen(self, worker: _Worker) -> Iterator[tuple[str, DamagedClip | None]]:
        """Takes in one message of a process, or its end."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(message, BaseException):
            raise message
        if not isinstance(message, _Done):
            worker.ready, self.stillborn = True, 0
            return
        clip = worker.given.pop(message.key)
        if message.error is None:
            worker.pending[message.key] = clip
        if message.flushes != worker.flushes:
            worker.flushes = message.flushes
            self.cache.refresh()
            worker.pending = self._unstored(worker.pending)
        yield message.key, message.error

    def _bury(self, worker: _Worker) -> Iterator[tuple[str, DamagedClip]]:
        """Finds out what was lost with a process that is gone, and has it done again."""
        self.workers.remove(worker)
        worker.connection.close()
        status = worker.process.wait()
        self.cache.refresh()
        lost = self._unstored({**worker.given, **worker.pending})
        if not worker.ready:
            self._begin_again(worker, status)
            return
        if worker.alone:
            for key, clip in lost.items():
                reason = f"the decoder does not survive it: its process ended twice, {_ending(status)}"
                yield key, DamagedClip(clip.path, reason, lasting=False)
            return
        at = next(iter(worker.given), None)
        self.losses.update(lost.keys())
        for key, clip in lost.items():
            suspect = key == at or self.losses[key] >= _LOSSES
            (self.suspects if suspect else self.waiting).append((key, clip))

    def _begin_again(self, worker: _Worker, status: int) -> None:
        """A process that was ended while it started says nothing of a clip, nor does it twice."""
        self.stillborn += 1
        if self.stillborn > _STARTS:
            raise HarnessError(
                f"processes for decoding end before they begin, {_ending(status)}",
                "see the lines above; with too little memory, use fewer processes",
            )
        (self.suspects if worker.alone else self.waiting).extend(worker.given.items())

    def _unstored(self, clips: dict[str, Clip]) -> dict[str, Clip]:
        return {key: clip for key, clip in clips.items() if key not in self.cache}

    def _dismiss(self) -> None:
        """Lets every process store what it has; none is left behind, on a second interrupt either."""
        try:
            for worker in self.workers:
                worker.end()
            for worker in self.workers:
                worker.process.wait()
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()
                worker.connection.close()
        if self.workers:
            self.cache.refresh()


def _started(alone: bool) -> _Worker:
    """A process of its own interpreter: nothing of this one, torch and threads and files, comes along."""
    ours, theirs = Pipe()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from harness.data.processes import serve; serve({number})"],
            stdin=subprocess.DEVNULL,
            pass_fds=[number],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            process_group=0,  # Ctrl-C goes to the parent alone, which asks them to store and leave
        )
    return _Worker(process, ours, alone)


def serve(number: int) -> None:
    """What a process does: decode and store what comes through the connection of that number."""
    connection = Connection(number)
    decode, root = connection.recv()
    jobs: SimpleQueue[tuple[str, Clip] | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, jobs), daemon=True).start()
    connection.send("ready")
    try:
        _work(connection, decode, root, jobs)
    except BrokenPipeError:
        os._exit(1)  # nobody is left to decode for
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        connection.send(error)


def _work(connection: Connection, decode: Decode, root: Path, jobs: SimpleQueue) -> None:
    with Writer(root) as writer:
        while (job := jobs.get()) is not None:
            key, clip = job
            error = store(writer, key, partial(decode, clip))
            connection.send(_Done(key, error, writer.flushes))


def _receive(connection: Connection, jobs: SimpleQueue) -> None:
    """Takes jobs in as they come; when the parent is gone, in the midst of a clip too, so is this."""
    while True:
        try:
            jobs.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)


def _ending(status: int) -> str:
    if status >= 0:
        return f"with exit code {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"

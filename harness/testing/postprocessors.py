"""Post-processors: another matrix of the same size, made from the scores alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.plugins import load_factory
from harness.testing.kit import Fault, Subject
from harness.testing.plain import options_of

PREPARED = "the factory makes a post-processor"

TEXTS, CLIPS, MISSING = 8, 6, 4


def prepare(subject: Subject) -> Any:
    made = load_factory(subject.spec.factory, subject.plugin)(options_of(subject))
    if not callable(made):
        raise Fault(
            f"the factory returned a {type(made).__name__}", "return a function of scores and missing"
        )
    return made


def _scores() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (TEXTS, CLIPS))


def _none_missing() -> np.ndarray:
    return np.zeros(CLIPS, dtype=bool)


def form(post: Any) -> None:
    """Two finite matrices ``[texts, videos]``, the same again, and the scores that went in unchanged."""
    given, scores = _scores(), _scores()
    made = post(scores, _none_missing())
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise Fault(
            f"it returned a {type(made).__name__}", "return the matrices of text-to-video and video-to-text"
        )
    for direction, matrix in zip(("text-to-video", "video-to-text"), made, strict=True):
        if np.shape(matrix) != given.shape:
            raise Fault(
                f"the scores of {direction} are {list(np.shape(matrix))}",
                f"[texts, videos], {list(given.shape)}",
            )
        if not np.isfinite(matrix).all():
            raise Fault(f"the scores of {direction} are not all finite", "subtract the largest before exp()")
    if not np.array_equal(scores, given):
        raise Fault("it changes the scores that it is given", "work on a copy: others use the same matrix")
    if not all(np.array_equal(a, b) for a, b in zip(made, post(_scores(), _none_missing()), strict=True)):
        raise Fault("the same scores give two results", "draw nothing at random, and keep no state")


def missing(post: Any) -> None:
    """What the column of a missing clip holds changes no other clip's scores."""
    gone = _none_missing()
    gone[MISSING] = True
    one, other = _scores(), _scores()
    one[:, MISSING], other[:, MISSING] = -9.0, 9.0
    kept = ~gone
    for direction, a, b in zip(
        ("text-to-video", "video-to-text"), post(one, gone), post(other, gone), strict=True
    ):
        if not np.allclose(a[:, kept], b[:, kept], rtol=0, atol=1e-12):
            raise Fault(
                f"the column of a missing clip changes other scores of {direction}",
                "leave out what `missing` marks",
            )


FORM = (("two matrices as large as the scores", form),)
CHECKS = (("missing clips have no say", missing),)

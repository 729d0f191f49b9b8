"""Dual softmax: scores weighted by how sure each query is of them, which uses many queries at once."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from harness.errors import HarnessError
from harness.results.score_matrix import mask_of

Axis = Literal["texts", "videos"]


def dual_softmax(
    scores: Any, temperature: float, axis: Axis, missing: Any = None, at_once: int | None = None
) -> np.ndarray:
    """``S * softmax(temperature * S)``, float64 ``[Nt, Nv]``; the input is not changed.

    ``axis`` names what the softmax runs over: ``"texts"`` normalises every video's column (the
    usual choice for text-to-video), ``"videos"`` every text's row (the one that changes
    video-to-text). ``temperature`` multiplies, so for cosine scores it is the logit scale, e.g.
    100. It uses many queries at once: such results do not belong in a table with plain scores.
    ``at_once`` is how many: consecutive queries are normalised in blocks of so many, the last of which
    may be smaller; None takes them all. Missing clips (bool ``[Nv]``) take no part, keep their place
    in the order, and come back as minus infinity.

    Raises HarnessError when a score of a clip that is not missing is NaN or infinite.
    """
    if axis not in ("texts", "videos"):
        raise HarnessError(f"dual softmax over {axis!r} is not defined", "use texts or videos")
    source = np.array(scores, dtype=np.float64)
    absent = mask_of(missing, source.shape[1])
    source[:, absent] = -np.inf
    bad = ~np.isfinite(source)
    bad[:, absent] = False
    if bad.any():
        text, video = (int(i) for i in np.argwhere(bad)[0])
        raise HarnessError(
            f"dual softmax needs finite scores; {int(bad.sum())} are not, "
            f"the first at text {text}, video {video}",
            "look for an overflow in the model; softmax cannot rank infinities",
        )
    result = np.full_like(source, -np.inf)
    size = at_once or max(source.shape)
    if axis == "texts":
        for start in range(0, len(source), size):
            rows = slice(start, start + size)
            result[rows, ~absent] = _times_softmax(source[rows, ~absent], temperature, 0)
    else:
        for start in range(0, source.shape[1], size):
            columns = start + np.flatnonzero(~absent[start : start + size])
            result[:, columns] = _times_softmax(source[:, columns], temperature, 1)
    return result


def _times_softmax(scores: np.ndarray, temperature: float, dim: int) -> np.ndarray:
    weight = scores * temperature
    weight -= weight.max(axis=dim, keepdims=True, initial=-np.inf)
    np.exp(weight, out=weight)
    weight /= weight.sum(axis=dim, keepdims=True)
    return scores * weight

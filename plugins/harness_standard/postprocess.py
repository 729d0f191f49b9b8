"""Post-processing of test scores. Each returns the matrices for text-to-video and video-to-text."""

from __future__ import annotations

import numpy as np

from harness import Options
from harness.results import softmax
from harness_standard.plugin import DualSoftmaxOptions


def none(options: Options):
    """Scores ``[texts, videos]`` unchanged, for both directions."""

    def same(scores: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scores, scores

    return same


def dual_softmax(options: DualSoftmaxOptions):
    """Scores times their softmax over the queries.

    ``own``: each direction is normalised over its own queries. ``texts``: one matrix normalised
    over the texts serves both, as in CLIP-ViP's code, which leaves video-to-text as it was. With a
    number as ``scope`` that many queries are normalised together, as in a system that is asked so many
    at once; the fewer they are, the less a query learns about the others.
    """
    at_once = None if options.scope == "test_set" else options.scope

    def process(scores: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        over_texts = softmax.dual_softmax(scores, options.temperature, "texts", missing, at_once)
        if options.axis == "texts":
            return over_texts, over_texts
        return over_texts, softmax.dual_softmax(scores, options.temperature, "videos", missing, at_once)

    return process

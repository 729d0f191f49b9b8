"""Dual softmax as a recipe asks for it."""

from __future__ import annotations

import numpy as np
import pytest

from harness import HarnessError
from harness.models.assembly import make
from harness.plan.recipe import describe_component
from harness.plugins import registry
from harness.results import softmax

SCORES = np.random.default_rng(0).random((9, 9))
NOTHING_MISSING = np.zeros(9, dtype=bool)


def processed(**options) -> tuple[np.ndarray, np.ndarray]:
    return make({"name": "dual_softmax", **options}, "postprocessors", registry())(SCORES, NOTHING_MISSING)


@pytest.mark.parametrize("axis", ["own", "texts"])
def test_a_scope_of_all_queries_is_the_test_set(axis):
    """Both directions are the same to the bit."""
    for whole, given in zip(processed(axis=axis), processed(axis=axis, scope=9), strict=True):
        assert np.array_equal(whole, given)


def test_the_scope_is_in_each_direction_s_own_queries():
    """Blocks are of texts for text-to-video and of clips for video-to-text, or of texts for both."""
    by_texts, by_clips = (
        softmax.dual_softmax(SCORES, 100.0, axis, at_once=4) for axis in ("texts", "videos")
    )
    for options, expected in (({}, (by_texts, by_clips)), ({"axis": "texts"}, (by_texts, by_texts))):
        for mine, wanted in zip(processed(scope=4, **options), expected, strict=True):
            assert np.array_equal(mine, wanted)
    assert not np.array_equal(by_texts, processed()[0])


@pytest.mark.parametrize("scope", ["test_set", 100])
def test_a_row_says_the_scope(scope):
    """What a record states, and a table is headed with, has the scope even where it is the default."""
    value = {"name": "dual_softmax"} | ({} if scope == "test_set" else {"scope": scope})
    shown = describe_component(value, "postprocessors", registry())
    assert shown == f"dual_softmax(axis=own, scope={scope}, temperature=100.0)"


@pytest.mark.parametrize("scope", [1, 0, "batch", 2.5])
def test_a_scope_that_is_none_is_refused(scope):
    """One query alone has nothing to be normalised over."""
    with pytest.raises(HarnessError, match="scope"):
        processed(scope=scope)

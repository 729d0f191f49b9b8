"""Losses over several sources: what counts as a wrong answer, and what a loss says it reads."""

from __future__ import annotations

import pytest
import torch

from harness.models import Features, LossInputs
from harness.models.assembly import build_loss
from harness.plan.recipe import Layers, resolve_component
from harness.plugins import registry

SOURCES = ("text", "caption", "video", "frame")
LOSSES = sorted(
    spec.name
    for spec, plugin in registry().specs("losses")
    if plugin.name == "clip_vip" or spec.name in ("hard_negative", "triplet")
)


def _loss(name, **options):
    value = resolve_component(
        {"name": name, **options}, "losses", ("stages", "finetune", "loss"), Layers(), registry()
    )
    return build_loss(value, registry())


def _inputs(scores, positives, asked=None):
    def similarity(text, picture):
        if asked is not None:
            asked.update((text, picture))
        return scores[text, picture]

    features = {s: Features(torch.zeros(4, 1, 2), torch.ones(4, 1, dtype=torch.bool)) for s in SOURCES}
    return LossInputs(features, positives, torch.tensor(3.0), similarity, None, None)


def _scores():
    torch.manual_seed(0)
    return {(t, p): torch.randn(4, 4).double() for t in SOURCES[:2] for p in SOURCES[2:]}


@pytest.mark.parametrize("name", LOSSES)
def test_another_sample_of_ones_own_clip_is_no_wrong_answer(name):
    """Of two samples of one clip the score between them changes nothing, and that of strangers does."""
    positives = torch.eye(4, dtype=torch.bool)
    positives[0, 2] = positives[2, 0] = True
    values = []
    for row, column in ((0, 2), (0, 2), (0, 3)):
        scores = _scores()
        for matrix in scores.values():
            matrix[row, column] += 0.5 * len(values)  # nothing, a half, one
        values.append(_loss(name)(_inputs(scores, positives)).item())
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_reads_what_it_says(name):
    """The sources of the spec are exactly those whose scores the loss asks for."""
    asked: set[str] = set()
    _loss(name)(_inputs(_scores(), torch.eye(4, dtype=torch.bool), asked))
    assert asked == set(registry().find("losses", name)[0].sources)

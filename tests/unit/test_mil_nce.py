"""MIL-NCE against its written formula."""

from __future__ import annotations

import pytest
import torch

from harness_standard.info_nce import build as build_info_nce
from harness_standard.mil_nce import build, mil_nce
from harness_standard.plugin import InfoNCEOptions, MILNCEOptions
from tests.unit.test_training_parts import inputs


def scores(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_it_is_the_written_formula():
    """-log of a clip's own texts' share among all texts for it and all other clips for its texts."""
    logits, owner = scores(6, 3), [0, 0, 1, 1, 2, 2]
    own = torch.tensor([[clip == text for clip in range(3)] for text in owner])
    e = logits.exp()
    losses = []
    for clip in range(3):
        right = sum(e[text, clip] for text in range(6) if own[text, clip])
        texts = sum(e[text, clip] for text in range(6))
        clips = sum(
            e[text, other] for text in range(6) if own[text, clip] for other in range(3) if other != clip
        )
        losses.append(-torch.log(right / (texts + clips)))
    torch.testing.assert_close(mil_nce(logits, own), torch.stack(losses).mean())


def test_a_clip_that_comes_twice_counts_once():
    """Two captions of one clip in a batch are two answers to one question."""
    square = scores(4, 4)
    square[:, 2] = square[:, 0]  # rows 0 and 2 are captions of clip a
    own = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.bool)
    expected = mil_nce(10 * square[:, [0, 1, 3]], own)
    loss = build(MILNCEOptions())(inputs(square, ["a", "b", "a", "c"]))
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("temperature", [0.05, 0.2])
def test_a_fixed_temperature_stands_for_the_logit_scale(temperature):
    """With a temperature the model's logit scale is not read."""
    given = scores(3, 3)
    fixed = build(MILNCEOptions(temperature=temperature))(inputs(given, list("abc"), scale=1.0))
    scaled = build(MILNCEOptions())(inputs(given, list("abc"), scale=1 / temperature))
    torch.testing.assert_close(fixed, scaled)


def test_it_is_no_info_nce():
    """Negatives of both directions share one denominator, so it exceeds the mean of the two losses."""
    given = inputs(scores(5, 5), list("abcde"))
    assert build(MILNCEOptions())(given) > build_info_nce(InfoNCEOptions())(given)

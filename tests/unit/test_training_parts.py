"""InfoNCE, parameter groups, the learning rate and samples: the parts of a training step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness import HarnessError
from harness.data import Caption, Clip
from harness.engine.inputs import epoch_order, samples
from harness.engine.optimisation import clip_gradients, freeze, make_optimizer
from harness.engine.randomness import generator, key
from harness.models import Batch, LossInputs
from harness.models.assembly import build_schedule
from harness.plan.schema import Group, Stage
from harness.plugins import registry
from harness_standard.info_nce import build as build_info_nce
from harness_standard.plugin import InfoNCEOptions


def inputs(scores: torch.Tensor, clip_ids: list[str], scale: float = 10.0) -> LossInputs:
    positives = torch.tensor([[a == b for b in clip_ids] for a in clip_ids])
    return LossInputs(
        {}, positives, torch.tensor(scale, dtype=scores.dtype), lambda t, v: scores, Batch({}), lambda x: x
    )


def test_info_nce_is_the_written_formula():
    """The loss is the mean of both directions' cross-entropies with the diagonal as target."""
    scores = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = 10 * scores
    rows = -(logits.diagonal() - logits.logsumexp(1)).mean()
    columns = -(logits.diagonal() - logits.logsumexp(0)).mean()
    given = inputs(scores, list("abcde"))
    mean = build_info_nce(InfoNCEOptions())(given)
    total = build_info_nce(InfoNCEOptions(reduction="sum"))(given)
    torch.testing.assert_close(mean, (rows + columns) / 2)
    torch.testing.assert_close(total, rows + columns)


def test_captions_of_one_clip_are_no_negatives():
    """Scores between a text and another copy of its own clip do not change the loss by default."""
    scores = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    changed = scores.clone()
    changed[0, 2] += 3  # rows 0 and 2 belong to one clip
    names = ["a", "b", "a", "c"]
    ignore, negative = build_info_nce(InfoNCEOptions()), build_info_nce(InfoNCEOptions(same_clip="negative"))
    assert torch.equal(ignore(inputs(scores, names)), ignore(inputs(changed, names)))
    assert not torch.equal(negative(inputs(scores, names)), negative(inputs(changed, names)))


@pytest.mark.parametrize("name", ["cosine", "linear", "constant"])
def test_learning_rate_rises_to_one_and_ends_where_it_should(name):
    """Warm-up is linear, the peak is 1, and the last step is small, never 0, even if it is the only one."""
    schedule = build_schedule({"name": name, "warmup": 0.1}, registry())
    assert schedule(0, 1, 1e-5) == 1.0
    rates = [schedule(step, 100, 1e-5) for step in range(100)]
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert max(rates) == pytest.approx(1.0)
    assert 0 < rates[-1] <= (1.0 if name == "constant" else 0.02)
    assert rates[55] == pytest.approx({"cosine": 0.5, "linear": 0.5, "constant": 1.0}[name], abs=1e-9)


def model() -> nn.Module:
    return nn.ModuleDict({"backbone": nn.Linear(3, 3), "head": nn.Linear(3, 1)})


def test_groups_have_rates_and_spare_vectors_from_decay():
    """The first matching group gives the rate; biases do not decay unless the stage says so."""
    stage = Stage(lr=1.0, weight_decay=0.1, groups=(Group(match=("backbone.*",), lr=0.01),))
    made = make_optimizer(stage, freeze(model(), ["*"]), registry())
    found = {name: (g["base_lr"], g["weight_decay"]) for g in made.param_groups for name in g["names"]}
    assert found == {
        "backbone.weight": (0.01, 0.1),
        "backbone.bias": (0.01, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }


def test_a_group_that_matches_nothing_is_an_error():
    """A misspelt pattern must not silently train everything at the base rate."""
    with pytest.raises(HarnessError, match="matches no trainable parameter"):
        make_optimizer(Stage(groups=(Group(match=("bakbone.*",)),)), freeze(model(), ["*"]), registry())


def test_freezing_leaves_only_what_matches():
    """Only parameters that match a pattern keep their gradient; matching nothing is an error."""
    made = model()
    assert [name for name, _ in freeze(made, ["head.*"])] == ["head.weight", "head.bias"]
    assert not made["backbone"].weight.requires_grad
    with pytest.raises(HarnessError, match="no parameter matches") as caught:
        freeze(torch.nn.ModuleDict({"model": made}), ["model.nothing"])
    assert caught.value.message.endswith("trainable pattern nothing")
    assert caught.value.hint.endswith("names look like backbone.weight")  # as a recipe has to write them


def test_gradient_norm_is_global_and_nan_names_its_parameter():
    """Clipping scales all gradients by one factor, and a NaN gradient is an error with a name."""
    made = model()
    parameters = list(made.named_parameters())
    for _, parameter in parameters:
        parameter.grad = torch.full_like(parameter, 2.0)
    count = sum(p.numel() for p in made.parameters())
    assert clip_gradients(parameters, 1.0, "here") == pytest.approx(2 * math.sqrt(count))
    assert clip_gradients(parameters, 0.0, "here") == pytest.approx(1.0, rel=1e-5)
    made["head"].weight.grad[0, 0] = float("nan")
    with pytest.raises(HarnessError, match=r"head\.weight is not finite, here"):
        clip_gradients(parameters, 1.0, "here")


def test_gradients_without_a_norm_are_an_error_with_a_reason():
    """Finite gradients whose squares are none name the largest parameter, and no gradient at all says so."""
    made = model()
    parameters = list(made.named_parameters())
    with pytest.raises(HarnessError, match="the loss depends on no parameter that is trained, here"):
        clip_gradients(parameters, 1.0, "here")
    for _, parameter in parameters:
        parameter.grad = torch.full_like(parameter, 2.0)
    made["head"].weight.grad[0, 0] = -1e25
    with pytest.raises(HarnessError, match=r"head\.weight is too large for its norm, 1e\+25, here"):
        clip_gradients(parameters, 1.0, "here")


def test_samples_leave_out_what_cannot_be_used(tmp_path):
    """Missing and damaged clips make no sample; captions are grouped or expanded as asked."""
    clips = [Clip("a", tmp_path / "a"), Clip("b", None), Clip("c", tmp_path / "c"), Clip("d", tmp_path / "d")]
    captions = [Caption(f"{c}{n}", c, "text") for c in "abcd" for n in range(2)]
    grouped = samples(clips, captions, "one_per_clip", {"d": "damaged"})
    expanded = samples(clips, captions, "each", {"d": "damaged"})
    assert [(s.clip.id, len(s.captions)) for s in grouped] == [("a", 2), ("c", 2)]
    assert [s.captions[0].id for s in expanded] == ["a0", "a1", "c0", "c1"]


def test_draws_depend_on_their_key_only():
    """Equal keys give equal draws and orders; any other key gives others."""
    assert generator("x", 1).integers(1 << 60) == generator("x", 1).integers(1 << 60)
    assert key("a", "bc") != key("ab", "c")
    assert (epoch_order(50, 0, "s", 1) == epoch_order(50, 0, "s", 1)).all()
    assert (epoch_order(50, 0, "s", 1) != epoch_order(50, 0, "s", 2)).any()
    assert sorted(epoch_order(50, 0, "s", 1)) == list(range(50))

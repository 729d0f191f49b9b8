"""The packaged recipes of CLIP4Clip hold the published settings."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.plan.packaged import lay_recipes
from harness.plan.plan import Request, build_plan
from harness.plan.recipe import Layers, read_layer, resolve
from harness.plan.schema import Recipe
from harness.plugins import registry

HEADS = ("clip4clip_meanp", "clip4clip_seqlstm", "clip4clip_seqtransf", "clip4clip_tighttransf")
#: Frames and words of the commands in the reference's README; all have 5 epochs and batch 128.
PUBLISHED = {
    "msrvtt": (12, 32, {}),
    "msvd": (12, 32, {}),
    "lsmdc": (12, 32, {}),
    "activitynet": (64, 64, {"annotated_seconds": True}),
    "didemo": (64, 64, {"first_seconds": 31}),
}


def recipe(method: str, dataset: str, *variants: str) -> Recipe:
    spec, _ = registry().find("methods", method)
    data, _ = registry().find("datasets", dataset)
    layers: Layers = lay_recipes(spec, data)
    for name in variants:
        read_layer(layers, spec.variants[name])
    return resolve(layers, registry(), data)


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("method", HEADS)
def test_settings_of_a_data_set(method, dataset):
    """Frames, words, window, epochs and batch are the published ones, with the sane sampling."""
    frames, words, options = PUBLISHED[dataset]
    found = recipe(method, dataset)
    assert (found.data.frames, found.data.text_length, found.data.captions) == (frames, words, "each")
    assert (found.data.sampling, found.data.fps, found.data.slice) == ("fps", 1.0, "even")
    assert options.items() <= found.data.options.items()
    stage = found.stages["finetune"]
    assert (stage.epochs, stage.batch_size) == (5, 128)


@pytest.mark.parametrize("method", HEADS)
def test_the_published_training(method):
    """Optimizer, rates, decay, schedule, precision, freezing, gather, clamp and frames of the code."""
    found = recipe(method, "msrvtt", "published")
    stage = found.stages["finetune"]
    assert found.data.sampling == "reference_fps"
    assert (stage.precision, stage.lr, stage.weight_decay) == ("reference_fp16", 1e-7, 0.2)
    assert stage.decay_vectors and stage.no_decay == ("*bias*",)
    assert stage.optimizer == {"name": "bert_adam", "betas": [0.9, 0.98], "eps": 1e-6, "max_grad_norm": 1.0}
    assert stage.schedule == {"name": "warmup_cosine", "warmup": 0.1}
    assert (stage.freeze_layers, stage.gather, stage.clip_grad_norm, stage.max_logit_scale) == (
        0, "reference", 1.0, 100,
    )  # fmt: skip
    assert (stage.loss["same_clip"], stage.loss["reduction"]) == ("negative", "mean")
    assert all(group.lr == 1e-4 for group in stage.groups)
    assert bool(stage.groups) == (method != "clip4clip_meanp")


@pytest.mark.parametrize(
    ("option", "value"), [("betas", "[1.0, 0.98]"), ("betas", "[0.9, -0.1]"), ("eps", "-1e-6")]
)
def test_an_optimizer_out_of_range_is_refused_by_its_path(option, value):
    """A beta of one stops the averages and a negative one makes no average: said before any work."""
    settings = (f"train.optimizer={{name: bert_adam, {option}: {value}}}",)
    with pytest.raises(HarnessError) as caught:
        build_plan(Request(method="clip4clip_meanp", dataset="shapes", settings=settings), registry())
    assert f"optimizer.{option}" in caught.value.message


def test_the_smaller_training_split():
    """The paper's first table trains on 7k clips."""
    assert recipe("clip4clip_meanp", "msrvtt", "msrvtt_7k").data.train_split == "train-7k"


@pytest.mark.parametrize(("variant", "precision"), [("bf16", "bf16"), ("fp32", "fp32")])
def test_regimes_of_single_precision_weights(variant, precision):
    """Both have the rate that suits single-precision weights, also after the published recipe's."""
    stage = recipe("clip4clip_seqtransf", "msrvtt", variant).stages["finetune"]
    assert (stage.precision, stage.lr, stage.optimizer["name"]) == (precision, 1e-5, "adamw")


def test_post_pretraining_comes_first():
    """The further pre-training has MIL-NCE and a source of its own; fine-tuning is as without it."""
    found = recipe("clip4clip_meanp", "msrvtt", "post_pretrain")
    assert list(found.stages) == ["post_pretrain", "finetune"]
    first, second = found.stages.values()
    assert (first.source.dataset, first.source.split, first.loss["name"]) == ("webvid", "train", "mil_nce")
    assert second == recipe("clip4clip_meanp", "msrvtt").stages["finetune"]


def test_one_budget_on_shapes():
    """All heads have the same data, passes and rate there, and the same number of steps at most three
    times the data set's own."""
    budgets = set()
    for method in HEADS:
        found = recipe(method, "shapes")
        stage = found.stages["finetune"]
        budgets.add((found.data.frames, found.data.options["train_clips"], stage.epochs, stage.batch_size,
                     stage.lr, found.model.backbone["name"]))  # fmt: skip
    assert len(budgets) == 1
    own = recipe("clip_vip", "shapes")
    steps = [
        r.data.options["train_clips"] * r.stages["finetune"].epochs / r.stages["finetune"].batch_size
        for r in (recipe("clip4clip_meanp", "shapes"), own)
    ]
    assert steps[0] <= 3 * steps[1]

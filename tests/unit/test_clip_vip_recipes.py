"""The packaged recipes of CLIP-ViP hold the published settings."""

from __future__ import annotations

import pytest

from harness import HarnessError
from harness.plan.packaged import lay_recipes, lay_variants
from harness.plan.plan import Request, build_plan
from harness.plan.recipe import resolve
from harness.plan.schema import Recipe
from harness.plugins import registry

#: Frames, words and passes of the reference's configurations; MSR-VTT's draw one of 20 captions each.
PUBLISHED = {
    "msrvtt": (12, 50, 100),
    "didemo": (12, 50, 20),
    "lsmdc": (12, 50, 10),
    "activitynet": (32, 70, 20),
}


def recipe(dataset: str, *variants: str) -> Recipe:
    method, data = registry().find("methods", "clip_vip")[0], registry().find("datasets", dataset)[0]
    layers = lay_recipes(method, data)
    lay_variants(layers, variants, method, dataset)
    return resolve(layers, registry(), data)


@pytest.mark.parametrize("variant", ["", "b16"])
@pytest.mark.parametrize("dataset", PUBLISHED)
def test_the_published_training(dataset, variant):
    """Frames, words, passes, batch, rates, decay, clipping and clamping, for both patch sizes; of DiDeMo's
    two configurations one differs in words and in the rate of the logit scale."""
    found = recipe(dataset, *filter(None, [variant]))
    frames, words, epochs = PUBLISHED[dataset]
    odd = (dataset, variant) == ("didemo", "b16")
    assert (found.data.frames, found.data.text_length) == (frames, 70 if odd else words)
    assert (found.data.fit, found.data.resize, found.data.jitter) == ("squash", "tensor", True)
    assert found.model.backbone["name"] == f"ViT-B-{16 if variant else 32}-quickgelu"
    temporal = found.model.temporal
    assert (temporal["proxies"], temporal["temporal_size"], temporal["logit_scale_init"]) == (4, 12, 4.6)
    stage = found.stages["finetune"]
    assert (stage.epochs, stage.batch_size, stage.lr, stage.weight_decay) == (epochs, 128, 1e-6, 0.2)
    assert stage.decay_vectors and stage.no_decay == ("*bias", "*logit_scale")
    assert stage.optimizer == {"name": "hf_adamw", "betas": [0.9, 0.98], "eps": 1e-6}
    assert stage.schedule == {"name": "clip_vip_cosine", "warmup": 0.01}
    assert (stage.clip_grad_norm, stage.max_logit_scale) == (1.0, 200)
    assert stage.clamp_logit_scale == "before_backward"
    assert stage.loss["reduction"] == "sum" and stage.loss["same_clip"] == "negative"
    assert [group.lr for group in stage.groups] == ([1e-5] if odd else [])


def test_a_variant_of_a_data_set_has_the_same_name():
    """`b16` is one name for both files; on other data sets the plain one is meant."""
    assert recipe("didemo", "b16") != recipe("didemo")
    assert recipe("lsmdc", "b16").data.text_length == recipe("lsmdc").data.text_length


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.temporal.proxies", "0"),
        ("model.temporal.temporal_size", "-1"),
        ("train.optimizer.betas", "[1.0, 0.98]"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_path(path, value):
    """No proxy would leave nothing to read out, a table of less than no rows cannot be made, and a beta of
    one divides by zero: each is said before any work."""
    with pytest.raises(HarnessError) as caught:
        build_plan(Request(method="clip_vip", dataset="shapes", settings=(f"{path}={value}",)), registry())
    assert path.removeprefix("train.") in caught.value.message and "--set" in caught.value.hint

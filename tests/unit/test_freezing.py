"""Freezing by layer, for every family of towers."""

from __future__ import annotations

import pytest

from harness import HarnessError
from harness.engine.optimisation import freeze
from harness.models import Backbone
from harness_clip import backbones
from harness_clip.options import OpenClipOptions, TimmOptions, TinyOptions

MADE = {
    "tiny": lambda: backbones.build_tiny(TinyOptions(layers=3, text_layers=2), False),
    "open_clip": lambda: backbones.build(
        OpenClipOptions(model="ViT-B-32", pretrained="", vision_layers=2, text_layers=2), False
    ),
    "timm": lambda: backbones.build_timm(
        TimmOptions(model="vit_tiny_patch16_224", vision_layers=2, text_layers=2), False
    ),
    "timm_siglip": lambda: backbones.build_timm(
        TimmOptions(model="vit_base_patch16_siglip_224", vision_layers=2, text_layers=2), False
    ),
}


@pytest.fixture(scope="module", params=MADE)
def backbone(request) -> Backbone:
    return MADE[request.param]()


def trained(backbone: Backbone, layers: int) -> set[str]:
    return {name for name, _ in freeze(backbone, ["*"], layers, backbone.depth)}


def test_nothing_is_frozen_by_default(backbone):
    """-1 leaves every parameter trainable."""
    assert trained(backbone, -1) == {name for name, _ in backbone.named_parameters()}


def test_zero_freezes_what_comes_before_the_first_layer(backbone):
    """Patch projection, positions and token table stop learning; layers and what follows them do not."""
    frozen = trained(backbone, -1) - trained(backbone, 0)
    assert any(name.endswith("token_embedding.weight") for name in frozen)
    assert any("conv1.weight" in name or "patch_embed.proj.weight" in name for name in frozen)
    assert any("pos" in name and "visual" in name for name in frozen)
    assert not any("blocks." in name for name in frozen)
    behind = ("logit_scale", "text_projection", "ln_final", "ln_post", "visual.proj", "head", "fc_norm")
    assert not any(part in name for name in frozen for part in behind)


def test_a_number_freezes_so_many_layers_of_both_towers(backbone):
    """From 0 to 1 the first layer of each tower stops, and nothing else; the last number leaves the ends."""
    first = trained(backbone, 0) - trained(backbone, 1)
    assert {"visual" in name for name in first} == {True, False}
    assert all("blocks.0." in name for name in first)
    left = trained(backbone, 12)
    assert left and not any("blocks." in name for name in left)
    assert any("logit_scale" in name for name in left)


def test_a_backbone_that_cannot_tell(backbone):
    """A backbone without depths is refused by name, with what to use instead."""
    with pytest.raises(HarnessError, match=r"train\.freeze_layers") as caught:
        Backbone.depth(backbone, "weight")
    assert "train.trainable" in caught.value.hint


def test_a_pattern_that_matches_nothing(backbone):
    """A misspelt pattern among good ones is refused by name: its parameters would stay frozen in silence."""
    with pytest.raises(HarnessError, match=r"matches the trainable pattern vizual\.\*") as caught:
        freeze(backbone, ["*", "vizual.*"])
    assert "names look like" in caught.value.hint


def test_nothing_left_to_train(backbone):
    """Where every parameter that is asked for lies in the frozen layers, the two together are refused."""
    first = next(name for name, _ in backbone.named_parameters() if "blocks.0." in name)
    with pytest.raises(HarnessError, match="nothing is left to train") as caught:
        freeze(backbone, [first], 1, backbone.depth)
    assert "freeze_layers" in caught.value.hint

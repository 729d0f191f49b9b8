"""TowerView: every family taken apart gives what it gave whole."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness import HarnessError, lazy
from harness_clip import backbones
from harness_clip.architectures import build_model, configuration
from harness_clip.options import TimmOptions, TinyOptions
from harness_clip.towers import timm_view, view_of


def shake(module: nn.Module) -> nn.Module:
    """Random weights everywhere, biases and norms included: a piece left out then shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)
            else:
                parameter.add_(noise * 0.3)
    return module.eval()


def open_clip_tower(**changes) -> nn.Module:
    vision = {"image_size": 32, "patch_size": 16, "width": 64, "head_width": 16, "layers": 2, **changes}
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1}
    return shake(lazy.open_clip().CLIP(24, vision, text).visual)


def timm_trunk(name: str, **changes) -> nn.Module:
    sizes = {"img_size": 32, "patch_size": 16, "embed_dim": 64, "num_heads": 4, "depth": 2, "num_classes": 24}
    return shake(lazy.timm().create_model(name, **{**sizes, **changes}))


# What each case is there for: a part of the family that the others do not use.
OPEN_CLIP = {
    "class token": {},
    "layer scale": {"ls_init_value": 0.5},
    "mean of patches": {"pool_type": "avg"},
    "norm after the mean": {"pool_type": "avg", "final_ln_after_pool": True},
    "no norm before the layers": {"no_ln_pre": True},
}
TIMM = {
    "vit, class token": ("vit_base_patch16_224", {}),
    "vit, clip's norms": ("vit_base_patch16_clip_224", {}),
    "vit, mean of patches": ("vit_base_patch16_224", {"global_pool": "avg"}),
    "vit, class token without a position": ("vit_base_patch16_224", {"no_embed_class": True}),
    "vit, normalised queries and keys": ("vit_base_patch16_224", {"qk_norm": True, "init_values": 0.5}),
    "vit, norm on the context": ("vit_base_patch16_224", {"scale_attn_norm": True}),
    "siglip, attention pooling": ("vit_base_patch16_siglip_224", {}),
    "vit, patches only": ("vit_base_patch16_224", {"class_token": False, "global_pool": "avg"}),
    "eva, class token": ("eva_giant_patch14_224", {"global_pool": "token"}),
    "eva, mean and layer scale": ("eva_giant_patch14_224", {"global_pool": "avg", "init_values": 0.5}),
    "eva, three matrices": ("eva_giant_patch14_224", {"qkv_fused": False, "qk_norm": True}),
    "eva, norm on the context": ("eva_giant_patch14_224", {"scale_attn_inner": True}),
    "eva, gated mlp": ("eva_giant_patch14_224", {"swiglu_mlp": True, "scale_mlp": True}),
}
FAMILIES = [f"open_clip: {case}" for case in OPEN_CLIP] + [f"timm: {case}" for case in TIMM]


def family(case: str):
    """The tower as a callable and as a view."""
    library, _, key = case.partition(": ")
    if library == "open_clip":
        tower = open_clip_tower(**OPEN_CLIP[key])
        return tower, view_of(tower, key)
    name, changes = TIMM[key]
    trunk = timm_trunk(name, **changes)
    return trunk, timm_view(trunk, nn.Identity(), key)


def frames(size: int = 32) -> torch.Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(3))


def blind(q, k, v):
    """Every token sees itself only."""
    only_self = torch.eye(q.shape[2], dtype=torch.bool)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=only_self)


@pytest.mark.parametrize("case", FAMILIES)
def test_the_view_equals_the_tower(case):
    """Run plainly, the pieces give the tower's own image features to 1e-5."""
    tower, view = family(case)
    with torch.no_grad():
        expected = tower(frames())
        torch.testing.assert_close(view.forward(frames()), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.01 and (expected[0] - expected[1]).abs().max() > 1e-3


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-16-SigLIP", "ViT-H-14"])
def test_a_published_model_cut_short_equals_its_view(model):
    """A model of open_clip, built by name at depth 1, equals its view, head included."""
    clip = build_model(configuration(model, vision_layers=1, text_layers=1))
    shake(clip.visual)
    view = view_of(clip.visual, model)
    with torch.no_grad():
        x = frames(224)[:1]
        torch.testing.assert_close(view.forward(x), clip.encode_image(x), atol=1e-5, rtol=1e-5)
    assert len(view.blocks) == 1


@pytest.mark.parametrize(
    "case", ["open_clip: class token", "timm: vit, class token", "timm: eva, class token"]
)
def test_attention_decides_who_sees_whom(case):
    """With attention restricted to the token itself the features differ, and patches do not reach
    the class token at all."""
    _, view = family(case)

    def run(x):
        x = view.embed(x)
        for block in view.blocks:
            x = block.feed_forward(block.attend(x, blind))
        return view.read_out(x)

    with torch.no_grad():
        restricted = run(frames())
        assert (restricted - view.forward(frames())).abs().max() > 1e-2
        torch.testing.assert_close(restricted[0], restricted[1])


@pytest.mark.parametrize(
    "case", ["open_clip: class token", "timm: vit, class token", "timm: eva, class token"]
)
def test_every_token_is_read_out_like_the_class_token(case):
    """``all`` projects every token: its first row is the pooled feature of a class-token tower."""
    _, view = family(case)
    with torch.no_grad():
        x = view.embed(frames())
        everything, hidden = view.read_out(x, "all"), view.read_out(x, "hidden")
        torch.testing.assert_close(everything[:, 0], view.read_out(x), atol=1e-5, rtol=1e-5)
    assert everything.shape == (3, 5, 24) and hidden.shape == (3, 5, 64)


@pytest.mark.parametrize("case", FAMILIES)
def test_a_projection_of_ones_own_takes_the_patches_place(case):
    """A replaced projection that computes the same gives the same patches, row by row."""
    tower, view = family(case)
    conv = tower.conv1 if case.startswith("open_clip") else tower.patch_embed.proj

    def projection(x):
        cut = functional.unfold(x, conv.kernel_size, stride=conv.stride).transpose(1, 2)
        return functional.linear(cut, conv.weight.flatten(1), conv.bias)

    with torch.no_grad():
        torch.testing.assert_close(
            view.patches(frames(), projection), view.patches(frames()), atol=1e-5, rtol=1e-5
        )
    assert view.patch_positions().shape == (view.grid[0] * view.grid[1], view.width) == (4, 64)


def test_the_view_shares_the_parameters():
    """Training through the view trains the tower."""
    tower, view = family("open_clip: class token")
    view.forward(frames()).sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())


def test_a_missing_class_token_is_refused_by_name():
    """A tower without a class token says so to whoever asks for one."""
    _, view = family("timm: siglip, attention pooling")
    assert set(view.lacks) == {"class_token", "token_projection"}
    with pytest.raises(HarnessError, match="video proxies needs a visual tower with class token"):
        view.require("class_token", "video proxies")
    with pytest.raises(HarnessError, match="class token"):
        view.class_token()
    with pytest.raises(HarnessError, match="token projection"):
        view.read_out(torch.zeros(1, 4, 64), "all")


REFUSED = {
    "rotary attention": lambda: timm_view(timm_trunk("eva02_base_patch16_clip_224"), nn.Identity(), "x"),
    "EvaBlockPostNorm": lambda: timm_view(
        timm_trunk("eva_giant_patch14_224", use_post_norm=True), nn.Identity(), "x"
    ),
    "register tokens": lambda: timm_view(
        timm_trunk("vit_base_patch16_224", reg_tokens=2), nn.Identity(), "x"
    ),
    "DiffAttention": lambda: timm_view(
        timm_trunk("vit_base_patch16_224", attn_layer="diff"), nn.Identity(), "x"
    ),
    "drop_path": lambda: timm_view(
        timm_trunk("vit_base_patch16_224", drop_path_rate=0.1), nn.Identity(), "x"
    ),
    "normalised queries and keys": lambda: view_of(open_clip_tower(qk_norm=True), "x"),
    "scaled cosine attention": lambda: view_of(open_clip_tower(scaled_cosine_attn=True), "x"),
    "a norm after attention": lambda: view_of(open_clip_tower(scale_attn=True), "x"),
    "attentional pooler": lambda: view_of(open_clip_tower(attentional_pool=True), "x"),
    "patch_dropout": lambda: view_of(open_clip_tower(patch_dropout=0.5), "x"),
    "ModifiedResNet": lambda: view_of(open_clip_tower(layers=[1, 1, 1, 1]), "x"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_taken_apart_is_refused_by_name(reason):
    """A family whose inside is out of reach is an error that names the obstacle."""
    with pytest.raises(HarnessError, match=reason):
        REFUSED[reason]()


def test_a_refused_tower_still_encodes_frames():
    """EVA-02 has no view, and its whole tower works for methods that stay outside."""
    backbone = backbones.build_timm(
        TimmOptions(
            model="eva02_tiny_patch14_224",
            dim=32,
            vision_layers=1,
            text_width=32,
            text_heads=2,
            text_layers=1,
        )
    ).eval()
    with torch.no_grad():
        assert backbone.encode_frames(frames(224)[:1]).shape == (1, 32)
    with pytest.raises(HarnessError, match="timm/eva02_tiny_patch14_224 cannot be taken apart"):
        _ = backbone.visual


def test_the_giant_tower_has_a_view_without_its_memory():
    """EVA01-g-14 at its full size, built on the meta device, has 40 layers of width 1408."""
    with torch.device("meta"):
        clip = build_model(configuration("EVA01-g-14"))
    view = view_of(clip.visual, "EVA01-g-14")
    assert (len(view.blocks), view.width, view.heads, view.grid) == (40, 1408, 16, (16, 16))
    assert not view.lacks
    assert view.forward(torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, 1024)


def test_the_tiny_backbone_keeps_the_contract():
    """tiny: declared sizes, uint8 frames normalised as declared, view equal to the tower."""
    torch.manual_seed(0)
    backbone = backbones.build_tiny(TinyOptions())
    shake(backbone.clip.visual)
    raw = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (backbone.preprocess.mean, backbone.preprocess.std))
    x = backbone.normalise(raw)
    torch.testing.assert_close(x, (raw / 255 - mean) / std)
    with torch.no_grad():
        features = backbone.encode_frames(x)
        torch.testing.assert_close(backbone.visual.forward(x), features, atol=1e-5, rtol=1e-5)
    assert features.shape == (2, backbone.dim) and backbone.preprocess.size == 32
    assert (backbone.name, backbone.pretraining) == ("tiny", "none (random)")
    assert 3e6 < sum(p.numel() for p in backbone.parameters()) < 4e6


def test_pixels_are_those_of_the_published_weights():
    """Without a tag, a model takes the pixels that all its published weights agree on."""
    from harness_clip.published import preprocess

    siglip, eva = preprocess("ViT-B-16-SigLIP", "", 224), preprocess("EVA01-g-14", "", 224)
    assert (siglip.fit, siglip.mean) == ("squash", (0.5, 0.5, 0.5))
    assert eva.fit == "crop" and eva.mean == lazy.open_clip().OPENAI_DATASET_MEAN


@pytest.mark.parametrize(
    ("wrong", "right"), [("ViT-B-23", "ViT-B-32"), ("eva01-g-14", "EVA01-g-14"), ("", "open_clip/ViT-B-32")]
)
def test_an_unknown_model_brings_the_nearest_names(wrong, right):
    """A misspelt model is an error whose hint holds the name that was meant."""
    with pytest.raises(HarnessError) as caught:
        configuration(wrong)
    assert right in caught.value.hint


@pytest.mark.parametrize("model", ["coca_ViT-B-32", "roberta-ViT-B-32"])
def test_a_family_without_support_is_refused_by_name(model):
    """Models with another kind of text tower are refused before anything is built."""
    with pytest.raises(HarnessError, match=f"{model} is not supported"):
        configuration(model)

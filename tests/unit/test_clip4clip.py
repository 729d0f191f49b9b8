"""CLIP4Clip's four heads and its checkpoints on a small CLIP."""

from __future__ import annotations

import msgspec
import pytest
import torch

from harness import HarnessError, lazy
from harness.models import Backbone, BuildContext, TemporalModule, TextBatch, VideoBatch
from harness.plugins import load_factory, registry
from harness_clip.backbones import build as build_clip
from harness_clip.backbones import build_timm, build_tiny
from harness_clip.options import (
    OpenClipOptions,
    TimmOptions,
    TinyOptions,
    ViTB16QuickGELU,
    ViTB32,
    ViTB32QuickGELU,
)
from harness_clip.text import view_of
from harness_clip4clip import official
from harness_clip4clip.layers import first_layers, key_bias

#: The heads, with the reference's names of them.
OFFICIAL = {
    "mean_pool": "meanP",
    "seq_lstm": "seqLSTM",
    "seq_transformer": "seqTransf",
    "tight_transformer": "tightTransf",
}
HEADS = tuple(OFFICIAL)
PATCHES = ("2d", "3d")
TINY = TinyOptions(width=32, heads=2, layers=2, text_layers=3, text_width=32, dim=32)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    made = build_tiny(TINY)
    with torch.no_grad():  # biases and norms start at 0 and 1, which would hide a forgotten one
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def clips(count: int, frames: int, real: int | None = None) -> VideoBatch:
    generator = torch.Generator().manual_seed(count * 100 + frames)
    pixels = torch.randint(0, 256, (count, frames, 3, 32, 32), generator=generator, dtype=torch.uint8)
    mask = torch.arange(frames).expand(count, -1) < (frames if real is None else real)
    return VideoBatch(tuple(map(str, range(count))), pixels, mask, torch.zeros(count, frames))


def texts(backbone: Backbone, count: int) -> TextBatch:
    raw = tuple(f"a red circle moves {'left ' * n}" for n in range(count))
    tokenizer = backbone.tokenizer
    return TextBatch(raw, raw, raw, {tokenizer.name: tokenizer.encode(raw, 16)})


def build(backbone: Backbone, name: str, frames: int = 6, **options) -> TemporalModule:
    torch.manual_seed(1)
    spec, plugin = registry().find("temporal modules", name)
    context = BuildContext(backbone, frames, 16, lambda other: backbone)
    return load_factory(spec.factory, plugin)(spec.options(**options), context).eval()


def shaken(head: TemporalModule) -> TemporalModule:
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return head


def scores(backbone: Backbone, head: TemporalModule, video: VideoBatch) -> torch.Tensor:
    with torch.no_grad():
        return head.score(head.encode_text(backbone, texts(backbone, 3)), head.encode(backbone, video))


def shortened(batch: VideoBatch, frames: int) -> VideoBatch:
    return VideoBatch(batch.ids, batch.frames[:, :frames], batch.mask[:, :frames], batch.times[:, :frames])


@pytest.mark.parametrize("name", HEADS)
def test_padding_never_changes_a_score(backbone, name):
    """What the masked frames hold, and whether they are there at all, is the same to every head that sees
    a patch's neighbours in time; the conformance kit shows it of the plain ones."""
    head, padded = shaken(build(backbone, name, linear_patch="3d")), clips(2, 6, real=4)
    expected = scores(backbone, head, padded)
    torch.testing.assert_close(scores(backbone, head, shortened(padded, 4)), expected, atol=1e-5, rtol=0)
    padded.frames[:, 4:] = 255 - padded.frames[:, 4:]
    torch.testing.assert_close(scores(backbone, head, padded), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", HEADS)
def test_a_clip_without_a_frame_poisons_nothing(backbone, name):
    """An all-masked clip has a finite score and finite gradients, and leaves the other clips
    alone, also where patches see their neighbours in time."""
    head, batch = shaken(build(backbone, name, linear_patch="3d")), clips(2, 4)
    expected = scores(backbone, head, batch)
    batch.mask[1] = False
    text, video = head.encode_text(backbone, texts(backbone, 3)), head.encode(backbone, batch)
    found = head.score(text, video)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, 0], expected[:, 0], atol=1e-5, rtol=0)
    found.logsumexp(0).sum().backward()
    gradients = [p.grad for m in (head, backbone) for p in m.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
    backbone.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", HEADS)
def test_only_mean_pooling_is_blind_to_order(backbone, name):
    """Playing a clip backwards changes every head's score but mean pooling's."""
    head, batch = shaken(build(backbone, name)), clips(2, 5)
    reverse = VideoBatch(batch.ids, batch.frames.flip(1), batch.mask, batch.times)
    difference = (scores(backbone, head, batch) - scores(backbone, head, reverse)).abs().max()
    assert difference < 1e-5 if name == "mean_pool" else difference > 1e-4


@pytest.mark.parametrize("name", HEADS)
def test_3d_patches_start_as_2d_and_see_neighbours(backbone, name):
    """Both patch types agree until the outer slices are trained; then a neighbour counts."""
    batch = clips(2, 4)
    flat, deep = build(backbone, name), build(backbone, name, linear_patch="3d")
    torch.testing.assert_close(
        deep.frame_features(backbone, batch), flat.frame_features(backbone, batch), atol=1e-5, rtol=0
    )
    before = shaken(deep).frame_features(backbone, batch)
    batch.frames[:, 0] = 0
    after = deep.frame_features(backbone, batch)
    assert (before[:, 1] - after[:, 1]).abs().max() > 1e-4
    torch.testing.assert_close(before[:, 2:], after[:, 2:], atol=1e-5, rtol=0)


def test_a_3d_patch_keeps_a_towers_bias():
    """On a tower whose projection has a bias, which OpenAI's have not, 3d starts as 2d as well."""
    timm = custom_text()
    pixels = torch.randint(0, 256, (1, 2, 3, 224, 224), dtype=torch.uint8)
    batch = VideoBatch(("a",), pixels, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2))
    with torch.no_grad():
        timm.visual.patch_kernel()[1].normal_()
        flat, deep = (build(timm, "mean_pool", linear_patch=patch) for patch in PATCHES)
        expected = flat.frame_features(timm, batch)
        torch.testing.assert_close(deep.frame_features(timm, batch), expected, atol=1e-5, rtol=0)


def test_further_layers_start_anew(backbone):
    """A head may be deeper than the text tower; its layers are copies as far as there are any."""
    layers = build(backbone, "seq_transformer", layers=4).layers
    own = backbone.text.layers
    assert len(own) == 3 and len(layers) == 4
    for layer, weights in zip(layers, own, strict=False):
        assert all(torch.equal(value, weights[key]) for key, value in layer.state_dict().items())
    fresh = layers[3].mlp.c_fc
    assert fresh.bias.abs().max() == 0 and 0.018 < fresh.weight.std() < 0.022


@pytest.mark.parametrize("layers", [1, 3])
def test_the_tight_head_scores_as_it_is_trained(backbone, layers):
    """Projecting texts and clips before they meet gives what the pairs' own projections give."""
    head = shaken(build(backbone, "tight_transformer", layers=layers, dropout=0.0))
    batch = clips(4, 6)
    batch.mask[1, 3:] = False
    shared = scores(backbone, head, batch)
    own = scores(backbone, head.train(), batch)
    assert shared.std() > 1e-3
    torch.testing.assert_close(shared, own, atol=1e-5 * own.abs().max().item(), rtol=0)


def custom_text() -> Backbone:
    return build_timm(TimmOptions(model="vit_tiny_patch16_224", dim=32, vision_layers=1, text_width=32,
                                  text_heads=2, text_layers=1)).eval()  # fmt: skip


TEXT_TOWERS = {
    "tiny": lambda: build_tiny(TINY),
    "QuickGELU": lambda: build_clip(
        OpenClipOptions(model="ViT-B-32-quickgelu", vision_layers=1, text_layers=1)
    ),
    "custom text": custom_text,
}


@pytest.mark.parametrize("family", TEXT_TOWERS)
def test_a_copied_layer_is_the_text_towers(family):
    """With the tower's own epsilon a head's layer computes what the text tower's does."""
    torch.manual_seed(0)
    backbone = TEXT_TOWERS[family]()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        [layer] = first_layers(backbone.text, 1)
        layer.ln_1.eps = layer.ln_2.eps = 1e-5
        x = torch.randn(2, 5, backbone.text.width)
        block = getattr(backbone.clip, "text", backbone.clip).transformer.resblocks[0]
        ours = layer(x, key_bias(torch.ones(2, 5, dtype=torch.bool), x.dtype))
        torch.testing.assert_close(ours, block(x), atol=1e-5, rtol=1e-5)
        first = layer(x, key_bias(torch.ones(2, 5, dtype=torch.bool), x.dtype), rows=1)
        torch.testing.assert_close(first, ours[:, :1], atol=1e-5, rtol=1e-5)


def test_a_text_tower_of_another_kind_is_refused():
    """Layers with a scale of their own are not CLIP's, and whoever starts from them is told."""
    clip = lazy.open_clip().CLIP(
        32,
        {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1},
        {"context_length": 8, "vocab_size": 16, "width": 32, "heads": 2, "layers": 1, "ls_init_value": 0.1},
    )
    text = view_of(clip, "scaled")
    assert text.layers == () and text.positions.shape == (8, 32)
    with pytest.raises(HarnessError, match=r"seq_transformer needs a text tower with layers: scaled"):
        text.require("layers", "seq_transformer")


def test_heads_train_copies(backbone):
    """A head's layers and positions start as the text tower's and are its own from then on."""
    before = backbone.text.positions.clone()
    shaken(build(backbone, "seq_transformer"))
    shaken(build(backbone, "tight_transformer"))
    shaken(build(backbone, "mean_pool", linear_patch="3d"))
    assert torch.equal(backbone.text.positions, before)


def test_features_wider_than_the_text_tower_are_refused():
    """A head that starts from the text tower needs features as wide as that tower."""
    other = build_tiny(TinyOptions(width=32, heads=2, layers=1, text_layers=1, text_width=32, dim=48))
    for name in ("seq_transformer", "tight_transformer"):
        with pytest.raises(HarnessError, match=rf"{name}.*32 wide.*48 wide"):
            build(other, name)
    assert build(other, "seq_lstm").lstm.input_size == 48


@pytest.mark.parametrize(("name", "most"), [("seq_transformer", 77), ("tight_transformer", 76)])
def test_more_frames_than_positions_are_refused(backbone, name, most):
    """There is a position for each frame, and in the cross-encoder one for the text."""
    build(backbone, name, frames=most)
    with pytest.raises(HarnessError, match=f"data.frames={most + 1}") as caught:
        build(backbone, name, frames=most + 1)
    assert f"at most {most}" in caught.value.hint


def test_an_impossible_number_of_heads_is_refused(backbone):
    """Attention heads have to share the width evenly."""
    with pytest.raises(HarnessError, match="among 5 heads"):
        build(backbone, "tight_transformer", heads=5)


# checkpoints


def same_sizes() -> Backbone:
    torch.manual_seed(5)
    return build_tiny(TINY).eval()


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("name", HEADS)
def test_a_written_checkpoint_is_read_back(backbone, name, patch):
    """Another model of the same sizes takes over every tensor, from half precision too."""
    head = shaken(build(backbone, name, linear_patch=patch))
    written = official.export(backbone, head)
    other = same_sizes()
    copy = build(other, name, linear_patch=patch)
    official.load(other, copy, written, "a file")
    assert all(torch.equal(value, written[key]) for key, value in official.export(other, copy).items())
    torch.testing.assert_close(scores(other, copy, clips(2, 4)), scores(backbone, head, clips(2, 4)))
    official.load(other, copy, {key: value.half() for key, value in written.items()}, "a file")
    assert {value.dtype for value in official.export(other, copy).values()} == {torch.float32}


@pytest.mark.parametrize("wrong", [(h, p) for h in HEADS for p in PATCHES if (h, p) != ("seq_lstm", "2d")])
def test_another_head_or_patch_type_is_refused(backbone, wrong):
    """A checkpoint of another kind is refused with what it is and what is wanted, and changes nothing."""
    name, patch = wrong
    tensors = official.export(backbone, shaken(build(backbone, name, linear_patch=patch)))
    head = build(backbone, "seq_lstm")
    before = {key: value.clone() for key, value in official.export(backbone, head).items()}
    held = OFFICIAL[name]
    with pytest.raises(HarnessError, match="a file is of another CLIP4Clip") as caught:
        official.load(backbone, head, tensors, "a file")
    typed = {
        "head": f"--method clip4clip_{held.lower()}",
        "linear_patch": f"--set model.temporal.linear_patch={patch}",
    }
    differing = {
        part: of_file
        for part, of_file, of_model in (("head", held, "seqLSTM"), ("linear_patch", patch, "2d"))
        if of_file != of_model
    }
    said = ", ".join(f"{part} {value}" for part, value in differing.items())
    assert f"the file has {said}, the model " in caught.value.message
    anew = ", or --weights a file to start another head from its CLIP"
    assert caught.value.hint == " ".join(typed[part] for part in differing) + anew * (
        wrong == ("mean_pool", "2d")
    )
    assert all(torch.equal(value, before[key]) for key, value in official.export(backbone, head).items())


def test_what_is_missing_unknown_or_misshapen_is_named(backbone):
    """One message names a missing key, a strange one and a shape, and the sizes of the checkpoint."""
    head = build(backbone, "seq_transformer")
    tensors = official.export(backbone, head)
    del tensors["clip.ln_final.bias"]
    tensors["extra"] = torch.zeros(1)
    tensors["clip.visual.proj"] = torch.zeros(32, 31)
    with pytest.raises(HarnessError) as caught:
        official.load(backbone, head, tensors, "model.bin")
    for part in (
        "model.bin",
        "1 missing: clip.ln_final.bias",
        "1 unexpected: extra",
        "[32, 31] instead of [32, 32]",
    ):
        assert part in caught.value.message
    assert "vision_width 32" in caught.value.hint


def test_something_else_is_not_a_checkpoint(backbone):
    """A file without a CLIP's keys, or with one of an impossible shape, is refused by that key."""
    with pytest.raises(HarnessError, match=r"it has no clip.visual.conv1.weight"):
        official.describe({"weight": torch.zeros(1)}, "a file")
    tensors = official.export(backbone, build(backbone, "mean_pool"))
    tensors["clip.visual.conv1.weight"] = torch.zeros(32, 3)
    with pytest.raises(HarnessError, match=r"clip.visual.conv1.weight has the shape \[32, 3\]"):
        official.describe(tensors, "a file")


def test_old_key_names_are_understood(backbone):
    """Norms called gamma and beta are read."""
    head = build(backbone, "mean_pool")
    written = official.export(backbone, head)
    old = {
        k.replace("ln_final.weight", "ln_final.gamma").replace("ln_final.bias", "ln_final.beta"): v
        for k, v in written.items()
    }
    assert set(old) - set(written) == {"clip.ln_final.gamma", "clip.ln_final.beta"}
    other = same_sizes()
    official.load(other, build(other, "mean_pool"), old, "a file")
    assert torch.equal(other.text.positions, backbone.text.positions)


@pytest.mark.parametrize("name", HEADS[:3])
def test_a_loose_head_may_have_an_unused_cross_encoder_beside_it(backbone, name):
    """A file of a loose head with the cross-encoder that the reference built for nothing is read."""
    head, copy = shaken(build(backbone, name)), build(backbone, name)
    written = official.export(backbone, head)
    official.load(
        backbone, copy, official.export(backbone, build(backbone, "tight_transformer")) | written, "a file"
    )
    assert all(torch.equal(value, written[key]) for key, value in official.export(backbone, copy).items())


def test_a_trained_cross_encoder_is_no_mean_pooling(backbone):
    """The tight head's file has a mean pool's keys and more: once trained it is refused as one."""
    tensors = official.export(backbone, build(backbone, "tight_transformer"))
    tensors["similarity_dense.bias"] = torch.tensor([1e-3])
    with pytest.raises(HarnessError, match="the file has head tightTransf, the model head meanP") as caught:
        official.load(backbone, build(backbone, "mean_pool"), tensors, "a file")
    assert caught.value.hint == "--method clip4clip_tighttransf"


SIZES = {
    "patch": ({"patch": 16}, "patch 16"),
    "image": ({"image_size": 48}, "image 48"),
    "width": ({"width": 48}, "vision_width 48"),
    "depth": ({"layers": 1}, "vision_layers 1"),
    "text width": ({"text_width": 48}, "text_width 48"),
    "text depth": ({"text_layers": 2}, "text_layers 2"),
    "context": ({"context": 64}, "context 64"),
    "dim": ({"dim": 16}, "dim 16"),
}


@pytest.mark.parametrize("size", SIZES)
def test_another_size_is_refused(backbone, size):
    """A checkpoint of other towers is refused with the one size that differs and its two values."""
    given, said = SIZES[size]
    other = build_tiny(msgspec.structs.replace(TINY, **given))
    tensors = official.export(other, build(other, "mean_pool"))
    with pytest.raises(
        HarnessError, match=rf"the file has {said}, the model {said.split()[0]} \d+ \("
    ) as caught:
        official.load(backbone, build(backbone, "mean_pool"), tensors, "a file")
    assert caught.value.hint == f"--backbone NAME, one with {said}"


def test_another_vocabulary_is_refused(backbone):
    """A checkpoint with another number of tokens is refused with both numbers."""
    tensors = official.export(backbone, build(backbone, "mean_pool"))
    tensors["clip.token_embedding.weight"] = torch.zeros(100, 32)
    with pytest.raises(HarnessError, match="the file has vocabulary 100, the model vocabulary 49408"):
        official.load(backbone, build(backbone, "mean_pool"), tensors, "a file")


def test_another_number_of_layers_says_what_to_type(backbone):
    """A head of another depth is refused with the setting that makes it; so is one of another kind."""
    tensors = official.export(backbone, build(backbone, "seq_transformer", layers=2))
    with pytest.raises(HarnessError, match="the file has layers 2, the model layers 4") as caught:
        official.load(backbone, build(backbone, "seq_transformer"), tensors, "a file")
    assert caught.value.hint == "--set model.temporal.layers=2"
    with pytest.raises(HarnessError, match="the file has head seqTransf, the model head meanP") as caught:
        official.load(backbone, build(backbone, "mean_pool"), tensors, "a file")
    assert caught.value.hint == "--method clip4clip_seqtransf --set model.temporal.layers=2"


def published_clip(options: OpenClipOptions) -> Backbone:
    """A full-size tower without memory."""
    with torch.device("meta"):
        return build_clip(options, load=False)


def test_another_published_tower_is_named(backbone):
    """A checkpoint on a CLIP that OpenAI published says which backbone to type."""
    other = published_clip(ViTB16QuickGELU())
    tensors = official.export(other, build(other, "mean_pool"))
    with pytest.raises(
        HarnessError, match=r"the file has patch 16, image 224, vision_width 768.*the model patch 8"
    ) as caught:
        official.load(backbone, build(backbone, "mean_pool"), tensors, "a file")
    assert caught.value.hint == "--backbone ViT-B-16-quickgelu"


def test_a_published_tower_with_the_other_activation_is_refused():
    """Neither reading nor writing gives a CLIP of OpenAI's sizes that computes with GELU."""
    quick, gelu = published_clip(ViTB32QuickGELU()), published_clip(ViTB32())
    tensors = official.export(quick, build(quick, "mean_pool"))
    for refused in (
        lambda: official.load(gelu, build(gelu, "mean_pool"), tensors, "a file"),
        lambda: official.export(gelu, build(gelu, "mean_pool")),
    ):
        with pytest.raises(HarnessError, match="has QuickGELU, and ViT-B-32 has not") as caught:
            refused()
        assert caught.value.hint == "--backbone ViT-B-32-quickgelu"


def test_a_model_without_a_place_in_the_format_is_refused():
    """A tower that is no CLIP ViT has no official names."""
    timm = custom_text()
    with pytest.raises(HarnessError, match="timm/vit_tiny_patch16_224 is another"):
        official.names(timm, build(timm, "mean_pool"))

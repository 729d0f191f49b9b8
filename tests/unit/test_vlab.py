"""VLAB's parts: what each may see, what a fresh one leaves alone, and what its stages change."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.errors import HarnessError
from harness.models import BuildContext, Encoding
from harness.models.assembly import build_backbone
from harness.plugins import registry
from harness_vlab.adapter import VideoAdapter
from harness_vlab.encoder import EncoderLayer, Sizes, allowed_keys
from harness_vlab.losses import build as build_loss
from harness_vlab.losses import build_all_tasks
from harness_vlab.masking import hidden_for_training
from harness_vlab.module import build
from harness_vlab.options import AllTasksOptions, VlabLossOptions, VlabOptions, VlabStageOptions
from tests.support.writers import FRAMES, SIZES, clips, small_vlab, texts

ALL, VIDEO = VlabStageOptions(), VlabStageOptions(streams="video")
GRID = (2, 2)


def _adapter(kernel=(3, 1, 1)) -> VideoAdapter:
    torch.manual_seed(0)
    adapter = VideoAdapter(6, 4, kernel, "gelu", True).double()
    torch.nn.init.normal_(adapter.up.weight)
    return adapter


def _tokens(clip_count: int, frames: int, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(clip_count * frames, 5, 6, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("position", ["pre_attn", "pre_mlp", "both"])
def test_a_fresh_video_tower_is_the_picture_tower(position):
    """Before any training the clip's vector is the mean of the backbone's own, bit for bit of its view."""
    backbone, module = small_vlab(adapter_position=position)
    video = clips(2)
    with torch.no_grad():
        made = module.encode(backbone, video).vector
        flat = video.frames.flatten(0, 1)
        assert torch.equal(made, backbone.visual.forward(flat).unflatten(0, (2, -1)).mean(dim=1))
        plain = backbone.encode_frames(flat).unflatten(0, (2, -1)).mean(dim=1)
        torch.testing.assert_close(made, plain, rtol=1e-12, atol=1e-12)


def test_the_class_token_passes_an_adapter():
    """An adapter with weights of any size changes every patch and no class token."""
    x = _tokens(2, 3)
    y = _adapter()(x, 3, GRID)
    assert torch.equal(y[:, 0], x[:, 0]) and ((y - x)[:, 1:] != 0).all()


@pytest.mark.parametrize("length", [1, 3, 5])
def test_an_adapter_looks_as_far_as_its_kernel(length):
    """Another frame t of a clip changes frames t - k//2 to t + k//2 of that clip, and nothing else."""
    adapter, frames, reach = _adapter((length, 1, 1)), 7, length // 2
    before = _tokens(2, frames)
    for changed in range(frames):
        x = before.clone()
        x[frames + changed] += _tokens(1, 1, seed=1)[0]  # of the second clip
        differs = (adapter(x, frames, GRID) != adapter(before, frames, GRID)).flatten(1).any(dim=1)
        near = [frames + t for t in range(frames) if abs(t - changed) <= reach]
        assert differs.nonzero()[:, 0].tolist() == near


@pytest.mark.parametrize(("blend", "ordered"), [("parallel", False), ("stack", True)])
def test_only_a_stack_knows_an_order_of_the_streams(blend, ordered):
    """With one cross-attention for both, exchanging the streams changes a stack and nothing parallel."""
    torch.manual_seed(0)
    layer = EncoderLayer(Sizes(1, 12, 1, 2, 16, 1), blend, "sum").double().eval()
    x, image, video = (torch.randn(2, n, 12, dtype=torch.float64) for n in (4, 5, 6))
    own = layer.attention.keys_values(x)
    made = layer(x, own, layer.memory_keys({"image": image, "video": video}))
    exchanged = layer(x, own, layer.memory_keys({"video": image, "image": video}))
    swapped = layer(x, own, layer.memory_keys({"image": video, "video": image}))
    torch.testing.assert_close(made, exchanged, rtol=0, atol=0)  # names mean nothing to a shared one
    assert torch.allclose(made, swapped, rtol=0, atol=1e-12) != ordered


def test_the_mean_of_parallel_streams_is_half_their_sum():
    """``mean`` and ``sum`` differ by the number of streams before the feed-forward part, and by no more."""
    torch.manual_seed(0)
    given = {name: torch.randn(2, 5, 12) for name in ("image", "video")}
    x, layers = torch.randn(2, 4, 12), []
    for reduce in ("sum", "mean"):
        torch.manual_seed(1)
        layers.append(EncoderLayer(Sizes(1, 12, 1, 2, 16, 1), "parallel", reduce).eval())
    for layer in layers:
        layer.intermediate["dense"].weight.data.zero_()  # leaves the norm of the sum of the streams
        layer.intermediate["dense"].bias.data.zero_()
        layer.output.dense.bias.data.zero_()
    made = [layer(x, layer.attention.keys_values(x), layer.memory_keys(given)) for layer in layers]
    torch.testing.assert_close(*made, rtol=0, atol=1e-5)  # a norm does not see the factor


def test_padding_is_never_seen_and_a_prompt_never_sees_later_text():
    """The table of who sees whom, for two words and a padding, and a prompt of one word and a padding."""
    text, prompt = torch.tensor([[True, True, False]]), torch.tensor([[True, False]])
    causal = allowed_keys(text, prompt, causal=True)[0, 0].int().tolist()
    assert causal == [[1, 0, 0, 1, 0], [1, 1, 0, 1, 0], [1, 1, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]]
    both = allowed_keys(text, prompt, causal=False)[0, 0].int().tolist()
    assert both == [[1, 1, 0, 1, 0]] * 5


@pytest.fixture(scope="module")
def stirred():
    """A model whose every weight matters, and the memory of three clips."""
    backbone, module = small_vlab(stirred=True)
    with torch.no_grad():
        yield module, module.encode_with_memory(backbone, clips(3)).memory


def _logits(module, memory, text, prompt=None, causal=True):
    with torch.no_grad():
        return module.logits(module.hidden(memory, text, causal=causal, prompt=prompt))


@pytest.mark.parametrize("asked", [False, True])
def test_no_word_depends_on_a_later_one(stirred, asked):
    """With another word at place 3, causal logits before it stay and those from it on change; with a
    question too, whose own states therefore do not see the text."""
    module, memory = stirred
    text, prompt = texts(module, 6, 6, 6), texts(module, 4, 7, 5, seed=2) if asked else None
    other = text.tokens.clone()
    other[:, 3] += 1
    before = _logits(module, memory, text, prompt)
    after = _logits(module, memory, Encoding(other, text.mask), prompt)
    differs = (before - after).abs().amax(dim=2) > 1e-9
    assert differs.tolist() == [[False] * 3 + [True] * 3] * 3
    both = _logits(module, memory, text, prompt, causal=False)
    changed = _logits(module, memory, Encoding(other, text.mask), prompt, causal=False)
    assert ((both - changed).abs().amax(dim=2) > 1e-9).all()


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_no_word(stirred, causal):
    """Texts and questions of unlike lengths have the logits that they have alone and unpadded."""
    module, memory = stirred
    lengths, asked = (6, 3, 5), (4, 7, 3)
    text, prompt = texts(module, *lengths, width=11), texts(module, *asked, width=9, seed=2)
    together = _logits(module, memory, text, prompt, causal)
    for row, (length, own) in enumerate(zip(lengths, asked, strict=True)):
        cut = [
            Encoding(e.tokens[row : row + 1, :n], e.mask[row : row + 1, :n])
            for e, n in ((text, length), (prompt, own))
        ]
        alone = _logits(module, memory[row : row + 1], *cut, causal)
        torch.testing.assert_close(alone[0], together[row, :length], rtol=1e-9, atol=1e-9)


def test_what_is_hidden_depends_on_the_sample_alone():
    """The hidden words of a sample are the same alone, in a batch in any order, and with more padding."""
    _, module = small_vlab()
    words, lengths, seeds = module.writes.vocabulary, (9, 4, 12, 3), (11, 12, 2**62, 11)

    def hidden(rows, width):
        given = texts(module, *lengths, width=width)
        part = Encoding(given.tokens[rows], given.mask[rows])
        return hidden_for_training(part, 0.6, [seeds[row] for row in rows], 1, words)

    tokens, chosen = hidden([0, 1, 2, 3], 12)
    assert chosen.any(dim=1).all() and not chosen[:, 0].any()
    assert not (chosen & ~texts(module, *lengths).mask).any()
    for rows, width in (([2, 0, 3, 1], 12), ([0], 12), ([1, 3], 20), ([3, 2], 15)):
        again, which = hidden(rows, width)
        assert torch.equal(again[:, :12], tokens[rows]) and torch.equal(which[:, :12], chosen[rows])
        assert not which[:, 12:].any()


def test_each_purpose_hides_other_words():
    """The two masked losses of a step draw apart."""
    _, module = small_vlab()
    text = texts(module, 12, 12, 12)
    first, second = (
        hidden_for_training(text, 0.5, (1, 2, 3), p, module.writes.vocabulary)[1] for p in (1, 2)
    )
    assert not torch.equal(first, second)


def test_before_blending_only_the_video_is_seen():
    """In an adapting stage the memory has the video's tokens only, and the image tower is not run."""
    backbone, module = small_vlab()
    calls = []
    module.image.register_forward_pre_hook(lambda *_: calls.append(1))
    blended = module.encode_with_memory(backbone, clips(2)).memory
    module.enter_stage(VIDEO, None, fresh=True)
    alone = module.encode_with_memory(backbone, clips(2)).memory
    assert list(module.streams(alone)) == ["video"]
    assert torch.equal(alone, blended[:, -alone.shape[1] :])
    assert blended.shape[1] == 2 * alone.shape[1] == 2 * FRAMES * module.per_frame["video"]
    module.enter_stage(ALL, VIDEO, fresh=True)
    assert list(module.streams(module.encode_with_memory(backbone, clips(2)).memory)) == ["image", "video"]


def test_the_order_of_a_stack_is_that_of_its_option():
    """``video_image`` attends to the same two parts of a memory the other way round."""
    backbone, module = small_vlab()
    memory = module.encode_with_memory(backbone, clips(1)).memory
    _, other = small_vlab(stack_order="video_image")
    ours, theirs = module.streams(memory), other.streams(memory)
    assert list(ours) == ["image", "video"] and list(theirs) == ["video", "image"]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def _apart(module) -> bool:
    """Whether the cross-attentions of the two streams differ anywhere."""
    layers = module.multimodal.layers
    pairs = [(x.crossattention_image.state_dict(), x.crossattention_video.state_dict()) for x in layers]
    return any(not torch.equal(value, video[name]) for image, video in pairs for name, value in image.items())


def test_the_images_cross_attention_starts_as_the_videos():
    """It is copied where blending begins after a stage of video alone, once: not where that stage goes on
    from a checkpoint, not in a stage after it, and not where nothing came before."""
    _, module = small_vlab(share_cross_attention=False)
    module.enter_stage(ALL, None, fresh=True)
    assert _apart(module)
    module.enter_stage(VIDEO, None, fresh=True)
    module.enter_stage(VIDEO, VIDEO, fresh=True)
    assert _apart(module)
    module.enter_stage(ALL, VIDEO, fresh=False)
    assert _apart(module)
    module.enter_stage(ALL, VIDEO, fresh=True)
    assert not _apart(module)
    module.multimodal.layers[0].crossattention_image.self.query.weight.data += 1
    module.enter_stage(ALL, VIDEO, fresh=False)
    module.enter_stage(ALL, ALL, fresh=True)
    assert _apart(module)


def test_a_tower_that_forgot_its_texts_still_sees():
    """Without the text tower a backbone has the same image features, and only the visual tower's weights."""
    backbone = build_backbone({"name": "tiny"}, registry(), load=False).eval()
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = backbone.encode_frames(pixels)
        backbone.forget_text()
        assert torch.equal(backbone.encode_frames(pixels), before)
    assert all(name.startswith("clip.visual.") for name, _ in backbone.named_parameters())


def test_too_many_frames_are_refused_with_what_to_set():
    """A clip of more frames than the model has places for is an error that tells the option."""
    backbone, module = small_vlab()
    with pytest.raises(HarnessError) as caught:
        module.encode_with_memory(backbone, clips(1, frames=FRAMES + 2))
    assert "5 frames" in caught.value.message and "3 frame positions" in caught.value.message
    assert "model.temporal.max_frames=5" in caught.value.hint
    _, wider = small_vlab(max_frames=5)
    assert wider.encode_with_memory(backbone, clips(1, frames=5)).memory.shape[0] == 1


def _built(backbone, **options):
    context = BuildContext(
        backbone, FRAMES, 16, lambda value: build_backbone(value, registry(), load=False), load=False
    )
    return build(VlabOptions(**{**SIZES, **options}), context)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"adapter_kernel": (3, 2, 1)}, "even side"),
        ({"heads": 5}, "cannot be shared among 5 heads"),
        ({"image_backbone": {"name": "tiny", "image_size": 64}}, "frames of 32 and 64 pixels"),
        ({"bert": "/no/such/folder"}, "there is no folder /no/such/folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, told):
    """Each is one message about the option, with something to choose instead."""
    with pytest.raises(HarnessError) as caught:
        _built(build_backbone({"name": "tiny"}, registry(), load=False), **options)
    assert told in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("make", "options"), [(build_loss, VlabLossOptions), (build_all_tasks, AllTasksOptions)]
)
def test_a_loss_without_a_term_is_refused(make, options):
    """All weights over captions at 0 are an error before any step; one above 0 is enough."""
    with pytest.raises(HarnessError, match=r"vtc, mlm and uni_lm .* are all 0") as caught:
        make(options(vtc=0.0, mlm=0.0, uni_lm=0.0))
    assert "'answer'" in caught.value.hint
    assert make(options(vtc=0.0, mlm=0.0, uni_lm=0.5)).options.uni_lm == 0.5


def test_a_backbone_without_vocabulary_is_refused():
    """Nothing can be written with a tokenizer that knows only the way to ids."""
    backbone = build_backbone({"name": "tiny"}, registry(), load=False)
    backbone.tokenizer = dataclasses.replace(backbone.tokenizer, vocabulary=None)
    with pytest.raises(HarnessError) as caught:
        _built(backbone)
    assert "cannot turn ids into text" in caught.value.message and "bert" in caught.value.hint


def test_texts_are_never_longer_than_the_positions():
    """What VLAB says it reads has room among its positions, also where the backbone reads longer texts."""
    backbone = build_backbone({"name": "tiny"}, registry(), load=False)
    assert backbone.tokenizer.context == 77
    assert _built(backbone, positions=20).writes.context == 20
    assert _built(backbone, positions=100).writes.context == 77

"""VLAB's modules and models against recorded values: features, memories, logits, losses, gradients, texts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.models import Encoding, beam_search, forced_scores
from harness_vlab.adapter import VideoAdapter
from harness_vlab.encoder import EncoderLayer, Sizes
from tests.parity import vlab_models
from tests.parity.vlab_models import Recorded, encoding, files, renamed, texts, videos

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours.float(), theirs.float(), **CLOSE)


def test_every_tensor_file_is_of_a_known_kind():
    """No recorded file is passed over."""
    assert not vlab_models.listing().get("unknown")


@pytest.mark.parametrize("path", files("adapter"))
def test_an_adapter_gives_the_recorded_tokens(path: Path):
    """Class token and patches of every frame."""
    case = Recorded(path)
    spec = case.spec
    adapter = VideoAdapter(spec["width"], spec["hidden"], spec["kernel"], spec["activation"], spec["prenorm"])
    adapter.load_state_dict(case.part("state."), strict=True)
    grid = (spec["grid"], spec["grid"])
    same(adapter.double()(case.tensors["in.x"].double(), spec["num_frames"], grid), case.tensors["out.y"])


@pytest.mark.parametrize("path", files("layer"))
def test_a_layer_blends_the_streams_as_recorded(path: Path):
    """Every way to blend, with shared and with separate cross-attention."""
    case = Recorded(path)
    given = case.part("in.")
    for name, spec in case.spec.items():
        split = spec["blend"] != "none" and not spec["share_cross_attention"]
        streams = ("crossattention_image", "crossattention_video") if split else ("crossattention",)
        sizes = Sizes(
            1, spec["hidden_size"], 1, spec["num_heads"], spec["intermediate_size"], 1, streams=streams
        )
        layer = EncoderLayer(sizes, spec["blend"], spec["parallel_reduce"])
        layer.load_state_dict(case.part(f"state.{name}."), strict=True)
        layer.double()
        order = ["video"] if spec["blend"] == "none" else spec["stack_order"].split("_")
        memory = layer.memory_keys({stream: given[stream].double() for stream in order})
        x = given["x"].double()
        made = layer(x, layer.attention.keys_values(x), memory, given["bias"] > -1)
        same(made, case.tensors[f"out.{name}"])


@pytest.mark.parametrize("path", files("model"))
def test_a_model_gives_the_recorded_features(path: Path):
    """Tokens of both towers, memories, embeddings, similarities."""
    case = Recorded(path)
    backbone, module = case.model(torch.float64)
    out, video = case.part("out."), videos(case.tensors["in.video"].double())
    batch, frames = video.frames.shape[:2]
    with torch.no_grad():
        tokens = backbone.visual.read_out(module.video_tokens(backbone, video), "hidden")
        same(tokens.unflatten(0, (batch, frames)), out["video_tokens"])
        clip = module.encode_with_memory(backbone, video)
        streams = module.streams(clip.memory)
        assert streams.keys() == {name for name in ("image", "video") if f"{name}_memory" in out}
        for name, memory in streams.items():
            same(memory, out[f"{name}_memory"])
        text = module.encode_text(backbone, _texts(case))
        same(functional.normalize(clip.vector, dim=-1), out["video_embedding"])
        same(functional.normalize(text.vector, dim=-1), out["text_embedding"])
        same(module.score(text, clip), out["similarity"])
        assert torch.equal(module.encode(backbone, video).vector, clip.vector)


@pytest.mark.parametrize("path", files("model"))
def test_a_model_predicts_the_recorded_words(path: Path):
    """Hidden states and logits, full, causal, and with a question as prompt."""
    case = Recorded(path)
    backbone, module = case.model(torch.float64)
    given, out, pad = case.part("in."), case.part("out."), case.spec["config"]["pad_id"]
    with torch.no_grad():
        memory = module.encode_with_memory(backbone, videos(given["video"].double())).memory
        both = module.hidden(memory, encoding(given["mlm_ids"], pad), causal=False)
        before = module.hidden(memory, encoding(given["lm_ids"], pad), causal=True)
        real = given["text_ids"] != pad
        same(both[real], out["hidden_bidirectional"][real])
        same(before[real], out["hidden_causal"][real])
        same(module.logits(both)[real], out["logits_mlm"][real])
        same(module.logits(before)[real], out["logits_lm"][real])
        hidden, _ = _hidden_answer(case)
        answered = module.hidden(memory, hidden, causal=True, prompt=encoding(given["question"], pad))
        same(module.logits(answered)[hidden.mask], out["logits_qa"][hidden.mask])


@pytest.mark.parametrize("path", files("model"))
def test_a_model_has_the_recorded_losses_and_gradients(path: Path):
    """Each term, their plain sum, and the gradient of the sum for every recorded parameter."""
    case = Recorded(path)
    backbone, module = case.model(torch.float64)
    given, out, pad = case.part("in."), case.part("out."), case.spec["config"]["pad_id"]
    clip = module.encode_with_memory(backbone, videos(given["video"].double()))
    text = module.encode_text(backbone, _texts(case))
    logits = module.logit_scale(backbone) * module.score(text, clip)
    own = torch.arange(len(logits))
    vtc = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    mlm = _word_loss(module, clip.memory, given["mlm_ids"], given["mlm_labels"], pad, causal=False)
    uni_lm = _word_loss(module, clip.memory, given["lm_ids"], given["lm_labels"], pad, causal=True)
    total = vtc + mlm + uni_lm
    found = {"vtc": vtc, "mlm": mlm, "unilm": uni_lm, "total": total}
    for name, value in found.items():
        same(value.detach().reshape(1), out[f"loss_{name}"])
    total.backward()
    of_backbone, of_module = renamed(case.part("out.grad."))
    assert of_backbone and of_module
    for part, wanted in ((backbone, of_backbone), (module, of_module)):
        grads = {name: p.grad for name, p in part.named_parameters() if p.grad is not None}
        assert wanted.keys() <= grads.keys()
        for name, grad in wanted.items():
            same(grads[name], grad)


@pytest.mark.parametrize("cache", ["nothing", "memory", "all"])
@pytest.mark.parametrize("path", files("model"))
def test_a_model_writes_the_recorded_texts(path: Path, cache: str):
    """Greedy and beam search, with and without a question, and the scores of given answers."""
    case = Recorded(path)
    backbone, module = case.model(torch.float64)
    given, out, spec = case.part("in."), case.part("out."), case.spec
    pad, end = spec["config"]["pad_id"], spec["config"]["sep_id"]
    length, clips = spec["max_len"], len(given["video"])
    with torch.no_grad():
        memory = module.encode_with_memory(backbone, videos(given["video"].double())).memory
        ids, _ = beam_search(module.start(memory, cache=cache), clips, 1, length, end)
        assert _up_to_end(ids, end) == _up_to_end(out["greedy"], end)
        beams = spec["beam"]
        started = module.start(memory, width=beams, cache=cache)
        ids, scores = beam_search(started, clips, beams, length, end, spec["length_penalty"])
        assert _up_to_end(ids, end) == _up_to_end(out["beam"], end)
        same(scores, out["beam_score"])
        asked = encoding(given["question"], pad)
        length = out["qa_greedy"].shape[1]
        ids, _ = beam_search(module.start(memory, asked, cache=cache), clips, 1, length, end)
        assert _up_to_end(ids, end) == _up_to_end(out["qa_greedy"], end)
        for number, answer in enumerate(given["candidates"]):
            row = answer[1:].expand(clips, -1)
            started = module.start(memory, asked, cache=cache)
            same(forced_scores(started, row, row != pad), out["answer_scores"][:, number])


def _texts(case: Recorded):
    given = case.part("in.")
    return texts(given["clip_ids"], given["text_ids"], case.spec["config"]["pad_id"])


def _hidden_answer(case: Recorded) -> tuple[Encoding, Tensor]:
    """The answer with all but its first token masked, and which those are."""
    config, answer = case.spec["config"], case.tensors["in.answer"]
    real = answer != config["pad_id"]
    chosen = real.clone()
    chosen[:, 0] = False
    return Encoding(torch.where(chosen, config["mask_id"], answer), real), chosen


def _word_loss(module, memory: Tensor, ids: Tensor, labels: Tensor, pad: int, causal: bool) -> Tensor:
    chosen = labels >= 0
    logits = module.predict(memory, encoding(ids, pad), chosen, causal=causal)
    return functional.cross_entropy(logits, labels[chosen])


def _up_to_end(ids: Tensor, end: int) -> list[list[int]]:
    rows = ids.tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]


@pytest.mark.parametrize("path", files("model"))
def test_the_scale_is_clamped(path: Path):
    """The factor on similarities is never above 100, whatever its logarithm."""
    backbone, module = Recorded(path).model(torch.float64)
    backbone.logit_scale.data.fill_(6.0)
    assert math.isclose(module.logit_scale(backbone).item(), 100.0)

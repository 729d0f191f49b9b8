"""CLIP-ViP's model against recorded outputs: features, states between the layers, gradients."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from harness.models import full_attention
from harness.models.assembly import VideoTextModel
from harness_clip_vip.official_format import OfficialFormat
from harness_clip_vip.video_proxies import proxy_attention
from harness_standard.info_nce import InfoNCE
from harness_standard.plugin import InfoNCEOptions
from tests.parity import clip_vip
from tests.parity.clip_vip import Case, texts, videos
from tests.parity.golden import read_json

ATOL, LOGITS = 2e-5, 2e-3


def close(found, wanted, atol=ATOL):
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def _runs():
    """Every recorded number of frames of every model."""
    found = []
    for path in clip_vip.listing().get("model", []):
        case = Case(path)
        found += [pytest.param(case, run, id=f"clip_vip-{path.stem}-{run}") for run in case.facts["runs"]]
    return found or clip_vip.none_found("model", None, "")


def test_clip_vip_folder():
    """Every file is of a known kind, and there is a model."""
    assert clip_vip.listing().get("unknown", []) == []
    assert clip_vip.listing().get("model"), f"no model in {clip_vip.FOLDER}"


@pytest.mark.parametrize(("case", "run"), _runs())
def test_model(case: Case | None, run: str):
    """Raw and unit features, similarities, logits and every recorded state between the layers."""
    assert case
    backbone, temporal = case.recorded.model()
    model = VideoTextModel(backbone, temporal)
    text, video = _inputs(case, run)
    with torch.no_grad():
        t, v = model.encode(text), model.encode(video)
        states = list(temporal.hidden_states(backbone, video))
        scores = model.score(t, v)
        found = {
            "text_features_raw": t.vector,
            "vis_features_raw": v.vector,
            "text_features": normalize(t.vector, dim=-1),
            "vis_features": normalize(v.vector, dim=-1),
            "similarity_t2v": scores,
            "logits_per_text": model.logit_scale * scores,
            "vision_embeddings": temporal.embeddings(backbone, video),
            "vision_last_hidden": states[-1],
            "vision_pooler": backbone.visual.read_out(states[-1][:, :1], "hidden")[:, 0],
            **{f"vision_hidden.{index}": state for index, state in enumerate(states)},
        }
    wanted = {k.removeprefix(f"{run}.out."): v for k, v in case.io.items() if k.startswith(f"{run}.out.")}
    assert wanted.keys() <= found.keys() and "vis_features" in wanted
    for name, value in wanted.items():
        close(found[name], value, LOGITS if name == "logits_per_text" else ATOL)
    loss = _loss(model, t, v, "mean")
    assert loss.item() == pytest.approx(case.facts["runs"][run]["clip_loss"], rel=2e-5)


@pytest.mark.parametrize(("case", "run"), _runs())
def test_model_in_double_precision(case: Case | None, run: str):
    """In double precision, the recorded features of that precision."""
    assert case
    backbone, temporal = case.recorded.model(torch.float64)
    model = VideoTextModel(backbone, temporal)
    text, video = _inputs(case, run, torch.float64)
    with torch.no_grad():
        found = {"text_features": model.encode(text).vector, "vis_features": model.encode(video).vector}
    for name, value in found.items():
        wanted = case.io[f"{run}.out64.{name}"]
        close(normalize(value, dim=-1), wanted.double(), 1e-9 if wanted.dtype == torch.float64 else 1e-6)


def _with(prefix: str, label: str):
    found = [
        pytest.param(Case(path), id=f"clip_vip-{label}-{path.stem}")
        for path in clip_vip.listing().get("model", [])
        if any(key.startswith(prefix) for key in Case(path).io)
    ]
    return found or clip_vip.none_found(label)


@pytest.mark.parametrize("case", _with("temporal_interp.", "table"))
def test_temporal_table(case: Case | None):
    """The table at every recorded number of frames."""
    assert case
    _, temporal = case.recorded.model()
    for key, wanted in case.io.items():
        if match := re.fullmatch(r"temporal_interp\.T(\d+)", key):
            close(temporal.temporal_table(int(match[1])), wanted[0])


@pytest.mark.parametrize("case", _with("text.pad0.", "text"))
def test_text(case: Case | None):
    """The padding's id and mask change no feature; the tower's last states are the recorded ones."""
    assert case
    backbone, temporal = case.recorded.model()
    with torch.no_grad():
        padded = temporal.encode_text(backbone, texts(case.io["text.pad0.in.text_input_ids"]))
        close(normalize(padded.vector, dim=-1), case.io["text.pad0.out.text_features"])
        tokens = case.io["in.text_input_ids"]
        own = backbone.encode_text(tokens, case.io["in.text_input_mask"].bool())
        projection = backbone.clip.text_projection
        close(own.vector, case.io["text.out.pooler"] @ projection)
        last = tokens.argmax(dim=1)
        rows = torch.arange(len(tokens))
        close(own.vector, case.io["text.out.last_hidden"][rows, last] @ projection)


@pytest.mark.parametrize("case", _with("joint.", "joint"))
def test_joint(case: Case | None):
    """A picture is a clip of one frame, and a caption a text, for the same two towers."""
    assert case
    backbone, temporal = case.recorded.model()
    model = VideoTextModel(backbone, temporal)
    io, run = case.io, f"T{case.facts['temporal_size']}"
    captions = texts(io["joint.in.caption_ids"].flatten(0, 1), io["joint.in.caption_masks"].flatten(0, 1))
    text, video = _inputs(case, run)
    with torch.no_grad():
        for source, name in (
            (text, "text"),
            (video, "vis"),
            (captions, "cap"),
            (videos(io["joint.in.image"]), "img"),
        ):
            close(normalize(model.encode(source).vector, dim=-1), io[f"joint.out.{name}_features"])


def _gradients():
    found = []
    for path in sorted(clip_vip.FOLDER.rglob("*.grads.json")):
        found.append(pytest.param(path, id=f"clip_vip-{path.stem}"))
    return found or clip_vip.none_found("gradients")


@pytest.mark.parametrize("path", _gradients())
def test_gradients(path: Path | None):
    """Loss, every recorded gradient and their total norm."""
    assert path
    facts, wanted = read_json(path), load_file(path.with_suffix(".safetensors"))
    case = Case(path.with_name(path.name.replace(".grads.json", ".json")))
    backbone, temporal = case.recorded.model()
    model = VideoTextModel(backbone, temporal)
    text, video = _inputs(case, f"T{facts['frames']}")
    loss = _loss(model, model.encode(text), model.encode(video), "sum")
    loss.backward()
    parameters = list(model.parameters())
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters if p.grad is not None]))
    assert loss.item() == pytest.approx(facts["loss"], rel=2e-5)
    assert norm.item() == pytest.approx(facts["total_grad_norm"], rel=1e-4)
    for parameter in parameters:  # so that the exporter names the gradients
        parameter.data = parameter.grad
    ours = OfficialFormat().export(backbone, temporal)
    scale = max(value.abs().max().item() for value in wanted.values())
    for name, gradient in wanted.items():
        # Keys have no gradient beside rounding: a shift of all of them changes no softmax.
        largest = scale if name.endswith("k_proj.bias") else gradient.abs().max().item()
        close(ours[name], gradient, 1e-4 * largest)


@pytest.mark.parametrize("path", clip_vip.files("meanpool"))
def test_mean_pool(path: Path | None):
    """The paper's baseline, which is CLIP4Clip's mean pooling."""
    assert path
    case = Case(path)
    backbone, temporal = case.recorded.model()
    video = videos(case.io["in.pixel_values"])
    with torch.no_grad():
        frames = backbone.encode_frames(video.frames.flatten(0, 1))
        close(frames.unflatten(0, video.frames.shape[:2]), case.io["out.frame_features_raw"])
        close(normalize(temporal.encode(backbone, video).vector, dim=-1), case.io["out.vis_features"])
        text = texts(case.io["in.text_input_ids"], case.io["in.text_input_mask"])
        own = temporal.encode_text(backbone, text).vector
        close(normalize(own, dim=-1), case.io["out.text_features"])


@pytest.mark.parametrize(("case", "run"), _runs())
def test_attention_is_that_of_the_mask(case: Case | None, run: str):
    """The states after every block are those of one dense mask: proxies see everything, a patch sees
    the proxies and its own frame."""
    assert case
    backbone, temporal = case.recorded.model(torch.float64)
    _, video = _inputs(case, run, torch.float64)
    sizes = case.facts["runs"][run]
    proxies, frames, patches = sizes["M"], sizes["N"], sizes["L"]
    frame = torch.arange(frames).repeat_interleave(patches)
    allowed = torch.ones(proxies + len(frame), proxies + len(frame), dtype=torch.bool)
    allowed[proxies:, proxies:] = frame[:, None] == frame[None]

    def masked(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)

    with torch.no_grad():
        *states, last = temporal.hidden_states(backbone, video)
        for x, block, wanted in zip(states, backbone.visual.blocks, [*states[1:], last], strict=True):
            close(block.feed_forward(block.attend(x, masked)), wanted, 1e-12)
            if frames > 1:  # or there would be nothing to forbid
                assert not torch.allclose(block.attend(x, full_attention), block.attend(x, masked), atol=1e-6)
    assert proxy_attention(proxies, frames)


def _inputs(case: Case, run: str, dtype=torch.float32):
    text = texts(case.io["in.text_input_ids"], case.io["in.text_input_mask"])
    return text, videos(case.io[f"{run}.in.pixel_values"].to(dtype))


def _loss(model, text, video, reduction):
    from harness.models import LossInputs

    inputs = LossInputs(
        features={"text": text, "video": video},
        positives=torch.eye(len(text), dtype=torch.bool),
        logit_scale=model.logit_scale,
        similarity=lambda a, b: model.score(text, video),
        batch=None,
        total=None,
    )
    return InfoNCE(InfoNCEOptions(reduction=reduction))(inputs)

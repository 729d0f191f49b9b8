"""CLIP4Clip's models against the recorded ones: features, logits, losses and gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import clip4clip
import pytest
import torch
from clip4clip import Case
from torch import Tensor, nn

from harness.models import Backbone, Batch, Features, LossInputs, TemporalModule
from harness_clip4clip import official
from harness_standard.info_nce import InfoNCE
from harness_standard.plugin import InfoNCEOptions

INPUTS = {"input_ids", "attention_mask", "segment_ids", "video", "video_mask"}
OUTPUTS = {
    "eval.sequence_output",
    "eval.visual_output",
    "eval.logits",
    "eval.logits_first2_texts",
    "eval.image_tokens_first_video",
    "eval.text_tokens",
    "train.loss",
}
OTHERS = ("grad.", "traj.")

#: Largest difference, as a share of the largest entry.
FEATURES, LOGITS = 1e-5, 2e-5
LOSS, GRADIENT, SMALLEST_GRADIENT = 1e-5, 5e-5, 1e-5


def _cases(wanted: Callable[[dict[str, Any]], Any] = bool) -> list[Any]:
    """A parameter per recorded model whose facts are ``wanted``; a failing one where there is none."""
    cases = map(Case, clip4clip.listing().get("model", []))
    found = [pytest.param(c, id=f"clip4clip-model-{c.path.stem}") for c in cases if wanted(c.facts)]
    return found or [pytest.param(None, id="clip4clip-model-none-found")]


def _dropout_record(facts: dict[str, Any]) -> list[str]:
    return [key for key in facts if key.startswith("dropout_")]


def _close(ours: Tensor, expected: Tensor, share: float) -> None:
    assert ours.shape == expected.shape
    torch.testing.assert_close(ours, expected, rtol=0, atol=share * expected.abs().max().item())


@cache
def _evaluated(case: Case) -> tuple[Backbone, TemporalModule, Features, Features]:
    """The model with what it makes of the recorded batch; texts first."""
    backbone, temporal = case.model()
    texts, clips = case.batch()
    with torch.no_grad():
        return backbone, temporal, temporal.encode_text(backbone, texts), temporal.encode(backbone, clips)


def _logits(case: Case, texts: int | None = None) -> Tensor:
    backbone, temporal, text, video = _evaluated(case)
    with torch.no_grad():
        return temporal.logit_scale(backbone) * temporal.score(text[:texts], video)


def _image_tokens(case: Case) -> Tensor:
    backbone, temporal, _, _ = _evaluated(case)
    frames = case.batch()[1].frames[:1]
    patches = temporal.patches and (lambda flat: temporal.patches(flat[None]))
    with torch.no_grad():
        x = backbone.visual.embed(frames[0], patches)
        for block in backbone.visual.blocks:
            x = block.feed_forward(block.attend(x))
        return backbone.visual.read_out(x, "all")


def _text_tokens(case: Case) -> Tensor:
    encoding = case.batch()[0].encoding("recorded")
    with torch.no_grad():
        return _evaluated(case)[0].encode_text(encoding.tokens, encoding.mask).tokens


def _frame_features(case: Case) -> Tensor:
    backbone, temporal, _, _ = _evaluated(case)
    with torch.no_grad():
        return temporal.frame_features(backbone, case.batch()[1])


@pytest.mark.parametrize("case", _cases())
def test_features(case: Case | None) -> None:
    """Text and frame features, and every token of both towers, are the recorded ones."""
    assert case, f"no model in {clip4clip.FOLDER}"
    recorded = case.tensors
    _close(_evaluated(case)[2].vector[:, None], recorded["eval.sequence_output"], FEATURES)
    _close(_frame_features(case), recorded["eval.visual_output"], FEATURES)
    _close(_text_tokens(case), recorded["eval.text_tokens"], FEATURES)
    _close(_image_tokens(case), recorded["eval.image_tokens_first_video"], FEATURES)


@pytest.mark.parametrize("case", _cases())
def test_logits(case: Case | None) -> None:
    """The logits of the batch are the recorded ones, and those of two texts are not square."""
    assert case, f"no model in {clip4clip.FOLDER}"
    _close(_logits(case), case.tensors["eval.logits"], LOGITS)
    _close(_logits(case, 2), case.tensors["eval.logits_first2_texts"], LOGITS)


def train_loss(case: Case, backbone: Backbone, temporal: TemporalModule, prefix: str = "") -> Tensor:
    """The training loss of a recorded batch, through the loss that the recipes name."""
    texts, clips = case.batch(prefix)
    features = {"text": temporal.encode_text(backbone, texts), "video": temporal.encode(backbone, clips)}
    return InfoNCE(InfoNCEOptions(same_clip="negative"))(
        LossInputs(
            features=features,
            positives=torch.eye(len(clips.ids), dtype=torch.bool),
            logit_scale=temporal.logit_scale(backbone),
            similarity=lambda text, video: temporal.score(features[text], features[video]),
            batch=Batch({"text": texts, "video": clips}),
            total=lambda value: value,
        )
    )


def _gradients(backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor | None]:
    """By official name; None for what gets no gradient."""
    parts = {"backbone": backbone, "temporal": temporal}
    found = {f"{name}.{key}": p.grad for name, m in parts.items() for key, p in m.named_parameters()}
    return {official_: found.get(ours) for ours, official_ in official.names(backbone, temporal).items()}


@pytest.mark.parametrize("case", _cases())
def test_loss_and_gradients(case: Case | None) -> None:
    """The training loss, the norm of every parameter's gradient, and which parameters get none."""
    assert case, f"no model in {clip4clip.FOLDER}"
    backbone, temporal = case.model()
    loss = train_loss(case, backbone.train(), temporal.train())
    loss.backward()
    assert loss.item() == pytest.approx(case.facts["train_loss"], rel=LOSS)
    assert loss.item() == pytest.approx(case.tensors["train.loss"].item(), rel=LOSS)
    ours = _gradients(backbone, temporal)
    expected = {key: facts and facts["norm"] for key, facts in case.facts["grads"].items()}
    assert set(ours) == set(expected)
    without = {key for key, grad in ours.items() if grad is None}
    assert without == {key for key, norm in expected.items() if norm is None}
    assert without == set(case.facts["params_without_grad"])
    for key, norm in expected.items():
        if norm is not None and norm > SMALLEST_GRADIENT:
            assert ours[key].norm().item() == pytest.approx(norm, rel=GRADIENT), key
    total = torch.stack([grad.norm() for grad in ours.values() if grad is not None]).norm()
    assert total.item() == pytest.approx(case.facts["grad_global_norm"], rel=GRADIENT)
    for key in [key for key in case.tensors if key.startswith("grad.")]:
        _close(ours[key.removeprefix("grad.")], case.tensors[key], GRADIENT)


@pytest.mark.parametrize("case", _cases())
def test_norms(case: Case | None) -> None:
    """Every norm has the recorded epsilon, too small a matter to show in any tolerance."""
    assert case, f"no model in {clip4clip.FOLDER}"
    backbone, temporal = case.model()
    recorded = dict(case.facts["layer_norm_eps"])
    assert set(recorded) == {"clip", "transformerClip", "cross"}

    def found(module: nn.Module) -> set[float]:
        return {norm.eps for norm in module.modules() if isinstance(norm, nn.LayerNorm)}

    assert found(backbone) == {recorded["clip"]}
    head = {"seqTransf": {recorded["transformerClip"]}, "tightTransf": {recorded["cross"]}}
    assert found(temporal) == head.get(case.facts["sim_header"], set())


@pytest.mark.parametrize("case", _cases(_dropout_record))
def test_dropout(case: Case | None) -> None:
    """With the published dropout the mean loss over as many draws agrees within four standard errors."""
    assert case, f"no model with dropout in {clip4clip.FOLDER}"
    [name] = _dropout_record(case.facts)
    expected = case.facts[name]
    backbone, temporal = case.model(dropout=float(name.split("_")[1]))
    torch.manual_seed(0)
    with torch.no_grad():
        losses = torch.stack(
            [train_loss(case, backbone.train(), temporal.train()) for _ in range(expected["n"])]
        )
    error = expected["std"] * (2 / expected["n"]) ** 0.5
    assert losses.mean().item() == pytest.approx(expected["mean"], abs=4 * error)
    assert 0.7 < losses.std().item() / expected["std"] < 1.4


@pytest.mark.parametrize("case", _cases())
def test_checkpoint_round_trip(case: Case | None) -> None:
    """What the importer read is written again bit by bit, and the sizes are found in the keys."""
    assert case, f"no model in {clip4clip.FOLDER}"
    written = official.export(*case.model())
    assert set(written) == set(case.state) == set(case.facts["state_keys"])
    for key, shape in case.facts["state_keys"].items():
        assert list(case.state[key].shape) == shape and torch.equal(written[key], case.state[key]), key
    found, shape = official.describe(case.state, case.path.name), case.facts["shape"]
    assert (found.head, found.linear_patch) == (case.facts["sim_header"], case.facts["linear_patch"])
    assert found.dim == case.facts["embed_dim"]
    assert found.layers in (0, shape["cross_layers"])
    assert (found.layers > 0) == (found.head in ("seqTransf", "tightTransf"))
    wanted = ("vision_width", "vision_layers", "patch", "image", "text_width", "text_layers", "context")
    assert {name: getattr(found, name) for name in wanted} == {name: shape[name] for name in wanted}
    assert found.vocabulary == shape["vocab"]


@pytest.mark.parametrize("case", _cases())
def test_nothing_is_left_out(case: Case | None) -> None:
    """Every recorded tensor is one that a test here knows."""
    assert case, f"no model in {clip4clip.FOLDER}"
    unknown = {key for key in case.tensors if key not in INPUTS | OUTPUTS and not key.startswith(OTHERS)}
    assert not unknown, f"unknown kinds of record: {sorted(unknown)}"
    assert set(case.tensors) >= OUTPUTS

"""The half-precision regime: number types, refusals, and what its arithmetic does."""

from __future__ import annotations

import pytest
import torch

from harness import HarnessError
from harness.engine.loading import new_model
from harness.models import Encoding, TextBatch, VideoBatch
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness_clip import backbones
from harness_clip.options import TimmOptions
from harness_clip4clip.bert_adam import BertAdam

SMALL = ("data.options.train_clips=192", "train.epochs=1")
HEADS = ("clip4clip_meanp", "clip4clip_seqlstm", "clip4clip_seqtransf", "clip4clip_tighttransf", "clip_vip")


def recipe(method: str, *settings: str):
    request = Request(method=method, dataset="shapes", settings=(*SMALL, *settings))
    return build_plan(request, registry())[0].recipe


def batches(model, frames: int = 8):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, frames, 3, 32, 32), generator=generator, dtype=torch.uint8)
    mask = torch.arange(frames)[None] < torch.tensor([frames, 3, 1])[:, None]
    ids = ("a", "b", "c")
    video = VideoBatch(ids, pixels, mask, torch.zeros(3, frames))
    encoded: Encoding = model.backbone.tokenizer.encode(["a red circle", "a blue square", "it grows"], 16)
    return TextBatch(ids, ids, ids, {model.backbone.tokenizer.name: encoded}), video


@pytest.mark.parametrize("linear_patch", ["2d", "3d"])
@pytest.mark.parametrize("method", HEADS)
def test_scores_are_near_those_of_single_precision(method, linear_patch):
    """Towers in float16, heads in float32: scores within 2e-2 of the largest, with a gradient everywhere
    that single precision has one."""
    if method == "clip_vip" and linear_patch == "3d":
        settings = ("model.temporal.proxies=2",)
    else:
        settings = (f"model.temporal.linear_patch={linear_patch}",) if method != "clip_vip" else ()
    scores, gradients = {}, {}
    for precision in ("fp32", "reference_fp16"):
        torch.manual_seed(3)
        made = new_model(
            recipe(method, f"train.precision={precision}", *settings), registry(), torch.device("cpu")
        )
        texts, video = batches(made)
        found = made.eval().score(made.encode(texts), made.encode(video))
        scores[precision] = found.detach().float()
        found.float().square().sum().backward()
        gradients[precision] = {name for name, p in made.named_parameters() if p.grad is not None}
        kinds = {p.dtype for p in made.backbone.parameters()}
        assert (torch.float16 in kinds) == (precision == "reference_fp16")
    largest = scores["fp32"].abs().max().item()
    torch.testing.assert_close(scores["reference_fp16"], scores["fp32"], rtol=0, atol=2e-2 * largest)
    assert gradients["reference_fp16"] == gradients["fp32"]


def test_a_mixture_of_regimes_is_refused():
    """Weights are held in one way for the whole run."""
    mixed = recipe("clip4clip_meanp", "stages.one.precision=reference_fp16", "stages.two.precision=fp32")
    with pytest.raises(HarnessError, match="another stage wants fp32"):
        new_model(mixed, registry(), torch.device("cpu"))


def test_towers_of_another_kind_are_refused():
    """A timm tower is refused by its name."""
    other = backbones.build_timm(
        TimmOptions(model="vit_tiny_patch16_224", vision_layers=1, text_layers=1), False
    )
    with pytest.raises(HarnessError, match=r"timm/vit_tiny_patch16_224 cannot be held in half precision"):
        other.hold_in_half()


def test_small_gradients_leave_no_second_moment():
    """Below about 1.2e-3 the square underflows in float16, and a step is rate * mean / eps; in float32
    the same gradient moves the weight a thousand times less."""
    moved = {}
    for kind in (torch.float16, torch.float32):
        weight = torch.nn.Parameter(torch.zeros(1, dtype=kind))
        groups = [{"params": [weight], "lr": 1e-7, "weight_decay": 0.0}]
        optimizer = BertAdam(groups, (0.9, 0.98), 1e-6, 1.0)
        weight.grad = torch.full((1,), 1e-3, dtype=kind)
        optimizer.step()
        moved[kind] = -weight.item()
        assert (optimizer.state[weight]["square"].item() == 0) == (kind == torch.float16)
    assert moved[torch.float16] == pytest.approx(1e-7 * 1e-4 / 1e-6, rel=0.05)
    assert moved[torch.float16] / moved[torch.float32] > 10

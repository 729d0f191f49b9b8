"""Gradient caching: a batch encoded a few samples at a time has the gradient of the whole batch."""

from __future__ import annotations

import pytest
import torch

from harness.engine.micro_batch import encoded
from harness.engine.train import Trainer
from harness.engine.workers import Workers
from harness.models import Batch, Encoding, Features, TextBatch, VideoBatch
from harness.models.assembly import VideoTextModel, build_loss, build_model, sources_of
from harness.plan.plan import Request, build_plan
from harness.plugins import registry

ALONE = Workers(0, 1, torch.device("cpu"))
BATCH, FRAMES, ROWS = 64, 3, 8
#: All losses, and those of them that have something written.
LOSSES = sorted(spec.name for spec, _ in registry().specs("losses"))
WRITING = {spec.name for spec, _ in registry().specs("losses") if spec.generates}
#: A small module that writes.
WRITER = "vlab, dropout: 0.0, layers: 1, hidden_size: 24, heads: 2, intermediate_size: 32, adapter_width: 8"


def _recipe(loss: str, temporal: str = "video_proxies"):
    settings = [
        "model.backbone={name: tiny, layers: 1, text_layers: 1}",
        f"model.temporal={{name: {temporal}}}",
        f"train.loss={{name: {loss}}}",
        "train.optimizer.name=adamw",
        f"data.frames={FRAMES}",
    ]
    return build_plan(Request(method="clip_vip", dataset="shapes", settings=tuple(settings)), registry())[
        0
    ].recipe


def _batch(sources, model: VideoTextModel, count: int) -> Batch:
    draw = torch.Generator().manual_seed(3)
    ids, size = tuple(map(str, range(count))), model.backbone.preprocess.size

    def source(name):
        if name in ("video", "frame"):
            frames = FRAMES if name == "video" else 1
            pixels = torch.randint(0, 256, (count, frames, 3, size, size), dtype=torch.uint8, generator=draw)
            return VideoBatch(
                ids, pixels, torch.ones(count, frames, dtype=torch.bool), torch.zeros(count, frames)
            )
        tokens = torch.randint(1, 1000, (count, 9), generator=draw)
        tokens[:, -1] = 49407
        lengths = torch.randint(3, 10, (count, 1), generator=draw)
        encodings = {}
        for tokenizer in model.tokenizers:  # the tower's own reads nine words, the others fewer
            whole = tokenizer is model.backbone.tokenizer
            mask = torch.arange(9) < (torch.full_like(lengths, 9) if whole else lengths)
            encodings[tokenizer.name] = Encoding(tokens, mask)
        return TextBatch(ids, ids, ids, encodings)

    return Batch({name: source(name) for name in sources}, tuple(range(count)))


def _trained(loss_name: str, micro_batch: int, temporal: str, steps: int, count: int):
    """Losses of a few steps, and all gradients of the first one, in double precision."""
    recipe = _recipe(loss_name, temporal)
    stage = recipe.stages["finetune"]
    torch.manual_seed(0)
    model = build_model(recipe, registry()).double().train()
    loss = build_loss(stage.loss, registry()).double()
    trainer = Trainer(model, recipe, {}, None, ALONE, registry(), 0, None, micro_batch=micro_batch)
    sources = sources_of(stage, registry())
    inputs = _batch(sources, model, count)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses, first = [], {}
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad(set_to_none=True)
        encoded = trainer.encode(inputs, stage)
        value = trainer.compute_loss(loss, inputs, encoded.features, inputs.clip_ids, stage)
        value.backward()
        encoded.backward()
        if not step:
            first = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        losses.append(value.item())
        optimizer.step()
    return losses, first


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_the_whole_batch(loss):
    """Micro-batches of 8 give the losses of five steps and every gradient of the first one of 64; of 19
    and three steps where words are written."""
    if loss in WRITING:
        _compare(loss, WRITER, 3, 19)
    else:
        _compare(loss, "video_proxies", 5)


def test_a_pairwise_head_is_scored_in_tiles():
    """A cross-encoder's pairs are scored 8 x 8 at a time, with the gradient of all at once."""
    _compare("info_nce", "tight_transformer, dropout: 0.0, layers: 1", 2)


def test_random_draws_are_repeated():
    """What an encoder draws at random is drawn again on the way back: the gradient of a weight is what its
    own features were made with."""
    torch.manual_seed(0)
    weight, drawn = torch.nn.Parameter(torch.ones(3, dtype=torch.float64)), []

    def encode(texts: TextBatch) -> Features:
        drawn.append(torch.rand(len(texts), 3, dtype=torch.float64))
        vectors = drawn[-1] * weight
        return Features(vectors[:, None], torch.ones(len(texts), 1, dtype=torch.bool), vectors)

    names = tuple("abcde")
    made = encoded(encode, {"text": TextBatch(names, names, names, {})}, 2, torch.device("cpu"))
    made.features["text"].pooled.sum().backward()
    torch.rand(7)  # whatever the loss draws
    made.backward()
    assert len(drawn) == 6 and len(torch.cat(drawn[:3]).unique()) == 15
    assert torch.equal(weight.grad, torch.cat(drawn[:3]).sum(dim=0))


def _compare(loss: str, temporal: str, steps: int, count: int = BATCH) -> None:
    whole, wanted = _trained(loss, 0, temporal, steps, count)
    parts, found = _trained(loss, ROWS, temporal, steps, count)
    assert parts == pytest.approx(whole, rel=1e-8, abs=1e-8)
    assert found.keys() == wanted.keys() and wanted
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-8 * max(1, gradient.abs().max()))

"""NaN is never a number in a record: it ends the run with an error that says where it came up."""

from __future__ import annotations

import pytest
import torch

from harness import HarnessError
from harness.engine.checkpoint import save_model
from harness.engine.inputs import samples
from harness.engine.loading import make_batches, open_dataset
from harness.engine.run_data import open_prepared
from harness.engine.train import Trainer
from harness.engine.worker import Job, work
from harness.engine.workers import Workers
from harness.models.assembly import build_model
from harness.plan.plan import Request, build_plan
from harness.plugins import registry

ALONE = Workers(rank=0, world=1, device=torch.device("cpu"))


@pytest.fixture
def plan(cached_here):
    """Makes a small plan whose clips lie on disk."""

    def make(*settings: str):
        small = ("data.options.train_clips=32", "train.batch_size=10", "train.epochs=2")
        request = Request(method="clip4clip_meanp", dataset="shapes", settings=(*small, *settings))
        made, _ = build_plan(request, registry())
        open_prepared(made, registry())
        return made

    return make


def test_a_loss_that_becomes_nan(plan, tmp_path):
    """The error names the stage, the epoch, the step and the clips; no model is left behind."""
    # The first update sends every weight out of range, so the second loss is NaN.
    asked = plan("train.lr=1e30", "train.schedule={name: constant, warmup: 0}")
    with pytest.raises(HarnessError) as caught:
        work(Job(plan=asked, folder=str(tmp_path)), ALONE)
    said = caught.value.message
    assert said.startswith("the loss is nan, at stage finetune, epoch 0, step 2; clips of the batch: train")
    assert said.count("train0") == 8 and said.endswith(", ...")
    assert "train.lr" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_gradient_that_is_not_finite(plan, tmp_path):
    """A finite loss with a gradient out of range names the parameter, and no weight is changed."""
    asked = plan()
    torch.manual_seed(0)
    model = build_model(asked.recipe, registry())
    parameter = model.backbone.clip.visual.proj
    parameter.register_hook(lambda gradient: gradient * float("inf"))
    dataset = open_dataset(asked, registry())
    usable = samples(dataset.clips("train"), dataset.captions("train"), "one_per_clip", {})
    before = parameter.detach().clone()
    trainer = Trainer(
        model,
        asked.recipe,
        {"finetune": usable},
        make_batches(asked, model, 1),
        ALONE,
        registry(),
        0,
        tmp_path,
    )
    with pytest.raises(HarnessError) as caught:
        trainer.run()
    said = caught.value.message
    assert said.startswith("the gradient of backbone.clip.visual.proj is not finite, at stage finetune")
    assert "epoch 0, step 1; clips of the batch: train" in said
    assert torch.equal(parameter.detach(), before)


def test_a_score_that_is_nan(plan, tmp_path):
    """At evaluation the error says how many scores are NaN and names the first query with one."""
    asked = plan("train.precision=fp32")
    model = build_model(asked.recipe, registry())
    tokenizer = model.backbone.tokenizer
    (word,) = set(_tokens(tokenizer, "blue circle")) - set(_tokens(tokenizer, "red circle"))
    model.backbone.clip.token_embedding.weight.data[word] = float("nan")
    path = save_model(tmp_path, model)
    captions = open_dataset(asked, registry()).captions("test")
    blue = [row for row, caption in enumerate(captions) if "blue" in caption.text]
    assert 0 < len(blue) < len(captions)
    with pytest.raises(HarnessError) as caught:
        work(Job(plan=asked, folder=str(tmp_path), model=str(path)), ALONE)
    said = caught.value.message
    assert said.startswith(f"{len(blue) * 192} of {192 * 192} scores are NaN")
    assert f"query {captions[blue[0]].id} " in said


def _tokens(tokenizer, text: str) -> list[int]:
    return tokenizer.encode([text], 16).tokens[0].tolist()

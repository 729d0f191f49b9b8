"""CLIP-ViP's training against the recording: rates over time, parameter groups, five updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.engine.optimisation import freeze, make_optimizer
from harness.engine.train import Trainer
from harness.engine.workers import Workers
from harness.models import Batch
from harness.models.assembly import VideoTextModel, build_loss, build_schedule
from harness.plan.recipe import Layers, resolve_component
from harness.plan.schema import Group, Stage
from harness.plugins import registry
from harness_clip_vip.official_format import OfficialFormat
from tests.parity import clip_vip
from tests.parity.clip_vip import Recorded, texts, videos
from tests.parity.golden import read_json

ALONE = Workers(0, 1, torch.device("cpu"))
#: The reference's rule by parts of names; all other vectors decay.
NO_DECAY = ("*bias", "*logit_scale")


def _rows(path: Path | None) -> list[dict[str, Any]]:
    assert path, f"no schedule in {clip_vip.FOLDER}"
    return read_json(path)["rows"]


@pytest.mark.parametrize("path", clip_vip.files("schedule"))
def test_schedule(path: Path | None):
    """Every recorded rate; our updates are counted from 0, the reference's from 1."""
    rows = _rows(path)
    assert rows
    for row in rows:
        total, base = row["num_train_steps"], row["learning_rate"]
        for step, rate in zip(row["steps"], row["lr"], strict=True):
            value = {"name": f"clip_vip_{row['decay']}", "warmup": row["warmup_ratio"]}
            if "decay_epochs" in row:
                # Recorded for an epoch that is said beside the step; ours are shares of the steps.
                value["halve_at"] = tuple(
                    0.0 if row["multi_step_epoch"] >= epoch else 1.0 for epoch in row["decay_epochs"]
                )
            schedule = build_schedule(_resolved(value, "schedules", "schedule"), registry())
            assert base * schedule(step - 1, total, base) == pytest.approx(rate, rel=1e-12)


def _stage(facts: dict[str, Any]) -> Stage:
    """The recorded configuration as a stage."""
    given = facts["optimiser"]
    groups = ()
    if given["prefix"]:
        groups = (Group(match=(f"*{given['prefix']}*",), lr=given["lr"] * given["lr_mul"]),)
    clamp = "before_forward" if facts["clamp"].startswith("before forward") else "before_backward"
    loss = {"name": facts["loss_name"]}
    if facts["loss_name"] == "NCELearnableTempLoss":
        loss["reduction"] = "sum"
    return Stage(
        lr=given["lr"],
        weight_decay=given["wd"],
        decay_vectors=True,
        no_decay=NO_DECAY,
        optimizer={"name": "hf_adamw", "betas": tuple(given["betas"]), "eps": 1e-6},
        schedule=_resolved({"name": "clip_vip_cosine", "warmup": given["warm"]}, "schedules", "schedule"),
        loss=_resolved(loss, "losses", "loss"),
        groups=groups,
        clip_grad_norm=given["gn"],
        max_logit_scale=200.0,
        clamp_logit_scale=clamp,
        precision="fp32",
    )


def _resolved(value: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
    return resolve_component(value, kind, ("stages", "finetune", key), Layers(), registry())


def _tensors(path: Path, part: str) -> dict[str, torch.Tensor]:
    return load_file(path.with_suffix(f".{part}.safetensors"))


@pytest.mark.parametrize("path", clip_vip.files("trajectory"))
def test_trajectory(path: Path | None):
    """Loss, gradient norm, rates and logit scale of every recorded update, by the trainer's own step,
    and every parameter after the last one."""
    assert path, f"no trajectory in {clip_vip.FOLDER}"
    facts, batches = read_json(path), _tensors(path, "batches")
    model = VideoTextModel(*Recorded(facts, _tensors(path, "init")).model()).train()
    stage = _stage(facts)
    parameters = freeze(model, ["*"])
    optimizer = make_optimizer(stage, parameters, registry())
    _check_groups(optimizer, facts, model)
    loss, schedule = build_loss(stage.loss, registry()), build_schedule(stage.schedule, registry())
    trainer = Trainer(model, None, {}, None, ALONE, registry(), 0, path.parent)
    seen = _logit_scale_in_forward(model)
    for step in facts["steps"]:
        inputs = _batch(batches, f"step{step['step']}.")
        ids = [str(row) for row in range(facts["batch"])]
        rate = schedule(step["step"] - 1, facts["optimiser"]["tot"], stage.lr)
        event = trainer._step(stage, loss, parameters, optimizer, inputs, ids, rate, str(step["step"]))
        assert event["loss"] == pytest.approx(step["loss"], rel=5e-5)
        assert event["grad_norm"] == pytest.approx(step["grad_norm_before_clip"], rel=1e-4)
        assert event["lr"] == pytest.approx(step["lr"], rel=1e-9)
        scale = model.backbone.logit_scale
        assert {round(group["lr"], 15) for group in optimizer.param_groups} <= {
            round(rate, 15) for rate in step["group_lrs"]
        }
        assert seen[-1] == pytest.approx(step["logit_scale_in_forward"], abs=1e-5)
        assert scale.grad.item() == pytest.approx(step["logit_scale_grad_after_clip"], rel=1e-4)
        assert scale.item() == pytest.approx(step["logit_scale_after_update"], abs=1e-5)
    final = _tensors(path, "final")
    ours = OfficialFormat().export(model.backbone, model.temporal)
    for name, wanted in final.items():
        if name.endswith((".position_ids", "k_proj.bias")):  # no weight; a gradient of rounding alone
            continue
        torch.testing.assert_close(ours[name], wanted, rtol=0, atol=1e-4)


def _logit_scale_in_forward(model: VideoTextModel) -> list[float]:
    """A list that the value of the parameter goes to whenever the factor is computed from it."""
    seen: list[float] = []
    asked = model.temporal.logit_scale

    def note(backbone):
        seen.append(backbone.logit_scale.item())
        return asked(backbone)

    model.temporal.logit_scale = note
    return seen


def _batch(tensors: dict[str, torch.Tensor], prefix: str) -> Batch:
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    sources = {
        "video": videos(own["pixel_values"]),
        "text": texts(own["text_input_ids"], own["text_input_mask"]),
    }
    if "image" in own:
        sources["frame"] = videos(own["image"])
        sources["caption"] = texts(own["caption_ids"].flatten(0, 1), own["caption_masks"].flatten(0, 1))
    return Batch(sources)


def _check_groups(optimizer, facts, model) -> None:
    """Rate and decay of every parameter; what ours holds in one tensor has one in the reference too."""
    wanted = {
        name: (group["lr"], group["weight_decay"]) for group in facts["groups"] for name in group["names"]
    }
    ours = {
        id(parameter): (group["base_lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    marks = list(dict.fromkeys(ours.values()))
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.data.fill_(marks.index(ours[id(parameter)]))
    exported = OfficialFormat().export(model.backbone, model.temporal)
    marked = {name: int(value.flatten()[0]) for name, value in exported.items()}
    for name, parameter in model.named_parameters():
        parameter.data.copy_(values[name])
    assert wanted.keys() == marked.keys()
    for name, mark in marked.items():
        assert marks[mark] == pytest.approx(wanted[name])

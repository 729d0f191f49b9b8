"""CLIP4Clip's training: its optimizer, parameter groups, freezing, and five steps of all together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import clip4clip
import pytest
import torch
from clip4clip import Case
from golden import read_json
from safetensors.torch import load_file
from test_clip4clip_models import train_loss
from test_clip4clip_weights import full_size_model, listed
from torch import nn

from harness.engine.optimisation import clip_gradients, freeze, make_optimizer
from harness.models.assembly import VideoTextModel, build_schedule
from harness.plan.schema import Group, Stage
from harness.plugins import registry
from harness_clip4clip import official
from harness_clip4clip.bert_adam import BertAdam, factor

BIASES = ("*bias*",)
#: All but the 3d patches, which belong to CLIP for the reference.
NEW = (
    "temporal.lstm.*", "temporal.frame_positions", "temporal.positions", "temporal.layers.*",
    "temporal.pool*", "temporal.logit.*",
)  # fmt: skip


@pytest.mark.parametrize("path", clip4clip.files("bertadam"))
def test_schedules(path: Path | None) -> None:
    """Every tabled factor of every schedule."""
    assert path, f"no optimizer in {clip4clip.FOLDER}"
    tables = read_json(path)["schedules"]
    assert tables
    for name, by_warmup in tables.items():
        for warmup, rows in by_warmup.items():
            for progress, expected in rows:
                assert factor(name, progress, float(warmup)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("path", clip4clip.files("bertadam"))
def test_optimizer(path: Path | None) -> None:
    """Every value after every step on given gradients, to 1e-6."""
    assert path, f"no optimizer in {clip4clip.FOLDER}"
    given, tensors = read_json(path)["hparams"], load_file(path.with_suffix(".safetensors"))
    names = sorted({key.split(".")[0] for key in tensors})
    parameters = {name: nn.Parameter(tensors[f"{name}.init"].clone()) for name in names}
    groups = [{"params": [p], **given[name], "base_lr": given[name]["lr"]} for name, p in parameters.items()]
    optimizer = BertAdam(groups, (given["b1"], given["b2"]), given["eps"], given["max_grad_norm"])
    for step in range(given["steps"]):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor(
                given["schedule"], step / given["t_total"], given["warmup"]
            )
        for name, parameter in parameters.items():
            parameter.grad = tensors[f"{name}.grad{step}"].clone()
        optimizer.step()
        for name, parameter in parameters.items():
            torch.testing.assert_close(parameter.detach(), tensors[f"{name}.after{step}"], rtol=0, atol=1e-6)
    assert len(tensors) == len(names) * (1 + 2 * given["steps"])


def _stage(given: dict[str, Any], model: VideoTextModel, freeze_layers: int) -> Stage:
    """The reference's training as a stage; its rate is CLIP's, and new parts have one of their own."""
    new = [name for name, _ in model.named_parameters() if name.startswith("temporal.")]
    groups = (Group(match=NEW, lr=given["lr"]),) if set(new) - {"temporal.patches.weight"} else ()
    return Stage(
        lr=given["lr"] * given["coef_lr"],
        weight_decay=given["weight_decay"],
        decay_vectors=True,
        no_decay=BIASES,
        optimizer={
            "name": "bert_adam",
            "betas": (given["b1"], given["b2"]),
            "eps": given["eps"],
            "max_grad_norm": given["max_grad_norm"],
        },
        groups=groups,
        schedule={"name": "warmup_cosine", "warmup": given["warmup_proportion"]},
        freeze_layers=freeze_layers,
    )


def _levels() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("model", []):
        case = Case(path)
        for level in case.facts["trajectories"]:
            found.append(pytest.param(case, level, id=f"clip4clip-trajectory-{path.stem}-freeze{level}"))
    return found or [pytest.param(None, "", id="clip4clip-trajectory-none-found")]


def _frozen_layers(linear_patch: str, level: str) -> int:
    """With 3d patches the reference freezes nothing at all, which is a mistake that a run can repeat."""
    return -1 if linear_patch == "3d" else int(level)


def _chosen(model: VideoTextModel, freeze_layers: int) -> list[tuple[str, nn.Parameter]]:
    def depth(name: str) -> int | None:
        own = name.removeprefix("backbone.")
        return None if own == name else model.backbone.depth(own)

    return freeze(model, ["*"], freeze_layers, depth)


def _models() -> list[Any]:
    found = [
        pytest.param(Case(path), id=f"clip4clip-groups-{path.stem}")
        for path in clip4clip.listing().get("model", [])
    ]
    return found or [pytest.param(None, id="clip4clip-groups-none-found")]


@pytest.mark.parametrize("case", _models())
def test_groups(case: Case | None) -> None:
    """Rate and decay of every parameter; a table that nothing reads is none of ours."""
    assert case, f"no model in {clip4clip.FOLDER}"
    model = VideoTextModel(*case.model())
    stage = _stage(case.facts["optimiser"], model, -1)
    optimizer = make_optimizer(stage, _chosen(model, -1), registry())
    names = official.names(model.backbone, model.temporal)
    ours = {
        names[name]: (group["base_lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name in group["names"]
    }
    expected = {
        name: (pytest.approx(group["lr"]), group["weight_decay"])
        for group in case.facts["optimiser_groups"]
        for name in group["params"]
    }
    unread = {names[f"temporal.{name}"] for name, _ in model.temporal.named_buffers()}
    assert ours == {name: value for name, value in expected.items() if name not in unread}
    assert unread <= set(case.facts["params_without_grad"])


@pytest.mark.parametrize("case, level", _levels())
def test_trajectory(case: Case | None, level: str) -> None:
    """Five updates: what is frozen, every loss, the logit scale, all final parameters and the logits."""
    assert case, f"no model in {clip4clip.FOLDER}"
    given, expected = case.facts["optimiser"], case.facts["trajectories"][level]
    assert set(expected) == {"losses", "logit_scale_after_step", "frozen", "final_params"}
    model = VideoTextModel(*case.model()).train()
    stage = _stage(given, model, _frozen_layers(case.facts["linear_patch"], level))
    parameters = _chosen(model, stage.freeze_layers)
    schedule = build_schedule({**stage.schedule}, registry())
    names = official.names(model.backbone, model.temporal)
    frozen = {names[name] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == set(expected["frozen"])
    optimizer = make_optimizer(stage, parameters, registry())
    for step in range(given["steps"]):
        loss = train_loss(case, model.backbone, model.temporal, f"traj.step{step}.")
        assert loss.item() == pytest.approx(expected["losses"][step], abs=1e-4)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_gradients(parameters, given["max_grad_norm"], "")
        rate = schedule(step, given["t_total"], given["lr"])
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        optimizer.step()
        scale = model.backbone.logit_scale
        with torch.no_grad():
            scale.clamp_(max=math.log(100))
        assert scale.item() == pytest.approx(expected["logit_scale_after_step"][step], abs=1e-5)
    final = official.export(model.backbone, model.temporal)
    assert set(final) == set(expected["final_params"])
    for key, facts in expected["final_params"].items():
        assert final[key].norm().item() == pytest.approx(facts["norm"], rel=1e-4, abs=1e-4), key
    _check_final_logits(case, model.eval(), level)


def _check_final_logits(case: Case, model: VideoTextModel, level: str) -> None:
    texts, clips = case.batch()
    with torch.no_grad():
        logits = model.logit_scale * model.score(model.encode(texts), model.encode(clips))
    recorded = case.tensors[f"traj.freeze{level}.final_eval_logits"]
    torch.testing.assert_close(logits, recorded, rtol=0, atol=2e-4 * recorded.abs().max().item())


def _full_size() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("keys", []):
        content = read_json(path)
        found += [
            pytest.param(content, name, id=f"clip4clip-freeze-{name.replace(' ', '-').replace('/', '-')}")
            for name in content
        ]
    return found or [pytest.param(None, "", id="clip4clip-freeze-none-found")]


@pytest.mark.parametrize("content, name", _full_size())
def test_full_size_freezing(content: dict[str, Any] | None, name: str) -> None:
    """The number of trainable parameters of a full-size model at every listed level."""
    assert content, f"no lists of keys in {clip4clip.FOLDER}"
    found = official.describe(listed(content, name), name)
    model = VideoTextModel(*full_size_model(found))
    levels = content[name]["trainable_params_by_freeze_layer_num"]
    assert levels
    # The reference counts a table that gets no gradient.
    unread = sum(buffer.numel() for buffer in model.temporal.buffers())
    for level, expected in levels.items():
        chosen = _chosen(model, _frozen_layers(found.linear_patch, level))
        assert sum(parameter.numel() for _, parameter in chosen) + unread == expected, level

"""VLAB's losses, masking, search and stages against recorded values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.engine.optimisation import freeze, make_optimizer
from harness.models import Batch, Decoding, LossInputs, Vocabulary, beam_search
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness_vlab.encoder import allowed_keys
from harness_vlab.losses import answer_loss, contrast, word_loss
from harness_vlab.masking import hide, hide_answer
from tests.parity.golden import read_json
from tests.parity.vlab import files
from tests.parity.vlab_models import model_of, renamed


def alone(value: Tensor) -> Tensor:
    """The sum over the workers, of which there is one."""
    return value


@pytest.mark.parametrize("path", files("losses"))
def test_losses_have_the_recorded_values(path: Path):
    """Contrast at every recorded scale, words over a batch, words by sample."""
    case = read_json(path)
    video, text = (torch.tensor(case[name], dtype=torch.float64) for name in ("video", "text"))
    unit = {name: nn.functional.normalize(x, dim=-1) for name, x in (("video", video), ("text", text))}
    for number, scale in enumerate(case["logit_scale"]):
        inputs = LossInputs(
            features={},
            positives=torch.eye(len(video), dtype=torch.bool),
            logit_scale=torch.tensor(min(scale, case["max_logit_scale"]), dtype=torch.float64).exp(),
            similarity=lambda t, v: unit[t] @ unit[v].T,
            batch=Batch({}),
            total=alone,
        )
        found = contrast(inputs, same_clip_negative=True).item()
        assert found == pytest.approx(case["expected"][f"vtc_scale_{number}"], abs=1e-6)
    logits = torch.tensor(case["logits"], dtype=torch.float64)
    labels = torch.tensor(case["labels"])
    chosen = labels >= 0
    found = word_loss(logits[chosen], labels[chosen], alone).item()
    assert found == pytest.approx(case["expected"]["token_loss"], abs=1e-6)
    found = answer_loss(logits[chosen], labels, chosen, alone).item()
    assert found == pytest.approx(case["expected"]["per_sample_token_loss"], abs=1e-6)


@pytest.mark.parametrize("path", files("masking"))
def test_masking_follows_the_recorded_draws(path: Path):
    """Hidden tokens and what is to be said, for captions and answers; and who sees whom."""
    case = read_json(path)
    ids, prompt = torch.tensor(case["ids"]), torch.tensor(case["prompt"])
    marks = Vocabulary(
        int(ids.max()) + 1, case["cls_id"], case["sep_id"], str, mask=case["mask_id"], pad=case["pad_id"]
    )
    real, asked = ids != marks.pad, prompt != marks.pad
    for one in case["cases"]:
        select, action, others = (torch.tensor(one[name]) for name in ("select", "action", "random_ids"))
        hidden, chosen = hide(ids, real, one["ratio"], select, action, others, marks)
        assert hidden.tolist() == one["masked"]
        assert torch.where(chosen, ids, -100).tolist() == one["labels"]
    hidden, chosen = hide_answer(ids, real, marks)
    assert hidden.tolist() == case["answer"]["masked"]
    assert torch.where(chosen, ids, -100).tolist() == case["answer"]["labels"]
    for name, wanted in case["allowed"].items():
        kind, _, what = name.partition("_")
        seen = allowed_keys(real, asked if what == "prompt" else None, causal=kind == "causal")
        assert seen[:, 0].int().tolist() == wanted


class Bigrams(Decoding):
    """The next token depends on the last one alone."""

    def __init__(self, table: Tensor, start: int, rows: int) -> None:
        self.table, self.last = table, torch.full((rows,), start)

    def logits(self) -> Tensor:
        return self.table[self.last]

    def append(self, tokens: Tensor, rows: Tensor | None = None) -> None:
        self.last = tokens


@pytest.mark.parametrize("path", files("beam"))
def test_beam_search_finds_the_recorded_texts(path: Path):
    """Every table, number of beams and length penalty: the same ids and scores, also in a batch."""
    case = read_json(path)
    end, length = case["sep_id"], case["max_len"]
    for one in case["cases"]:
        table = torch.tensor(one["logprob"], dtype=torch.float64)
        for wanted in one["expected"]:
            beams, penalty = wanted["beam"], wanted["length_penalty"]
            rows = Bigrams(table, case["cls_id"], 2 * beams)
            ids, scores = beam_search(rows, 2, beams, length, end, penalty)
            for row, score in zip(ids.tolist(), scores.tolist(), strict=True):
                assert _said(row, end) == _said(wanted["ids"], end)
                assert score == pytest.approx(wanted["score"], abs=1e-4)


def _said(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids


@pytest.mark.parametrize("path", files("stages"))
def test_stages_train_the_recorded_parameters(path: Path, tmp_path: Path):
    """The recipe's patterns choose what each stage trains, and its decay and rates fall as recorded."""
    for case in read_json(path).values():
        backbone, module = model_of(case["config"])
        model = nn.ModuleDict({"backbone": backbone, "temporal": module})
        ours = {
            **{f"backbone.{name}": p for name, p in backbone.named_parameters()},
            **{f"temporal.{name}": p for name, p in module.named_parameters()},
        }
        assert {name: list(p.shape) for name, p in ours.items()} == _named(case["parameters"])
        roots = (f"msrvtt={tmp_path}", f"webvid={tmp_path}")
        asked = Request(method="vlab_l", dataset="msrvtt", recipes=("pretrain",), data_roots=roots)
        plan, _ = build_plan(asked, registry())
        for name, wanted in case["stages"].items():
            stage = plan.recipe.stages[name]
            chosen = freeze(model, stage.trainable)
            assert {name for name, _ in chosen} == _names(wanted["trainable"])
            groups = make_optimizer(stage, chosen, registry()).param_groups
            found = {name: group for group in groups for name in group["names"]}
            of_clip = {
                n for g in wanted["groups"] if g["name"].startswith("clip") for n in _names(g["params"])
            }
            for group in wanted["groups"]:
                for parameter in _names(group["params"]):
                    assert bool(found[parameter]["weight_decay"]) == bool(group["weight_decay"])
            slow = {name for name, group in found.items() if group["lr"] < stage.lr}
            assert slow == of_clip


def _named(values: dict[str, Any]) -> dict[str, Any]:
    backbone, module = renamed(values)
    return {
        **{f"backbone.{name}": value for name, value in backbone.items()},
        **{f"temporal.{name}": value for name, value in module.items()},
    }


def _names(names: list[str]) -> set[str]:
    return set(_named(dict.fromkeys(names)))

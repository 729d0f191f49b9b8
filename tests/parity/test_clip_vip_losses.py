"""CLIP-ViP's losses against recorded values and gradients, in double precision."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from safetensors.torch import load_file

from harness.models import Features, LossInputs
from harness.models.assembly import build_loss
from harness.plan.recipe import Layers, resolve_component
from harness.plugins import registry
from harness_standard.mil_nce import mil_nce
from harness_standard.triplet import order, triplet
from tests.parity.golden import area, read_json

FILE = area("clip_vip") / "losses.json"
#: The reference's names of the features, and ours of the sources.
SOURCES = {"vis": "video", "text": "text", "img": "frame", "cap": "caption", "mil_text": "text"}


@cache
def _recorded():
    return read_json(FILE), {k: v.double() for k, v in load_file(FILE.with_suffix(".safetensors")).items()}


def _rows():
    return [pytest.param(row, id=f"clip_vip-{row['id']}") for row in read_json(FILE)["rows"]]


def test_clip_vip_losses_are_there():
    """The folder holds recorded losses."""
    assert _rows()


@pytest.mark.parametrize("row", _rows())
def test_loss(row):
    """The value, the gradient of every feature and that of the scale are the recorded ones."""
    facts, tensors = _recorded()
    given = {a: tensors[f"in.{a}"].clone().requires_grad_() for a in row["args"]}
    scale = torch.tensor(row["logit_scale_param"] or 0.0, dtype=torch.float64, requires_grad=True)
    value = _loss(row, {SOURCES[a]: v for a, v in given.items()}, scale, facts)
    assert value.item() == pytest.approx(row["loss_fp64"], abs=1e-9, rel=1e-9)
    value.backward()
    for name in row["used"]:
        wanted = tensors[f"grad64.{row['id']}.{name}"]
        torch.testing.assert_close(given[name].grad, wanted, rtol=0, atol=1e-8 * wanted.abs().max().item())
    if row["grad_logit_scale_fp64"] is not None:
        assert scale.grad.item() == pytest.approx(row["grad_logit_scale_fp64"], rel=1e-8)


def _loss(row, vectors, scale, facts):
    """By the component that has the reference's class as an alias, where it sees a whole batch."""
    name, options = row["loss_name"], dict(row["cfg"])
    own = torch.eye(facts["n"], dtype=torch.bool)
    if name == "MILNCEContrastiveLoss":
        logits = vectors["text"] @ vectors["video"].T / options["temp"]
        return mil_nce(logits, own.repeat_interleave(facts["mil_candidates"], 0))
    if name == "TripletContrastiveLoss" and options["measure"] == "order":
        # Recorded for vectors that are of unit length to seven digits; the component makes them so.
        scores = order(vectors["text"], vectors["video"])
        return triplet(scores, own, options["margin"], options["max_violation"])
    inputs = LossInputs(
        features={
            source: Features(v[:, None], torch.ones(len(v), 1, dtype=torch.bool), v)
            for source, v in vectors.items()
        },
        positives=own,
        logit_scale=scale.exp(),
        similarity=lambda text, picture: vectors[text] @ vectors[picture].T,
        batch=None,
        total=None,
    )
    value = {"name": name, **_translated(name, options)}
    value = resolve_component(value, "losses", ("stages", "finetune", "loss"), Layers(), registry())
    return build_loss(value, registry())(inputs)


def _translated(name, options):
    """The reference's options by our names; an unknown one is an error of the loss's own check."""
    if name == "NCELearnableTempLoss":
        return {"reduction": "sum"}
    if name == "NCEContrastiveLoss":
        return {"reduction": "sum", "temperature": options["temp"]}
    names = {"hard_negative_num": "negatives", "max_violation": "hardest"}
    return {names.get(key, key): value for key, value in options.items()}

"""What CLIP4Clip's parameters are called, how large they are and how they start."""

from __future__ import annotations

from typing import Any

import clip4clip
import pytest
import torch
from golden import read_json
from torch import Tensor

from harness_clip4clip import official

#: The parts that a loose head has beside it when it is built without its flag, and never uses.
UNUSED = ("cross.", "similarity_dense.")


def _initial() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("init", []):
        content = read_json(path)
        found += [
            pytest.param(content, name, id=f"clip4clip-init-{path.stem}-{name}") for name in content["cases"]
        ]
    return found or [pytest.param(None, "", id="clip4clip-init-none-found")]


@pytest.mark.parametrize("content, name", _initial())
def test_initial_values(content: dict[str, Any] | None, name: str) -> None:
    """Right after it is built on a CLIP, every parameter is the copy, or the draw, that it should be."""
    assert content, f"no initial values in {clip4clip.FOLDER}"
    head, patch, *built = name.split("_", 2)
    torch.manual_seed(0)
    backbone = clip4clip.clip(content["clip_config"])
    with torch.no_grad():  # norms and biases of a new CLIP are all alike, and would hide a mistake
        for parameter in backbone.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    layers = content["cross_num_hidden_layers"]
    temporal = clip4clip.head(backbone, head, patch, frames=4, layers=layers, heads=None, dropout=0.1)
    ours = official.export(backbone, temporal)
    rules = content["cases"][name]
    if built == ["without_loose_type_flag"]:
        rules = {key: rule for key, rule in rules.items() if not key.startswith(UNUSED)}
    assert built in ([], ["without_loose_type_flag"]), f"unknown way to build: {built}"
    assert set(ours) == set(rules)
    for key, rule in rules.items():
        assert list(ours[key].shape) == rule["shape"], key
        _check_rule(key, rule, ours)


def _check_rule(key: str, rule: dict[str, Any], ours: dict[str, Tensor]) -> None:
    value = ours[key]
    if "equals_clip_key" in rule:
        assert torch.equal(value, ours[f"clip.{rule['equals_clip_key']}"]), key
    elif "nonzero_temporal_slices" in rule:
        slices = [place for place in range(value.shape[2]) if value[:, :, place].any()]
        assert slices == rule["nonzero_temporal_slices"], key
        [middle] = slices
        assert torch.equal(value[:, :, middle], ours[f"clip.{rule['central_slice_equals']}"]), key
    elif rule["value"] == "random":
        _check_draw(key, rule, value)
    else:
        assert rule["value"] in ("zeros", "ones"), f"unknown rule of {key}: {rule}"
        assert torch.equal(value, torch.full_like(value, float(rule["value"] == "ones"))), key


def _check_draw(key: str, rule: dict[str, Any], value: Tensor) -> None:
    """Both are one draw of ``n``: five standard errors of their difference, and the tails' shape."""
    n = value.numel()
    assert abs(value.mean().item() - rule["mean"]) < 5 * rule["std"] * (2 / n) ** 0.5, key
    assert abs(value.std().item() / rule["std"] - 1) < 5 * n**-0.5, key
    # The largest of a uniform draw is sqrt(3) deviations out, of a normal one more.
    is_uniform = rule["max_abs"] / rule["std"] < 1.9
    assert (value.abs().max().item() / value.std().item() < 1.9) == is_uniform, key


@pytest.mark.parametrize("path", clip4clip.files("model"))
def test_a_recorded_checkpoint_is_written_as_it_was_read(path) -> None:
    """A checkpoint that the reference saved comes out of our model with its keys, shapes and values."""
    assert path, f"no recorded models in {clip4clip.FOLDER}"
    case = clip4clip.Case(path)
    wanted = case.state
    if case.facts["sim_header"] != "tightTransf":
        wanted = {key: value for key, value in wanted.items() if not key.startswith(UNUSED)}
    written = official.export(*case.model())
    assert written.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in written.items())


def _full_size() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("keys", []):
        content = read_json(path)
        found += [
            pytest.param(content, name, id=f"clip4clip-keys-{name.replace(' ', '-').replace('/', '-')}")
            for name in content
        ]
    return found or [pytest.param(None, "", id="clip4clip-keys-none-found")]


def listed(content: dict[str, Any], name: str) -> dict[str, Tensor]:
    """Tensors without content in the listed shapes."""
    entry = content[name]
    if "full" in entry:
        keys = entry["full"]
    else:
        base = content[entry["relative_to"]]["full"]
        keys = {**base, **entry["added"], **entry["changed"]}
        keys = {key: value for key, value in keys.items() if key not in entry["removed"]}
    return {key: torch.empty(shape, device="meta") for key, (_, *shape) in keys.items()}


def full_size_model(found: official.Description):
    """A model of the described sizes, without memory."""
    shape = {
        "image": found.image, "patch": found.patch, "context": found.context, "vocab": found.vocabulary,
        "vision_width": found.vision_width, "vision_layers": found.vision_layers,
        "text_width": found.text_width, "text_layers": found.text_layers,
    }  # fmt: skip
    with torch.device("meta"):
        backbone = clip4clip.clip(shape)
        temporal = clip4clip.head(
            backbone,
            found.head,
            found.linear_patch,
            frames=12,
            layers=found.layers or 1,
            heads=8,
            dropout=0.1,
        )
    return backbone, temporal


@pytest.mark.parametrize("content, name", _full_size())
def test_full_size_keys(content: dict[str, Any] | None, name: str) -> None:
    """The model that a full-size list of keys describes has those keys, those shapes and that size."""
    assert content, f"no lists of keys in {clip4clip.FOLDER}"
    expected = listed(content, name)
    found = official.describe(expected, name)
    assert name.split()[1:] == [found.head, found.linear_patch]
    ours = official.export(*full_size_model(found))
    assert {k: list(v.shape) for k, v in ours.items()} == {k: list(v.shape) for k, v in expected.items()}
    assert sum(tensor.numel() for tensor in ours.values()) == content[name]["n_params"]


def _types(content: dict[str, Any], name: str) -> dict[str, str]:
    """The listed number type of every tensor."""
    entry = content[name]
    base = content[entry["relative_to"]]["full"] if "full" not in entry else entry["full"]
    keys = base if "full" in entry else {**base, **entry["added"], **entry["changed"]}
    return {key: kind for key, (kind, *_) in keys.items() if key not in entry.get("removed", ())}


@pytest.mark.parametrize("content, name", _full_size())
def test_half_precision(content: dict[str, Any] | None, name: str) -> None:
    """Held in half precision, every tensor of a full-size model has the number type of the published one."""
    assert content, f"no lists of keys in {clip4clip.FOLDER}"
    backbone, temporal = full_size_model(official.describe(listed(content, name), name))
    backbone.hold_in_half()
    temporal.hold_in_half()
    ours = official.export(backbone, temporal)
    assert {key: str(value.dtype).removeprefix("torch.") for key, value in ours.items()} == _types(
        content, name
    )

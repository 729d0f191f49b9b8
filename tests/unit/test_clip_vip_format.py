"""CLIP-ViP's checkpoints: read strictly, and changed in size only where that is asked for."""

from __future__ import annotations

import pytest
import torch

from harness.errors import HarnessError
from harness_clip_vip.official_format import OfficialFormat
from tests.parity import clip_vip

FACTS = {
    "projection_dim": 8,
    "vision_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 4},
    "text_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 20, "max_position_embeddings": 6},
}  # fmt: skip
ADDED, TABLE = (f"clipmodel.vision_model.embeddings.{name}" for name in ("added_cls", "temporal_embedding"))


def _model(seed=0, proxies=4, frames=3, **options):
    torch.manual_seed(seed)
    backbone = clip_vip.clip(FACTS)
    options = {"temporal_init_std": 1.0, **options}
    return backbone, clip_vip.part("video_proxies", backbone, frames, proxies=proxies, **options)


@pytest.fixture(scope="module")
def official():
    return OfficialFormat().export(*_model())


def _load(tensors, *model):
    OfficialFormat().load(*model, tensors, "FILE")


def test_a_file_fills_a_model_and_comes_out_again(official):
    """Under either form of its keys, with the buffers of older files, in half precision too."""
    forms = (official, {key.removeprefix("clipmodel."): value for key, value in official.items()})
    for tensors in forms:
        assert OfficialFormat().claims(tensors)
        model = _model(seed=1)
        _load({**tensors, "clipmodel.text_model.embeddings.position_ids": torch.arange(6)[None]}, *model)
        written = OfficialFormat().export(*model)
        assert written.keys() == official.keys()
        assert all(torch.equal(value, official[key]) for key, value in written.items())
    model = _model(seed=1)
    _load({key: value.half() for key, value in official.items()}, *model)
    assert model[1].added.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("clipmodel.text_projection.weight"), "1 missing: clipmodel.text_projection.weight"),
        (lambda t: t.update(strange=torch.ones(1)), "1 unexpected: clipmodel.strange"),
        (lambda t: t.update({"clipmodel.logit_scale": torch.ones(2)}), "of another shape"),
        (lambda t: t.pop(TABLE), f"1 missing: {TABLE}"),
    ],
)
def test_a_file_that_differs_is_refused_whole(official, change, said):
    """The message names the tensor, and the model stays as it was."""
    tensors, model = dict(official), _model(seed=1)
    change(tensors)
    before = {name: value.clone() for name, value in model[1].state_dict().items()}
    with pytest.raises(HarnessError, match=said):
        _load(tensors, *model)
    assert all(torch.equal(value, before[name]) for name, value in model[1].state_dict().items())


def test_other_sizes_are_refused_with_both_ways_out(official):
    """Another number of proxies or of temporal rows names both numbers and the two options."""
    with pytest.raises(HarnessError, match="has 4 proxies, and this model has 9") as caught:
        _load(official, *_model(proxies=9))
    assert "proxies=4" in caught.value.hint and "resize_on_import=true" in caught.value.hint
    with pytest.raises(HarnessError, match="has 3 rows of the temporal table, and this model has 5"):
        _load(official, *_model(frames=5))


def test_sizes_change_where_that_is_asked_for(official):
    """Proxies that a file lacks stay as drawn, further ones are left out, the table is resampled."""
    more = _model(seed=1, proxies=6, frames=6, resize_on_import=True)
    drawn = more[1].added.detach().clone()
    _load(official, *more)
    assert torch.equal(more[1].added[:3], official[ADDED]) and torch.equal(more[1].added[3:], drawn[3:])
    table = official[TABLE][0]
    expected = torch.stack([table[0], 0.75 * table[0] + 0.25 * table[1]])  # half-pixel centres
    torch.testing.assert_close(more[1].temporal[:2], expected)
    fewer = _model(seed=1, proxies=2, temporal_embedding=False, resize_on_import=True)
    _load(official, *fewer)
    assert torch.equal(fewer[1].added, official[ADDED][:1]) and fewer[1].temporal is None


def test_another_attention_is_not_written(official):
    """Full attention has the same tensors, and would be read as something else."""
    backbone = clip_vip.clip(FACTS)
    with pytest.raises(HarnessError, match="video proxies and their attention"):
        OfficialFormat().export(backbone, clip_vip.part("full_attention", backbone, 3))

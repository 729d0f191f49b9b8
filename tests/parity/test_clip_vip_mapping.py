"""One recorded CLIP under four sets of names: read into the same model, and written again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from harness.models import TemporalModule, from_huggingface, to_huggingface
from harness.models.assembly import build_checkpoint_format
from harness.plugins import registry
from harness_clip import weights
from harness_clip.dual_tower import DualTower
from harness_clip_vip.official_format import OfficialFormat
from tests.parity import clip_vip
from tests.parity.golden import read_json

ATOL = 1e-4
#: The recording's names of the formats of a CLIP alone; `hf` is an alias of ours.
ALONE = ("openai", "open_clip", "hf")


def _cases():
    found = [
        pytest.param(path, name, id=f"clip_vip-mapping-{name}")
        for path in clip_vip.listing().get("mapping", [])
        for name in (*ALONE, "clip_vip")
    ]
    return found or clip_vip.none_found("mapping", None, "")


def _model(path: Path, name: str) -> tuple[DualTower, TemporalModule, dict[str, Tensor], dict]:
    facts = read_json(path)
    dims = facts["dims"]

    def tower(kind: str, **more):
        width, layers = dims[f"{kind}w"], dims[f"{kind}l"]
        sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 64}
        return {**sizes, "intermediate_size": 4 * width, **more}

    backbone = clip_vip.clip(
        {
            "projection_dim": dims["proj"],
            "vision_config": tower("v", image_size=dims["res"], patch_size=dims["patch"]),
            "text_config": tower("t", vocab_size=dims["vocab"], max_position_embeddings=dims["ctx"]),
        }
    )
    file = path.with_name(f"{name}.safetensors")
    tensors = load_file(file)
    if name in ALONE:
        weights.load(backbone.clip, file, "recorded")
        temporal = clip_vip.part("mean_pool", backbone, 1)
    else:
        temporal = clip_vip.part("video_proxies", backbone, dims["temporal"], proxies=dims["add"] + 1)
        OfficialFormat().load(backbone, temporal, tensors, name)
    return backbone.eval(), temporal.eval(), tensors, facts


@pytest.mark.parametrize(("path", "name"), _cases())
def test_outputs(path: Path | None, name: str):
    """The recorded features, whichever names the weights came under; of texts with either padding."""
    assert path
    backbone, temporal, _, _ = _model(path, name)
    io = load_file(path.with_name("io.safetensors"))
    with torch.no_grad():
        for padding in ("pad0", "pad_eot"):
            text = clip_vip.texts(io[f"in.text_input_ids_{padding}"], io["in.text_input_mask"])
            found = temporal.encode_text(backbone, text).vector
            close(found, io["out.text_features"])
        close(backbone.encode_frames(io["in.pixel_values"]), io["out.image_features"])
        if name not in ALONE:
            close(normalize(found, dim=-1), io["out.clip_vip.text_features"])
            video = temporal.encode(backbone, clip_vip.videos(io["in.video"])).vector
            close(normalize(video, dim=-1), io["out.clip_vip.vis_features"])


@pytest.mark.parametrize(("path", "name"), _cases())
def test_written_again(path: Path | None, name: str):
    """Every tensor of the file, bit for bit in its own number type, and no other."""
    assert path
    backbone, temporal, tensors, _ = _model(path, name)
    made = build_checkpoint_format({"name": registry().find("checkpoint formats", name)[0].name}, registry())
    written = made.export(backbone, temporal)
    scalars = ("context_length", "input_resolution", "vocab_size")
    wanted = {k: v for k, v in tensors.items() if not k.endswith(".position_ids") and k not in scalars}
    assert written.keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.equal(written[key].to(value.dtype), value), key
    if name == "openai":
        assert {key: value.dtype for key, value in written.items()} == {k: v.dtype for k, v in wanted.items()}


@pytest.mark.parametrize("path", clip_vip.files("mapping"))
def test_names(path: Path | None):
    """Every recorded pair of names is one of ours, in both directions."""
    assert path
    rows = read_json(path)["key_map"]
    assert rows
    for row in rows:
        ours = to_huggingface({row["openai"]: torch.zeros(3, 3) if row["transpose"] else torch.zeros(3)})
        assert set(ours) == set(row["hf"]) and set(from_huggingface(ours)) == {row["open_clip"]}
        assert {f"clipmodel.{key}" for key in ours} == set(row["clip_vip"])


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=ATOL)

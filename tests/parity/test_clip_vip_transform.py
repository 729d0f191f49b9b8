"""Pixels as CLIP-ViP's reference makes them of a frame, and what the cache keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.data.resize import as_levels, resized
from harness.data.transform import Geometry
from tests.parity.golden import area, read_json

FOLDER = area("clip_vip")

#: The end of a recorded tensor's name, and the resize that made it.
RESIZES = {"no_antialias": "tensor", "antialias": "tensor_antialias"}


def _is_transform(content: Any) -> bool:
    return isinstance(content, dict) and {"mean", "std", "order"} <= set(content)


def _cases() -> list[Any]:
    """A parameter per recorded output; a single failing one where there is none."""
    found = [
        pytest.param(path, key, id=f"clip_vip-transform-{path.stem}-{key}")
        for path in sorted(FOLDER.rglob("*.json"))
        if _is_transform(read_json(path))
        for key in sorted(load_file(path.with_suffix(".safetensors")))
        if not key.startswith("in.")
    ]
    return found or [pytest.param(None, "", id="clip_vip-transform-none-found")]


@pytest.mark.parametrize("path,key", _cases())
def test_transform(path: Path | None, key: str) -> None:
    """Resized and normalised pixels to 1e-4 before they are rounded; the frame that the cache keeps is
    the recorded one, within black and white, to the nearest level."""
    assert path, f"no transform in {FOLDER}"
    facts, tensors = read_json(path), load_file(path.with_suffix(".safetensors"))
    assert key.startswith("out.") and key.removeprefix("out.") in RESIZES, f"{key} is of unknown kind"
    resize, stored = RESIZES[key.removeprefix("out.")], tensors[key]
    [clip] = [tensor for name, tensor in tensors.items() if name.startswith("in.")]
    assert len(clip) == len(stored) > 0 and stored.shape[2] == stored.shape[3]
    mean, std = (np.array(facts[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    geometry = Geometry(stored.shape[2], "squash", "bicubic", resize)
    for frame, expected in zip(clip, stored, strict=True):
        picture = frame.transpose(1, 2, 0)
        made = resized(picture, geometry.size, geometry.size, "bicubic", resize == "tensor_antialias")
        ours = (made.transpose(2, 0, 1) / 255 - mean) / std
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)
        levels = (expected * std + mean) * 255
        kept = geometry.apply(picture)
        assert np.array_equal(kept, as_levels(made).transpose(2, 0, 1))
        assert np.abs(kept - np.clip(levels, 0, 255)).max() <= 0.5 + 255 * 1e-4

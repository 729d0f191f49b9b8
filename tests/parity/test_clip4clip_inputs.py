"""What goes into CLIP4Clip: tokens, kept frames and pixels, against the reference's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import clip4clip
import numpy as np
import pytest
import torch
from golden import read_json
from safetensors.torch import load_file

from harness import HarnessError, lazy
from harness.data.sampling import in_order, kept, reference_fps
from harness.data.transform import Geometry
from harness_clip.tokenizers import clip_bpe

#: What the reference's numbers for ``slice_framepos`` and ``frame_order`` stand for.
SLICES = ("head", "tail", "even")
ORDERS = ("forward", "reversed")


@pytest.mark.parametrize("path", clip4clip.files("tokens"))
def test_tokens(path: Path | None) -> None:
    """Every text gives the reference's ids and mask at every length."""
    assert path, f"no tokens in {clip4clip.FOLDER}"
    content = read_json(path)
    assert content["items"]
    for item in content["items"]:
        lengths = {int(k.removeprefix("max_words_")): row for k, row in item.items() if "max_words" in k}
        assert set(item) == {"text", "tokens", "ids", "decoded", *(f"max_words_{n}" for n in lengths)}
        assert lengths
        for length, row in lengths.items():
            encoding = clip_bpe(max(lengths)).encode([item["text"]], length)
            tokens, mask = encoding.tokens[0].tolist(), encoding.mask[0].tolist()
            padding = length - row["n_tokens"]
            assert tokens == row["ids_unpadded"] + [content["pad"]] * padding, item["text"]
            assert mask == [True] * row["n_tokens"] + [False] * padding, item["text"]


@pytest.mark.parametrize("path", clip4clip.files("sampling"))
def test_read_frames(path: Path | None) -> None:
    """Which frames are read of a clip, or that its rate is refused."""
    assert path, f"no sampling in {clip4clip.FOLDER}"
    cases = read_json(path)["cases"]
    assert cases
    for case in cases:
        asked = [case[name] for name in ("fps", "frame_count", "framerate")] + [
            case["start"] or 0,
            case["end"],
        ]
        if "error" in case:
            with pytest.raises(HarnessError, match="frames per second cannot be taken"):
                reference_fps(*asked)
            continue
        indices = reference_fps(*asked).tolist()
        assert indices == case["frames_read"], case
        assert len(indices) == case["n_images"]


@pytest.mark.parametrize("path", clip4clip.files("slicing"))
def test_kept_frames(path: Path | None) -> None:
    """Which frames stay, in which order, and what is padding."""
    assert path, f"no slicing in {clip4clip.FOLDER}"
    cases = read_json(path)["cases"]
    assert cases
    for case in cases:
        places = kept(case["n_sampled"], case["max_frames"], SLICES[case["slice_framepos"]])
        places = places[in_order(len(places), ORDERS[case["frame_order"]])]
        assert places.tolist() == case["source_index"], case
        assert case["mask"] == [int(place < len(places)) for place in range(case["max_frames"])]


@pytest.mark.parametrize("path", clip4clip.files("transform"))
def test_transform(path: Path | None) -> None:
    """Resized, cropped and normalised pixels to 1e-5."""
    assert path, f"no transform in {clip4clip.FOLDER}"
    cases, tensors = read_json(path)["cases"], load_file(path.with_suffix(".safetensors"))
    assert cases
    mean, std = (
        torch.tensor(value).view(3, 1, 1)
        for value in (lazy.open_clip().OPENAI_DATASET_MEAN, lazy.open_clip().OPENAI_DATASET_STD)
    )
    used = set()
    for name, case in cases.items():
        picture = tensors[f"in{name}"].numpy()
        assert picture.shape == (case["height"], case["width"], 3)
        made = torch.from_numpy(Geometry(case["size"], "crop", "bicubic").apply(picture))
        ours = (made / 255 - mean) / std
        [stored] = [key for key in tensors if key == f"out{name}" or key.startswith(f"out{name}_")]
        used |= {f"in{name}", stored}
        step = _stride(case)
        torch.testing.assert_close(ours[:, ::step, ::step], tensors[stored], rtol=0, atol=1e-5)
        if "mean" in case:
            figures = np.array([ours.mean(), ours.std()])
            np.testing.assert_allclose(figures, [case["mean"], case["std"]], rtol=0, atol=1e-5)
    assert used == set(tensors)


def _stride(case: dict[str, Any]) -> int:
    """From ``stored``, such as ``out[:, ::7, ::7]``: every how manieth pixel was kept."""
    assert set(case) <= {"height", "width", "size", "stored", "mean", "std"}
    return int(case["stored"].rstrip("]").rpartition("::")[2]) if "stored" in case else 1

"""Resizing as tensors are resized, against torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from harness.data.resize import as_levels, resized, weights
from harness.data.transform import Geometry

INTERPOLATIONS = ("bicubic", "bilinear")

#: Sizes ``(height, width)``: smaller, larger, one of each, a long way down, and from a single pixel.
SIZES = [
    ((61, 97), (24, 24)),
    ((13, 9), (24, 31)),
    ((40, 9), (17, 30)),
    ((480, 854), (32, 20)),
    ((1, 3), (5, 2)),
    ((7, 7), (7, 3)),
]


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _torch(picture: np.ndarray, size: tuple[int, int], interpolation: str, antialias: bool) -> np.ndarray:
    """torch's resize in double precision, ``[H, W, 3]`` in and out."""
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    made = interpolate(tensor, size, mode=interpolation, align_corners=False, antialias=antialias)
    return made[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("antialias", [False, True], ids=["plain", "antialias"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("source,target", SIZES)
def test_a_resize_is_torchs(source, target, interpolation, antialias):
    """Every pixel is that of `interpolate` to a thousandth of a level, up and down, beyond black and white too."""
    picture = _picture(*source)
    ours = resized(picture, target[1], target[0], interpolation, antialias)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, _torch(picture, target, interpolation, antialias), rtol=0, atol=1e-3)


@pytest.mark.parametrize("antialias", [False, True], ids=["plain", "antialias"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_random_sizes_are_torchs(interpolation, antialias):
    """So it is for twenty random pairs of sizes; one pixel wide, torch itself repeats its first row."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        height, width, *target = map(int, rng.integers(2, 80, 4))
        ours = resized(_picture(height, width), target[1], target[0], interpolation, antialias)
        theirs = _torch(_picture(height, width), tuple(target), interpolation, antialias)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("antialias", [False, True], ids=["plain", "antialias"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_weights_share_out_one_pixel(interpolation, antialias):
    """The weights of each target pixel sum to one, and a resize to the same size changes nothing."""
    for source, target in ((97, 24), (24, 97), (1, 5)):
        assert np.allclose(weights(source, target, interpolation, antialias).sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(weights(31, 31, interpolation, antialias), np.eye(31, dtype=np.float32))


def test_levels_are_the_nearest_within_black_and_white():
    """What a cubic shoots over is cut, the rest is rounded."""
    assert as_levels(np.array([-12.0, -0.4, 0.6, 99.4, 254.6, 300.0])).tolist() == [0, 0, 1, 99, 255, 255]


@pytest.mark.parametrize("resize", ["tensor", "tensor_antialias"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_geometry_keeps_the_levels_of_a_tensors_resize(resize, interpolation):
    """A frame is the float resize to the nearest level; cropped frames are a cut out of one."""
    picture, antialias = _picture(61, 97), resize == "tensor_antialias"
    squashed = Geometry(24, "squash", interpolation, resize).apply(picture)
    expected = as_levels(resized(picture, 24, 24, interpolation, antialias)).transpose(2, 0, 1)
    assert squashed.dtype == np.uint8 and squashed.flags.c_contiguous and np.array_equal(squashed, expected)
    cropped = Geometry(24, "crop", interpolation, resize).apply(picture)
    whole = as_levels(resized(picture, 38, 24, interpolation, antialias)).transpose(2, 0, 1)
    assert np.array_equal(cropped, whole[:, :, 7:31])


def test_only_a_filter_sees_what_lies_between():
    """Made a quarter of its size, a pattern of single lines fades to grey with antialiasing only."""
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, 1::4] = 255
    plain, filtered = (
        Geometry(24, "squash", resize=r).apply(picture) for r in ("tensor", "tensor_antialias")
    )
    pillow = Geometry(24, "squash").apply(picture)
    assert plain.min() > 120 > 80 > filtered.max()
    assert np.abs(filtered.astype(int) - pillow).max() <= 1

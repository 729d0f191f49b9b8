"""Which frames are looked at, and the geometry that they are brought to."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from harness.data.sampling import (
    Sampling,
    candidates,
    fps,
    in_order,
    jitter,
    kept,
    reference_fps,
    strided,
    uniform,
)
from harness.data.transform import Geometry
from harness.data.video import VideoInfo
from harness.errors import HarnessError


def _info(times: np.ndarray, step: float) -> VideoInfo:
    return VideoInfo(len(times), float(times[-1] - times[0] + step), 96, 64, times, 1 / step)


@pytest.mark.parametrize("available", [1, 5, 12, 13, 250, 751])
def test_uniform_is_the_papers_rule(available):
    """Twelve evenly spread frames are `linspace` over both ends, cut to integers."""
    expected = [int(x) for x in np.linspace(0, available - 1, 12)]
    assert uniform(available, 12).tolist() == expected


def test_short_clips_repeat_or_give_fewer():
    """A clip of three frames fills eight places by repeating, or yields its three."""
    assert uniform(3, 8).tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert uniform(3, 8, short="fewer").tolist() == [0, 1, 2]
    assert candidates(3, 8).tolist() == [0, 1, 2]
    assert candidates(100, 4).tolist() == [0, 33, 66, 99]


def test_fps_goes_by_time_not_by_number():
    """One frame a second picks what is on screen then, although the frame rate changes."""
    times = np.concatenate([np.arange(0, 2, 0.5), np.arange(2, 4, 0.1)]) + 7.0
    chosen = fps(times, 4.0, 1.0, 100)
    assert chosen.tolist() == [0, 2, 4, 14]


def test_fps_is_not_misled_by_rounded_times():
    """A frame whose time is a whole second up to rounding counts as shown at that second."""
    times = np.arange(0, 1000) * float(np.float32(0.04))
    assert fps(times, 40.0, 1.0, 100).tolist() == list(range(0, 1000, 25))


def test_fps_thins_to_the_maximum():
    """Sixty seconds at one frame a second, at most 12: evenly spread, both ends included."""
    times = np.arange(0, 60, 0.04)
    every_second = fps(times, 60.0, 1.0, 60)
    assert fps(times, 60.0, 1.0, 12).tolist() == every_second[uniform(60, 12)].tolist()


def test_a_still_picture_is_repeated_by_fps():
    """A frame that stays on screen for three seconds stands for three samples."""
    assert fps(np.array([0.0, 3.0]), 4.0, 1.0, 10).tolist() == [0, 0, 0, 1]


def test_fps_keeps_the_part_that_is_asked_for():
    """Of sixty seconds at one frame a second the first or the last twelve can be kept."""
    times = np.arange(0, 60, 0.04)
    every_second = fps(times, 60.0, 1.0, 60)
    assert fps(times, 60.0, 1.0, 12, "head").tolist() == every_second[:12].tolist()
    assert fps(times, 60.0, 1.0, 12, "tail").tolist() == every_second[-12:].tolist()


def test_reference_fps_cuts_the_rate_to_an_integer():
    """At 29.97 frames per second a second is taken for 29 frames, and the last one is begun too."""
    assert reference_fps(30000 / 1001, 300, 1).tolist() == list(range(0, 300, 29))
    assert reference_fps(29.0, 300, 2).tolist() == [s * 29 + o for s in range(11) for o in (0, 14)][:21]


@pytest.mark.parametrize("rate", [1.0, 7.5, 25.0, 30000 / 1001])
@pytest.mark.parametrize("per_second", [1, 3, 25])
def test_reference_fps_takes_as_many_frames_of_every_second(rate, per_second):
    """All indices ascend without repeats inside the clip, and every whole second has the same number."""
    if per_second > int(rate):
        with pytest.raises(HarnessError, match="frames per second cannot be taken") as caught:
            reference_fps(rate, 100, per_second)
        assert caught.value.hint
        return
    for available in (1, 2, 24, 25, 26, 299, 300):
        indices = reference_fps(rate, available, per_second)
        assert indices.dtype == np.int64 and indices[0] == 0 and indices[-1] < available
        assert (np.diff(indices) > 0).all()
        counts = np.bincount(indices // int(rate))
        assert (counts[: available // int(rate)] == per_second).all()


def test_reference_fps_includes_the_end_of_a_window():
    """Seconds 0 to 31 are 32 frames, a window past the clip's end stops there, fractions are widened."""
    long = 60 * 25
    assert reference_fps(25.0, long, 1, 0.0, 31.0).tolist() == list(range(0, 32 * 25, 25))
    assert reference_fps(25.0, 60, 1, 0.0, 31.0).tolist() == [0, 25, 50]
    assert reference_fps(25.0, long, 1, 2.0).tolist() == list(range(50, long, 25))
    assert reference_fps(25.0, long, 1, 2.7, 4.2).tolist() == reference_fps(25.0, long, 1, 2.0, 5.0).tolist()
    assert not len(reference_fps(25.0, 60, 1, 3.0, 9.0))


def test_a_rate_below_one_is_refused_with_another_way():
    """A clip of half a frame per second has no whole frame a second; asking for fewer cannot help."""
    with pytest.raises(HarnessError) as caught:
        reference_fps(0.5, 10, 1)
    assert "a clip of 0.5" in caught.value.message and "data.sampling" in caught.value.hint


@pytest.mark.parametrize("part", ["even", "head", "tail"])
def test_what_is_kept_is_the_part_by_name(part):
    """Short clips stay whole; of longer ones the first, the last or evenly spread frames stay."""
    assert kept(3, 4, part).tolist() == [0, 1, 2] and kept(4, 4, part).tolist() == [0, 1, 2, 3]
    expected = {"even": [0, 4, 8, 12], "head": [0, 1, 2, 3], "tail": [9, 10, 11, 12]}
    assert kept(13, 4, part).tolist() == expected[part]
    assert kept(0, 4, part).tolist() == []


def test_orders_hold_every_frame_once():
    """Reversing turns the places around; a shuffle is a permutation that follows its generator."""
    assert in_order(4, "forward").tolist() == [0, 1, 2, 3]
    assert in_order(4, "reversed").tolist() == [3, 2, 1, 0]
    first, second = (in_order(20, "shuffled", np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist() != list(range(20))
    assert sorted(first.tolist()) == list(range(20))


@pytest.mark.parametrize("count,wanted", [(32, 12), (100, 2), (12, 12), (5, 12), (1, 4), (9, 1)])
def test_jitter_is_ascending_and_inside(count, wanted):
    """Every draw has the wanted length, ascends, and stays among the candidates."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        places = jitter(count, wanted, rng)
        assert places.shape == (wanted,) and places.dtype == np.int64
        assert (np.diff(places) >= 0).all() and places[0] >= 0 and places[-1] < count


def test_jitter_moves_both_ends_by_up_to_one_interval():
    """The first place takes each value of 0..interval, the last each of n-1-interval..n-1."""
    rng = np.random.default_rng(1)
    draws = [jitter(100, 12, rng) for _ in range(2000)]
    assert {int(d[0]) for d in draws} == set(range(0, 10))
    assert {int(d[-1]) for d in draws} == set(range(90, 100))


def test_jitter_follows_its_generator():
    """The same generator state gives the same places."""
    first, second = (jitter(50, 12, np.random.default_rng(7)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_sampling_chooses_and_names_itself():
    """A `Sampling` gives its function's indices, and different samplings different keys."""
    info = _info(np.arange(0, 10, 0.04), 0.04)
    assert Sampling("uniform", 12).choose(info).tolist() == uniform(250, 12).tolist()
    assert Sampling("fps", 4, 1).choose(info).tolist() == [0, 75, 150, 225]
    assert Sampling("fps", 4, 1, slice="tail").choose(info).tolist() == [150, 175, 200, 225]
    assert Sampling("reference_fps", 4, 1).choose(info, 2, 8).tolist() == [50, 100, 150, 200]
    assert Sampling("reference_fps", 4, 1, slice="head").choose(info, 2, 8).tolist() == [50, 75, 100, 125]
    samplings = [
        Sampling(),
        Sampling("uniform", 8),
        Sampling("fps", 12, 1),
        Sampling("fps", 12, 0.5),
        Sampling("uniform", 12, short="fewer"),
        Sampling("fps", 12, 1, slice="head"),
        Sampling("fps", 12, 1, slice="tail"),
        Sampling("reference_fps", 12, 1),
        Sampling("reference_fps", 12, 2),
        Sampling("reference_fps", 12, 1, slice="head"),
        Sampling("uniform", 1),
        Sampling("middle", 1),
    ]
    assert len({s.key() for s in samplings}) == len(samplings)
    assert Sampling("fps", 12, 1).key() == Sampling("fps", 12, 1.0).key()


@pytest.mark.parametrize("available", [1, 2, 5, 12, 751])
def test_middle_is_the_one_frame_at_half_of_the_window(available):
    """Of ``n`` frames it is number ``int(n / 2)``, counted from the window's first one."""
    info = _info(np.arange(available) * 0.04, 0.04)
    assert Sampling("middle", 1).choose(info).tolist() == [int(available / 2)]
    longer = _info(np.arange(available + 7) * 0.04, 0.04)
    assert Sampling("middle", 1).choose(longer, 5 * 0.04, (5 + available) * 0.04).tolist() == [
        5 + int(available / 2)
    ]
    assert Sampling("middle", 1).choose(longer, 99.0).tolist() == []


def test_a_full_cache_stays_valid():
    """Samplings that were there before reference_fps and slices have the keys that they always had."""
    assert Sampling("uniform", 12, short="fewer").key() == "uniform-12-fewer"
    assert Sampling("fps", 12, 1).key() == "fps-1.0-max-12"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "random"},
        {"kind": "fps"},
        {"kind": "reference_fps"},
        {"kind": "reference_fps", "fps": 1.5},
        {"frames": 0},
        {"fps": 1.0},
        {"short": "loop"},
        {"slice": "head"},
        {"kind": "fps", "fps": 1.0, "slice": "middle"},
        {"kind": "middle"},
        {"kind": "middle", "frames": 1, "fps": 1.0},
        {"kind": "middle", "frames": 1, "slice": "head"},
    ],
)
def test_wrong_sampling_is_refused_with_a_hint(wrong):
    """A sampling that means nothing raises `HarnessError` with a hint."""
    with pytest.raises(HarnessError) as caught:
        Sampling(**wrong)
    assert caught.value.hint


def _picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "width,height,resized,box",
    [
        (320, 240, (74, 56), (9, 0)),
        (240, 320, (56, 74), (0, 9)),
        (97, 65, (83, 56), (14, 0)),
        (56, 75, (56, 75), (0, 10)),
        (50, 50, (56, 56), (0, 0)),
    ],
)
def test_crop_is_torchvisions(width, height, resized, box):
    """Short side to the size, long side cut to an integer, offset rounded to even at a half."""
    picture = _picture(width, height)
    image = Image.fromarray(picture).resize(resized, Image.Resampling.BICUBIC)
    expected = np.asarray(image.crop((*box, box[0] + 56, box[1] + 56))).transpose(2, 0, 1)
    result = Geometry(56, "crop").apply(picture)
    assert result.dtype == np.uint8 and result.flags.c_contiguous
    assert np.array_equal(result, expected)


def test_squash_ignores_the_aspect_ratio():
    """Squashing resizes straight to the square, with the interpolation that was asked for."""
    picture = _picture(97, 65)
    expected = np.asarray(Image.fromarray(picture).resize((56, 56), Image.Resampling.BILINEAR))
    result = Geometry(56, "squash", "bilinear").apply(picture)
    assert np.array_equal(result, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_the_right_size_is_left_alone(fit):
    """A picture that is already the square comes out unchanged."""
    picture = _picture(56, 56)
    assert np.array_equal(Geometry(56, fit).apply(picture), picture.transpose(2, 0, 1))


def test_geometries_have_their_own_keys_and_refuse_nonsense():
    """Each field is part of the key; unknown values raise `HarnessError`."""
    keys = {
        g.key()
        for g in (Geometry(), Geometry(56), Geometry(fit="squash"), Geometry(interpolation="bilinear"))
    }
    assert len(keys) == 4
    for wrong in ({"size": 0}, {"fit": "pad"}, {"interpolation": "nearest"}):
        with pytest.raises(HarnessError):
            Geometry(**wrong)


def test_strided_frames_stand_around_the_middle():
    """Without draws, so many frames a stride apart, with as much of the clip before as after them."""
    assert strided(100, 4, 10).tolist() == [34, 44, 54, 64]
    assert strided(31, 4, 10).tolist() == [0, 10, 20, 30]
    assert strided(25, 4, 10).tolist() == [0, 10, 20, 5]  # the clip starts again


def test_strided_draws_stay_within_a_stride():
    """Drawn frames ascend, each within its own stride, and the window reaches both ends."""
    rng = np.random.default_rng(0)
    drawn = np.array([strided(100, 5, 7, rng) for _ in range(4000)])
    steps = np.diff(drawn, axis=1)
    assert steps.min() >= 1 and steps.max() <= 13
    assert drawn.min() == 0 and drawn.max() == 99

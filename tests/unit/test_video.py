"""Exact frames: every container and coding trick gives the frame that its number says."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness.data.video import (
    DamagedClip,
    decoding,
    packets,
    probe,
    read_frames,
    read_frames_sequential,
    reading,
    survey,
)
from tests.support import clips
from tests.support.special import patience, pipe

READERS = [read_frames, read_frames_sequential]
#: The edit-listed clip starts at this frame of the clip that it was cut from.
FIRST_SHOWN = 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All kinds of sound clips, none with a suffix that could give its format away."""
    root = tmp_path_factory.mktemp("clips")
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder is talkative
    for kind, options in clips.KINDS.items():
        if not clips.can_write(options):
            continue
        clips.write_clip(root / kind, **options)
    clips.cut_without_decoding(root / "bframes", root / "edit_list", FIRST_SHOWN)
    fast = clips.KINDS["bframes"] | {"mux": {"movflags": "faststart"}}
    clips.write_clip(root / "fast", **fast)
    return root


#: Kinds in which damage could hide from a reader of parts, so that all of the file is decoded.
DECODED_WHOLE = {"avi", "avi_bframes", "ts", "mpeg2_ts", "interlaced_ts", "vp8", "gif"}
SOUND = [*(clips.as_parameter(kind, options) for kind, options in clips.KINDS.items()), "edit_list", "fast"]


def _every(info):
    return np.arange(info.frames)


def _twelve(info):
    return np.linspace(0, info.frames - 1, 12).astype(np.int64)


def _numbers(decoded) -> list[int]:
    return [clips.number_of(frame) for frame in decoded.frames]


def _count(kind: str) -> int:
    shown = clips.KINDS.get(kind, {}).get("frames", 60)
    return shown - FIRST_SHOWN if kind == "edit_list" else shown


def _forbid_full_decode(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("fell back to decoding everything")

    monkeypatch.setattr(reading, "read_frames_sequential", refuse)


@pytest.mark.parametrize("kind", SOUND)
def test_sequential_reading_returns_every_frame_in_order(folder, kind):
    """The reference itself: all pictures, once each, by their own numbers."""
    first = FIRST_SHOWN if kind == "edit_list" else 0
    decoded = read_frames_sequential(folder / kind, _every)
    assert _numbers(decoded) == list(range(first, first + _count(kind)))


@pytest.mark.parametrize("kind", SOUND)
def test_sparse_reading_equals_the_reference(folder, kind, monkeypatch):
    """Twelve spread frames, repeats included, equal the reference to the bit, without its help."""
    expected = read_frames_sequential(folder / kind, _twelve)
    if kind not in DECODED_WHOLE:
        _forbid_full_decode(monkeypatch)
    decoded = read_frames(folder / kind, _twelve)
    assert decoded.indices.tolist() == expected.indices.tolist()
    assert np.array_equal(decoded.times, expected.times)
    for mine, theirs in zip(decoded.frames, expected.frames, strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("kind", ["pyramid", "open_gop", "vfr", "hevc", "vp9", "mkv", "edit_list"])
def test_any_single_frame_is_exact(folder, kind, monkeypatch):
    """Each third frame asked for alone is the right one, wherever it lies in its group."""
    expected = read_frames_sequential(folder / kind, _every).frames
    _forbid_full_decode(monkeypatch)
    for index in range(0, len(expected), 3):
        decoded = read_frames(folder / kind, lambda _, index=index: np.array([index]))
        assert np.array_equal(decoded.frames[0], expected[index])


@pytest.mark.parametrize("kind", ["bframes", "vp9", "open_gop"])
def test_decoder_threads_change_nothing(folder, kind):
    """Two decoder threads give the same pictures as one."""
    one, two = (read_frames(folder / kind, _twelve, threads=n) for n in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.frames, two.frames, strict=True))


def test_only_wanted_groups_are_decoded(folder, monkeypatch):
    """One wanted frame near the end of a clip decodes part of its group and no more."""
    calls = []
    keep = decoding._collect
    monkeypatch.setattr(decoding, "_collect", lambda f, *rest: calls.extend(f) or keep(f, *rest))
    read_frames(folder / "bframes", lambda _: np.array([50]))
    assert 1 <= len(calls) <= 12


@pytest.mark.parametrize("kind", SOUND)
def test_probe_counts_and_times_without_decoding(folder, kind):
    """Frame count, ascending times and a duration that covers the last frame."""
    info = probe(folder / kind)
    assert info.frames == len(info.times) == _count(kind)
    assert info.times.dtype == np.float64 and (np.diff(info.times) > 0).all()
    assert info.duration_s > info.times[-1] - info.times[0]


def test_variable_frame_rate_keeps_its_times(folder):
    """Times are those that were written, not frame number over average rate."""
    expected = np.array(clips.KINDS["vfr"]["ticks"]) / 1000
    assert probe(folder / "vfr").times == pytest.approx(expected, abs=1e-4)


def test_constant_frame_rate_has_its_duration(folder):
    """Sixty frames at 25 per second last 2.4 s, the last frame's own time included."""
    assert probe(folder / "bframes").duration_s == pytest.approx(2.4, abs=1e-6)


def test_rotation_is_applied(folder):
    """A clip that a player must turn comes out upright, and its size is the upright one."""
    info = probe(folder / "rotated")
    decoded = read_frames(folder / "rotated", _twelve)
    assert (info.width, info.height) == (clips.WIDTH, clips.HEIGHT)
    assert decoded.frames[0].shape == (clips.HEIGHT, clips.WIDTH, 3)
    assert _numbers(decoded) == _twelve(info).tolist()


@pytest.mark.parametrize("rotation", [90, 180])
def test_other_turns_are_applied(tmp_path, rotation):
    """A quarter turn the other way and a half turn come out upright too."""
    size = (64, 96) if rotation == 90 else (96, 64)
    path = clips.write_clip(tmp_path / "clip", 9, size=size, rotation=rotation)
    assert _numbers(read_frames(path, _every)) == list(range(9))


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    ],
    ids=["left-right", "upside-down", "diagonal", "other-diagonal", "quarter-turn"],
)
def test_mirrored_pictures_are_shown_as_a_player_does(folder, tmp_path, matrix, seen):
    """A display matrix that mirrors, with or without a turn, is followed; so is the size."""
    path = clips.mirror(folder / "bframes", tmp_path / "mirrored", matrix)
    plain, shown = read_frames(folder / "bframes", _twelve), read_frames(path, _twelve)
    info = probe(path)
    assert shown.frames[0].shape == (info.height, info.width, 3)
    for stored, picture in zip(plain.frames, shown.frames, strict=True):
        assert np.array_equal(picture, seen(stored))


@pytest.mark.parametrize("suffix", [clips.as_parameter(*item) for item in clips.ZOO.items()])
def test_every_container_of_a_gathered_data_set(tmp_path, suffix):
    """The containers that people upload, under their own suffix, another one's, and none: all
    frames in order, and sparse reading equal to the reference to the bit."""
    path = clips.write_clip(tmp_path / f"clip.{suffix}", **clips.ZOO[suffix])
    expected = read_frames_sequential(path, _every)
    assert _numbers(expected) == list(range(60))
    for name in (path.name, "clip", "clip.gif", "clip.mp4", "clip.txt"):
        renamed = path.rename(tmp_path / name) if name != path.name else path
        decoded = read_frames(renamed, _twelve)
        for index, picture in zip(decoded.indices, decoded.frames, strict=True):
            assert np.array_equal(picture, expected.frames[index])
        path = renamed


def test_sound_is_left_out(folder):
    """A track of sound changes neither the frames nor their times."""
    silent, sounding = (read_frames(folder / kind, _every) for kind in ("bframes", "sound"))
    assert np.array_equal(silent.times, sounding.times)
    assert all(np.array_equal(a, b) for a, b in zip(silent.frames, sounding.frames, strict=True))


@pytest.mark.parametrize("kind", ["ten_bit", "hevc_ten_bit", "full_range"])
def test_deep_and_full_range_pictures_keep_their_levels(folder, kind):
    """Ten bits and full range come out as eight bits of the same brightness: white is white."""
    picture = read_frames(folder / kind, lambda _: np.array([31])).frames[0]
    white, black = picture[4:12, 4:12], picture[20:28, 20:28]
    assert white.min() > 245 and black.max() < 10


def test_odd_sizes_keep_their_last_row_and_column(folder):
    """A picture of 97 x 65 is returned whole."""
    assert read_frames(folder / "odd", _twelve).frames[0].shape == (65, 97, 3)


def test_repeats_share_one_picture_and_convert_sees_each_once(folder):
    """`convert` runs once per distinct frame, and a repeated index returns the same object."""
    seen = []
    decoded = read_frames(
        folder / "bframes",
        lambda _: np.array([5, 5, 40]),
        convert=lambda picture: seen.append(clips.number_of(picture)) or picture[:1],
    )
    assert sorted(seen) == [5, 40]
    assert decoded.frames[0] is decoded.frames[1] and decoded.frames[0].shape[0] == 1


@pytest.mark.parametrize("reader", READERS)
def test_a_full_decode_is_the_fallback(folder, reader, monkeypatch):
    """If no seek lands where the index says, the frames are right all the same."""

    def lost(*_):
        raise packets.Disagreement("lost")

    monkeypatch.setattr(packets.Cursor, "move_to", lost)
    decoded = reader(folder / "bframes", _twelve)
    assert _numbers(decoded) == decoded.indices.tolist()


def test_packets_without_times_are_decoded_through(folder, monkeypatch):
    """Where the packets do not tell the frames, decoding counts and times them."""
    keep = survey.index_packets

    def vague(container, stream):
        return replace(keep(container, stream), complete=False)

    monkeypatch.setattr(survey, "index_packets", vague)
    assert probe(folder / "bframes").frames == 60
    decoded = read_frames(folder / "bframes", _twelve)
    assert _numbers(decoded) == decoded.indices.tolist()


def _broken(root, folder):
    """Name -> a file that is no sound video."""
    cut = {
        f"cut_{kind}": clips.truncate(folder / kind, root / f"cut_{kind}", 0.6)
        for kind in ("fast", "bframes", "mkv", "vp9", "avi")
    }
    (root / "empty").write_bytes(b"")
    (root / "page").write_bytes(b"<html><body>404 not found</body></html>" * 50)
    (root / "folder").mkdir()
    return cut | {
        "empty": root / "empty",
        "page": root / "page",
        "folder": root / "folder",
        "missing": root / "missing",
        "audio": clips.write_audio(root / "audio"),
    }


BROKEN = [
    "cut_fast",
    "cut_bframes",
    "cut_mkv",
    "cut_vp9",
    "cut_avi",
    "empty",
    "page",
    "folder",
    "missing",
    "audio",
]


@pytest.fixture(scope="module")
def broken(folder, tmp_path_factory):
    return _broken(tmp_path_factory.mktemp("broken"), folder)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_sound_video_is_damaged(broken, kind, reader):
    """Cut off, empty, not a video, no picture, not there: one exception with one clear line."""
    with pytest.raises(DamagedClip) as caught:
        reader(broken[kind], _twelve)
    assert caught.value.path == broken[kind]
    assert caught.value.reason and "\n" not in caught.value.reason
    with pytest.raises(DamagedClip):
        probe(broken[kind])


def test_storage_faults_are_not_held_against_the_content(broken):
    """A missing file may come back; a file without its index will not."""
    for kind, lasting in (("missing", False), ("cut_bframes", True)):
        with pytest.raises(DamagedClip) as caught:
            probe(broken[kind])
        assert caught.value.lasting is lasting


@pytest.mark.parametrize("kind", ["fast", "hevc", "avi"])
@pytest.mark.parametrize("reader", READERS)
def test_reported_decode_errors_are_damage(folder, tmp_path, reader, kind):
    """A sixth of the file overwritten with noise amid its frames: damaged, not painted over."""
    length = (folder / kind).stat().st_size // 6
    start = 0.65 if kind == "avi" else 0.3  # an AVI file begins with a long header
    path = clips.scribble(folder / kind, tmp_path / "scribbled", start, length)
    with pytest.raises(DamagedClip):
        reader(path, _every)


@pytest.mark.parametrize("kind", ["fast", "vp9", "mkv", "ts", "avi", "hevc"])
def test_a_few_wrong_bytes_never_raise_anything_else(folder, tmp_path, kind):
    """Small damage anywhere gives `DamagedClip` or frames, at the chosen number; no other error."""
    for seed in range(16):
        path = clips.scribble(folder / kind, tmp_path / "scribbled", seed / 16, 8, seed)
        try:
            decoded = read_frames(path, _twelve)
        except DamagedClip:
            continue
        assert len(decoded.frames) == len(decoded.times) == 12


@pytest.mark.parametrize("reader", [read_frames, read_frames_sequential, probe])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_not_opened(tmp_path, reader, kind):
    """Reading a pipe would wait for ever, a device never end; the storage's fault, not remembered."""
    path = tmp_path / "x.mp4"
    server = socket.socket(socket.AF_UNIX)
    if kind == "socket":
        server.bind(str(path))
    elif kind == "pipe":
        pipe(path)
    else:
        path.symlink_to("/dev/zero")
    with server, patience(), pytest.raises(DamagedClip, match="is no regular file") as caught:
        reader(path, _every) if reader is not probe else probe(path)
    assert caught.value.path == path and not caught.value.lasting


def test_damage_travels_between_processes():
    """The exception survives pickling with its fields."""
    error = pickle.loads(pickle.dumps(DamagedClip("a.mp4", "cut off", lasting=False)))
    assert (error.path.name, error.reason, error.lasting) == ("a.mp4", "cut off", False)


def test_a_stream_joined_in_the_middle_starts_at_its_first_keyframe(folder, tmp_path):
    """A broadcast recording whose first group is incomplete loses that group and no more."""
    data = (folder / "ts").read_bytes()
    path = tmp_path / "joined"
    path.write_bytes(data[188 * 12 :])
    decoded = read_frames(path, _every)
    numbers = _numbers(decoded)
    assert numbers == list(range(numbers[0], 60)) and numbers[0] == 12


def test_an_unreadable_duration_says_nothing(folder, tmp_path):
    """A Matroska header whose duration is no time of day does not stand against its frames."""
    data = (folder / "mkv").read_bytes()
    assert b"00:00:02.4" in data
    path = tmp_path / "clip"
    path.write_bytes(data.replace(b"00:00:02.4", b"0\xff:00:0x.4"))
    assert _numbers(read_frames(path, _every)) == list(range(60))


@pytest.mark.parametrize("module", ["harness.data.video", "harness.data.reader", "harness.bench.decode"])
def test_reading_video_needs_no_torch(module):
    """The whole path from file to cached frames loads without torch, and so does its measurement."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_colon_in_the_name_is_no_protocol(folder, tmp_path):
    """File names are file names, whatever they look like."""
    path = tmp_path / "http:clip"
    path.write_bytes((folder / "bframes").read_bytes())
    assert probe(path).frames == 60

"""The generated data set: balance, exact reversals, honest files and safe preparation."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from harness import HarnessError
from harness.data.sampling import uniform
from harness_shapes.captions import canonical, phrasings
from harness_shapes.dataset import build
from harness_shapes.encode import QP, encode_mp4
from harness_shapes.options import ShapesOptions
from harness_shapes.plugin import harness_datasets
from harness_shapes.render import render
from harness_shapes.scenes import (
    COLOURS,
    COMBINATIONS,
    FPS,
    FRAMES,
    MOTIONS,
    PAIRS,
    SHAPES,
    TWIN,
    Combination,
    sample_track,
)


def silent(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


def small(root, train_clips: int = 24, seed: int = 0):
    return build(ShapesOptions(seed=seed, train_clips=train_clips), root)


def decoded(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared data set with few training clips."""
    data = small(tmp_path_factory.mktemp("shapes"))
    data.prepare(silent)
    return data


def files_of(data) -> dict[str, bytes]:
    return {str(p.relative_to(data.folder)): p.read_bytes() for p in data.folder.rglob("*.mp4")}


def test_declared_sizes_are_the_real_ones(tmp_path):
    """By default training shows each combination 6 times, test once, as the protocol declares."""
    (spec,) = harness_datasets()
    data = build(ShapesOptions(), tmp_path)
    protocol = spec.default_protocol
    texts = data.captions(protocol.test)
    assert len(data.clips(protocol.test)) == protocol.n_gallery == 192
    assert len({caption.text for caption in texts}) == protocol.n_queries == 192
    assert len(data.clips(protocol.train)) == len(data.captions(protocol.train)) == 1152
    assert spec.fingerprint == data.fingerprint
    assert set(Counter(COMBINATIONS[i % 192] for i in range(1152)).values()) == {6}


def test_captions_say_what_is_shown():
    """The fixed sentence is as documented, and no phrasing fits two combinations."""
    assert canonical(COMBINATIONS[0]) == "a red circle moves from left to right"
    said = Counter(text for what in COMBINATIONS for text in set(phrasings(what)))
    assert set(said.values()) == {1}


def test_training_texts_vary_and_hold_the_test_wording(tmp_path):
    """Training uses many phrasings of a motion and often enough the sentence that test uses."""
    texts = [caption.text for caption in build(ShapesOptions(), tmp_path).captions("train")]
    fixed = {canonical(what) for what in COMBINATIONS}
    assert len(set(texts)) > 500
    assert 0.2 < np.mean([text in fixed for text in texts]) < 0.5


def test_questions_are_answered_by_what_is_shown(prepared):
    """Each clip is asked its colour, shape and motion, in an order and with answers that are its own."""
    for split, count in (("test", 192), ("train", 24)):
        questions = prepared.questions(split)
        assert len(questions) == len({q.id for q in questions}) == 3 * count
        for i, clip in enumerate(prepared.clips(split)):
            own, what = questions[3 * i : 3 * i + 3], COMBINATIONS[i % 192]
            assert {q.clip_id for q in own} == {clip.id}
            assert [(q.kind, q.answer) for q in own] == [
                *(("colour", what.colour), ("shape", what.shape), ("motion", what.motion))
            ]


def test_no_question_tells_its_answer(prepared):
    """A question of one kind is asked with every answer of that kind; of motion there is one question."""
    answers = {"colour": set(COLOURS), "shape": set(SHAPES), "motion": set(MOTIONS)}
    by_text: dict[str, set[str]] = {}
    kinds = {}
    for question in prepared.questions("test"):
        by_text.setdefault(question.text, set()).add(question.answer)
        kinds[question.text] = question.kind
    assert all(found == answers[kinds[text]] for text, found in by_text.items())
    assert Counter(kinds.values()) == {"colour": len(SHAPES), "shape": len(COLOURS), "motion": 1}


def test_each_task_has_a_protocol(prepared):
    """Retrieval keeps its default; captions and questions are of the same clips, with the declared counts."""
    (spec,) = harness_datasets()
    assert spec.protocol_for("retrieval") is spec.default_protocol
    described, asked = spec.protocol_for("captioning"), spec.protocol_for("video_qa")
    assert [p.name for p in spec.protocols] == ["test-192", "captions-192", "questions-576"]
    assert (described.query_unit, described.n_queries, described.n_gallery) == ("clip", 192, 192)
    assert (asked.query_unit, asked.n_gallery) == ("question", 192)
    assert asked.n_queries == len(prepared.questions(asked.test)) == 576


def test_contrasts_link_each_clip_to_its_reversal(prepared):
    """Every test text faces its own clip and the clip of equal colour, shape, reversed motion."""
    pairs = prepared.contrasts("test")["reversed_twin"]
    assert len(pairs) == 192
    said = {caption.clip_id: caption.text for caption in prepared.captions("test")}
    names = {caption.id: caption.clip_id for caption in prepared.captions("test")}
    by_text = {canonical(what): what for what in COMBINATIONS}
    for pair in pairs:
        assert names[pair.caption_id] == pair.clip_id
        assert by_text[said[pair.clip_id]].twin == by_text[said[pair.foil_id]]
    assert prepared.contrasts("train") == {}


@pytest.mark.parametrize("motion", MOTIONS)
def test_twins_are_exact_reversals(motion):
    """Under the same jitter a clip played backwards is its twin, pixel for pixel, and moves."""
    for shape, seed in (("circle", 1), ("triangle", 2), ("cross", 3)):
        what = Combination("red", shape, motion)
        clip = render(what, np.random.default_rng(seed))
        twin = render(what.twin, np.random.default_rng(seed))
        assert np.array_equal(clip[::-1], twin)
        assert not np.array_equal(clip, twin)


def seen(motion: str, seed: int, count: int) -> np.ndarray:
    """Centre and radius over time of many clips of a motion, as played: ``[count, 3, T]``."""
    tracks = []
    for i in range(count):
        track = sample_track(motion, np.random.default_rng((seed, i)), 32, 32, FRAMES)
        tracks.append(np.stack([track.x, track.y, track.radius]))
    backwards = Combination("red", "circle", motion).backwards
    return np.stack(tracks)[:, :, ::-1] if backwards else np.stack(tracks)


def standard_errors_apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Difference of two samples' means in standard errors; 0 where neither varies."""
    error = np.sqrt(first.var(axis=0) / len(first) + second.var(axis=0) / len(second))
    return abs(first.mean(axis=0) - second.mean(axis=0)) / (error + 1e-9)


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_go_where_their_names_say(motion):
    """Each motion moves steadily in its own sense, with y pointing down and nothing else moving."""
    x, y, radius = seen(motion, 0, 50).transpose(1, 0, 2)
    steps = {"x": np.diff(x), "y": np.diff(y), "radius": np.diff(radius)}
    # Twice the signed area swept between two steps: positive is clockwise on a screen.
    turn = steps["x"][:, :-1] * steps["y"][:, 1:] - steps["y"][:, :-1] * steps["x"][:, 1:]
    if "clockwise" in motion:
        assert (turn > 0).all() if motion == "clockwise" else (turn < 0).all()
        assert not steps["radius"].any()
        return
    moving, sign = {
        "left to right": ("x", 1),
        "right to left": ("x", -1),
        "top to bottom": ("y", 1),
        "bottom to top": ("y", -1),
        "growing": ("radius", 1),
        "shrinking": ("radius", -1),
    }[motion]
    assert (sign * steps.pop(moving) > 0).all()
    assert not any(still.any() for still in steps.values())


#: Area at radius 1.
AREAS = {
    "circle": np.pi,
    "square": 2.0**2,
    "triangle": 3 * np.sqrt(3) * 0.62**2,
    "cross": 2 * (2 * 1.1) * (2 * 0.22) - (2 * 0.22) ** 2,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_lie_where_the_track_says(shape):
    """The drawn shape is centred on its track and has the area that its radius gives it."""
    what = Combination("green", shape, "clockwise")
    clip = render(what, np.random.default_rng(4), 256, 256).astype(float)
    track = sample_track(what.motion, np.random.default_rng(4), 256, 256, FRAMES)
    cover = clip[..., 1] - (clip[..., 0] + clip[..., 2]) / 2 > 90
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    for frame in range(FRAMES):
        area = AREAS[shape] * track.radius[frame] ** 2
        assert cover[frame].sum() == pytest.approx(area, rel=0.08)
        assert columns[cover[frame]].mean() == pytest.approx(track.x[frame], abs=1)
        assert rows[cover[frame]].mean() == pytest.approx(track.y[frame], abs=1)


def test_the_usual_picks_mirror_in_time():
    """Eight evenly picked frames, and all frames, are the same set for a clip played backwards."""
    for count in (2, 3, 8, FRAMES):
        picked = uniform(FRAMES, count)
        assert list(picked) == sorted(FRAMES - 1 - picked)


@pytest.mark.parametrize(("drawn", "reverse"), PAIRS)
def test_unordered_frames_do_not_tell_twins_apart(drawn, reverse):
    """Means and spreads over the picked frames of a motion and its twin agree statistically."""
    picked = uniform(FRAMES, 8)
    first, second = seen(drawn, 0, 1000)[..., picked], seen(reverse, 1, 1000)[..., picked]
    for pooled in (np.mean, np.std, np.min, np.max):
        apart = standard_errors_apart(pooled(first, axis=-1), pooled(second, axis=-1))
        assert (apart < 4.5).all()


@pytest.mark.parametrize("motion", MOTIONS)
def test_first_frames_mirror_the_twins_last(motion):
    """Where a motion starts is distributed as where its twin ends."""
    starts, stops = seen(motion, 0, 1000)[:, :, 0], seen(TWIN[motion], 1, 1000)[:, :, -1]
    assert (standard_errors_apart(starts, stops) < 4.5).all()
    assert (standard_errors_apart(starts**2, stops**2) < 4.5).all()


def test_every_frame_is_coded_alike(prepared):
    """Every frame is a keyframe of one QP; size and fidelity favour neither half of the clip."""
    sizes, errors = [], []
    for index, clip in enumerate(prepared.clips("test")[::4]):
        with av.open(str(clip.path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == FRAMES and all(packet.is_keyframe for packet in packets)
        sizes.append([packet.size for packet in packets])
        drawn = prepared.frames("test", index * 4).astype(float)
        errors.append(((decoded(clip.path.read_bytes()) - drawn) ** 2).mean(axis=(1, 2, 3)))
    half = FRAMES // 2
    # The first packet also carries the encoder's signature; leave it and its counterpart out.
    for values in (np.array(sizes)[:, 1:-1], np.array(errors)):
        difference = values[:, :half].mean(axis=1) - values[:, -half:].mean(axis=1)
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))
    assert np.array(sizes)[:, 1].mean() < 1000


def test_the_quantiser_is_constant():
    """A clip of one repeated picture gives frames of equal size and equal decoded pixels."""
    still = np.repeat(render(COMBINATIONS[5], np.random.default_rng(0))[:1], 9, axis=0)
    content = encode_mp4(still, FPS, qp=QP)
    with av.open(io.BytesIO(content)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    assert max(sizes[1:]) - min(sizes[1:]) <= 2
    back = decoded(content)
    assert (back == back[0]).all()
    assert len(encode_mp4(still, FPS, qp=QP + 15)) < len(content)


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_survive_coding(colour):
    """In the decoded clip the middle of every shape is nearest to the colour of its name."""
    names, table = list(COLOURS), np.array(list(COLOURS.values()), dtype=float)
    for number, what in enumerate(what for what in COMBINATIONS if what.colour == colour):
        clip = decoded(encode_mp4(render(what, np.random.default_rng(number)), FPS))
        track = sample_track(what.motion, np.random.default_rng(number), 32, 32, FRAMES)
        frame = FRAMES // 2
        x, y = round(track.x[frame] - 0.5), round(track.y[frame] - 0.5)
        middle = clip[frame, y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))
        assert names[((table - middle) ** 2).sum(axis=1).argmin()] == colour


def test_colours_come_back_close():
    """A flat picture of each colour decodes within a few levels: matrix and range agree."""
    for rgb in COLOURS.values():
        flat = np.full((3, 32, 32, 3), rgb, dtype=np.uint8)
        assert abs(decoded(encode_mp4(flat, FPS)).astype(int) - flat).max() <= 6


def test_same_seed_gives_equal_files(prepared, tmp_path):
    """A second preparation elsewhere gives the same bytes; another seed gives other pixels."""
    again = small(tmp_path)
    again.prepare(silent)
    assert files_of(again) == files_of(prepared)
    other = small(tmp_path, seed=1)
    assert not np.array_equal(other.frames("test", 0), prepared.frames("test", 0))
    assert other.folder != again.folder


def test_fewer_clips_are_a_prefix(prepared, tmp_path):
    """A clip depends on its number alone, not on how many there are; growing adds only the rest."""
    root = prepared.folder.parent
    before = files_of(prepared)
    longer = small(root, train_clips=30)
    calls = []
    longer.prepare(lambda done, total, what: calls.append((done, total)))
    assert calls[-1] == (6, 6)
    assert before.items() <= files_of(longer).items()
    assert longer.captions("train")[:24] == prepared.captions("train")


def test_clips_have_no_path_before_preparation(tmp_path):
    """Before the files exist the clips are listed with no path, as missing ones are."""
    data = small(tmp_path)
    report = data.check(["train", "test"])
    assert {name: split.found for name, split in report.splits.items()} == {"train": 0, "test": 0}


def test_files_appear_only_when_whole(tmp_path, monkeypatch):
    """When writing breaks off half-way, no clip stands under its name."""

    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    data = small(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        data.prepare(silent)
    assert list(data.folder.rglob("*.part")) and not list(data.folder.rglob("*.mp4"))
    assert not (data.folder / "complete.json").exists()


def start_preparation(root) -> subprocess.Popen:
    """Prepare the small data set in a process of its own."""
    code = (
        "import sys, pathlib; from harness_shapes.dataset import build;"
        "from harness_shapes.options import ShapesOptions;"
        "build(ShapesOptions(train_clips=24), pathlib.Path(sys.argv[1])).prepare(lambda *a: None)"
    )
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen([sys.executable, "-c", code, str(root)], env={**os.environ, "PYTHONPATH": path})


def test_interrupted_preparation_is_completed(prepared, tmp_path):
    """After kill -9 in the middle, the next preparation leaves the same files and no leftovers."""
    data = small(tmp_path)
    process = start_preparation(tmp_path)
    deadline = time.monotonic() + 300
    while not (data.folder / "train" / "train00010.mp4").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (data.folder / "complete.json").exists()
    (data.folder / "train" / "train00003.mp4.abc.part").write_bytes(b"half")
    (data.folder / "train" / "train00002.mp4").write_bytes(b"")
    data.prepare(silent)
    assert files_of(data) == {name: files_of(prepared)[name] for name in files_of(data)}
    report = data.check(["train", "test"])
    assert {name: split.found for name, split in report.splits.items()} == {"train": 24, "test": 192}
    assert (data.folder / "complete.json").exists() and not list(data.folder.rglob("*.part"))


def test_two_preparations_at_once(prepared, tmp_path):
    """Two runs preparing the same folder both succeed and leave the same files."""
    runs = [start_preparation(tmp_path) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    made = files_of(small(tmp_path))
    assert len(made) == 24 + 192
    assert made == {name: files_of(prepared)[name] for name in made}


def test_unknown_split_and_source(prepared):
    """A split or text source that does not exist is refused with those that do."""
    with pytest.raises(HarnessError, match="train and test"):
        prepared.clips("val")
    with pytest.raises(HarnessError, match="text and caption"):
        prepared.captions("test", "subtitle")

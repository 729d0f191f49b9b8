"""Miniature data sets: real clips, true sentences, the owners' files, and all of it or nothing."""

from __future__ import annotations

import csv
import importlib
import json
import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from harness import HarnessError
from harness.data import read_captions, scenes, writing
from harness.data.scenes import Act, Scene, draw, invent
from harness.data.video import probe, read_frames_sequential

NAMES = ("msrvtt", "didemo", "lsmdc", "activitynet", "msvd", "vatex", "webvid", "hdvila", "tgif", "folder")
TEXT_FILES = {".json", ".jsonl", ".csv", ".txt", ".pkl"}


def write(name: str, folder: Path) -> Path:
    folder.mkdir()
    importlib.import_module(f"harness_{name}.sample").write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    """Every sample, written once."""
    place = tmp_path_factory.mktemp("samples")
    return {name: write(name, place / name) for name in NAMES}


def files(folder: Path) -> dict[str, bytes]:
    """Content by path below the folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def videos(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in TEXT_FILES)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def everything(info) -> np.ndarray:
    return np.arange(info.frames)


# every sample


@pytest.mark.parametrize("name", NAMES)
def test_every_clip_decodes_whole(trees, name):
    """Each clip gives all its frames, 2 to 10 s of them, 96 x 72 and of more than one colour."""
    found = videos(trees[name])
    assert len(found) >= 24
    for path in found:
        decoded = read_frames_sequential(path, everything)
        info = probe(path)
        assert (info.width, info.height) == (scenes.WIDTH, scenes.HEIGHT)
        assert 2 <= info.duration_s <= 10.1 and len(decoded.frames) == info.frames >= 20
        assert decoded.frames[0].std() > 5


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_the_same_each_time(trees, name, tmp_path):
    """Written again, it has the same files with the same bytes."""
    assert files(write(name, tmp_path / "again")) == files(trees[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_small(trees, name):
    """It is of a size that nobody minds: under half a megabyte."""
    assert sum(map(len, files(trees[name]).values())) < 500_000


# the owners' files


def test_msrvtt_lists_overlap_as_the_real_ones_do(trees):
    """7k is train and val; 9k is all but the 1k-A test, which lies within the owner's test set."""
    root = trees["msrvtt"]
    of = {
        name: json.loads((root / f"{name}_videodatainfo.json").read_text()) for name in ("train_val", "test")
    }
    split = {video["video_id"]: video["split"] for data in of.values() for video in data["videos"]}
    nine = {row["video_id"] for row in table(root / "MSRVTT_train.9k.csv")}
    seven = {row["video_id"] for row in table(root / "MSRVTT_train.7k.csv")}
    tested = table(root / "MSRVTT_JSFUSION_test.csv")
    gallery = {row["video_id"] for row in tested}
    assert seven == {name for name, part in split.items() if part in ("train", "validate")}
    assert len(gallery) == 8 and nine == set(split) - gallery and nine - seven
    assert {split[name] for name in gallery} == {"test"}
    said = {(s["video_id"], s["caption"]) for s in of["test"]["sentences"]}
    assert all((row["video_id"], row["sentence"]) in said for row in tested)
    assert all(row["vid_key"] == row["video_id"].replace("video", "msr") for row in tested)


def test_msrvtt_json_has_the_fields_of_the_real_one(trees):
    """Videos and sentences have their owner's keys, four sentences each, files in the owner's folders."""
    root = trees["msrvtt"]
    for name, folder in (("train_val", "TrainValVideo"), ("test", "TestVideo")):
        data = json.loads((root / f"{name}_videodatainfo.json").read_text())
        assert set(data) == {"info", "videos", "sentences"}
        keys = {"category", "url", "video_id", "start time", "end time", "split", "id"}
        assert all(set(video) == keys for video in data["videos"])
        assert [s["sen_id"] for s in data["sentences"]] == list(range(4 * len(data["videos"])))
        assert all(set(s) == {"caption", "video_id", "sen_id"} for s in data["sentences"])
        there = {path.stem for path in (root / folder).iterdir()}
        assert there == {video["video_id"] for video in data["videos"]}


def test_didemo_has_the_real_ones_odd_names(trees):
    """One video has two names, some end in a dot, one file in nothing, one is described but not listed."""
    root = trees["didemo"]
    listed, described = {}, {}
    for split in ("train", "val", "test"):
        data = json.loads((root / f"{split}_data.json").read_text())
        keys = {"num_segments", "description", "dl_link", "times", "video", "annotation_id"}
        assert all(set(record) == keys for record in data)
        listed[split] = lines(root / f"{split}_list.txt")
        described[split] = {record["video"] for record in data}
    assert [len(listed[split]) for split in ("train", "val", "test")] == [16, 4, 8]
    assert [len(described[s] - set(listed[s])) for s in ("train", "val", "test")] == [1, 0, 1]
    (second,) = described["test"] - set(listed["test"])
    assert second.endswith(".mp4") and second.replace(".mp4", ".mov") in listed["test"]
    names = {path.name for path in videos(root)}
    dotted = [name for names in listed.values() for name in names if name.endswith(".")]
    assert len(dotted) == 2 and sum(name[:-1] in names for name in dotted) == 1
    assert {Path(name).suffix for name in names} > {".mov", ".avi", ".mp4", ".mpg", ".m4v", ".3gp", ""}
    every = {name for split in listed for name in listed[split] + sorted(described[split])}
    assert all(name in names for name in every - {*dotted, second})


def test_didemo_describes_each_video_by_one_to_six_sentences(trees):
    """The numbers of sentences of a video, under all its names, run from 1 to 6; ids are all different."""
    counts: dict[str, int] = {}
    ids = []
    for split in ("train", "val", "test"):
        for record in json.loads((trees["didemo"] / f"{split}_data.json").read_text()):
            stem = record["video"].rpartition(".")[0]
            counts[stem] = counts.get(stem, 0) + 1
            ids.append(record["annotation_id"])
    assert set(counts.values()) == {1, 2, 3, 4, 5, 6} and len(counts) == 29
    assert len(set(ids)) == len(ids)


def test_lsmdc_rows_have_six_fields(trees):
    """Tab separated, no header; files lie in the folder of their film; one id comes twice in training."""
    root, counts = trees["lsmdc"], []
    for name in ("annos_training", "annos_val", "challenge_1000_publictect"):
        rows = [line.split("\t") for line in lines(root / f"LSMDC16_{name}.csv")]
        assert {len(row) for row in rows} == {6}
        counts.append((len(rows), len({row[0] for row in rows}), len({(row[0], row[5]) for row in rows})))
        for clip, start, end, first, last, _ in rows:
            assert clip.endswith(f"_{start}-{end}") and first < start < end < last
            assert (root / clip.split(".")[0][:-3] / f"{clip}.avi").is_file()
    assert counts == [(17, 16, 17), (4, 4, 4), (8, 8, 8)]


def test_activitynet_lists_hold_an_id_without_captions(trees):
    """Each list has one id more than is described; val_2 is part of val_1; dashes begin some ids."""
    root = trees["activitynet"]
    train, one, two = (
        json.loads((root / f"{name}.json").read_text()) for name in ("train", "val_1", "val_2")
    )
    train_ids, val_ids = (json.loads((root / f"{name}_ids.json").read_text()) for name in ("train", "val"))
    assert (len(train), len(one), len(two)) == (16, 8, 7) and set(two) < set(one)
    assert len(set(train_ids) - set(train)) == len(set(val_ids) - set(one)) == 1
    assert set(train) < set(train_ids) and set(one) < set(val_ids)
    assert all(re.fullmatch(r"v_[\w-]{11}", name) for name in train_ids + val_ids)
    assert {"v_-", "v__"} <= {name[:3] for name in [*train, *one]}
    files = {path.stem: path for path in videos(root)}
    assert set(files) == {*train, *one} and {p.suffix for p in files.values()} == {".mp4", ".mkv", ".webm"}
    assert all(one[name]["sentences"] != two[name]["sentences"] for name in two)


def test_activitynet_times_are_the_clips_own(trees):
    """Durations are those of the files, segments fill them, later sentences begin with a blank."""
    root = trees["activitynet"]
    files = {path.stem: path for path in videos(root)}
    for name, about in json.loads((root / "val_1.json").read_text()).items():
        assert set(about) == {"duration", "timestamps", "sentences"}
        assert probe(files[name]).duration_s == pytest.approx(about["duration"], abs=0.11)
        starts, ends = zip(*about["timestamps"])
        assert starts == (0, *ends[:-1]) and ends[-1] == about["duration"]
        assert len(about["sentences"]) == len(starts) > 1
        assert all(text.startswith(" ") for text in about["sentences"][1:])


def test_msvd_captions_are_words(trees):
    """The pickle maps every listed id to lists of words, in numbers that differ from video to video."""
    root = trees["msvd"]
    captions = pickle.loads((root / "raw-captions.pkl").read_bytes())
    names = [name for split in ("train", "val", "test") for name in lines(root / f"{split}_list.txt")]
    assert len(names) == 28 and set(names) == set(captions)
    assert {path.name for path in (root / "YouTubeClips").iterdir()} == {f"{name}.avi" for name in names}
    assert all(re.fullmatch(r"[\w-]{11}_\d+_\d+", name) for name in names)
    assert {len(said) for said in captions.values()} == {5, 6, 7, 8, 9}
    assert all(word and " " not in word for said in captions.values() for words in said for word in words)


def test_vatex_has_ten_sentences_in_each_language(trees):
    """Ten different sentences each; test and val are out of the owner's validation set, as in reality."""
    root, ids = trees["vatex"], {}
    for name in ("training_v1.0", "validation_v1.0", "public_test_english_v1.1"):
        records = json.loads((root / f"vatex_{name}.json").read_text(encoding="utf-8"))
        languages = {"enCap"} if "english" in name else {"enCap", "chCap"}
        assert all(set(record) == {"videoID", *languages} for record in records)
        assert all(len(set(record[key])) == 10 for record in records for key in languages)
        ids[name] = {record["videoID"] for record in records}
    train, val, test = (lines(root / f"{split}_list.txt") for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (16, 4, 8)
    assert ids["training_v1.0"] == set(train) and ids["validation_v1.0"] == {*val, *test}
    assert {path.stem for path in videos(root)} == set().union(*ids.values())


def test_webvid_rows_lead_to_their_files(trees):
    """The columns are the owner's, the page folder holds the file, the stated length is the file's."""
    root = trees["webvid"]
    for split, count in (("train", 16), ("val", 8)):
        rows = table(root / f"results_2M_{split}.csv")
        assert len(rows) == count
        for row in rows:
            assert list(row) == ["videoid", "contentUrl", "duration", "page_dir", "name"]
            path = root / "videos" / row["page_dir"] / f"{row['videoid']}.mp4"
            stated = re.fullmatch(r"PT00H00M(\d\d)S", row["duration"])
            assert probe(path).duration_s == pytest.approx(int(stated[1]), abs=0.1) and "," in row["name"]


def test_hdvila_clips_lie_with_their_videos(trees):
    """Every line has a file in its video's folder; captions cover all clips but two and repeat no subtitle."""
    root = trees["hdvila"]
    rows = [json.loads(line) for split in ("train", "val") for line in lines(root / f"{split}.jsonl")]
    assert len(lines(root / "train.jsonl")) == 16 and len(rows) == 24
    for row in rows:
        assert (root / "videos" / row["clip_id"].partition(".")[0] / row["clip_id"]).is_file()
    captions = read_captions(root / "captions.jsonl")
    assert [row["clip_id"] for row in rows][:-2] == list(captions)
    assert all(captions.get(row["clip_id"]) != row["text"] for row in rows)


# scenes


def seen(motion: str) -> np.ndarray:
    """Mean x, mean y and area of a red circle in each of 49 frames: ``[T, 3]``."""
    clip = draw(Scene((Act("red", "circle", motion),), "striped", "grey"), 49).astype(int)
    mask = clip[..., 0] - clip[..., 1] > 90
    y, x = np.mgrid[0 : scenes.HEIGHT, 0 : scenes.WIDTH]
    return np.array([(x[shown].mean(), y[shown].mean(), shown.sum()) for shown in mask])


def test_a_sentence_is_true():
    """What is said to move right, left, up, down, to grow or shrink, to circle, swing, bounce or rest, does."""
    step = {motion: np.diff(seen(motion), axis=0) for motion in scenes._MOTIONS}
    assert (step["right"][:, 0] > 0).all() and (step["left"][:, 0] < 0).all()
    assert (step["down"][:, 1] > 0).all() and (step["up"][:, 1] < 0).all()
    assert (step["grow"][:, 2] >= 0).all() and step["grow"][:, 2].sum() > 400
    assert (step["shrink"][:, 2] <= 0).all() and step["shrink"][:, 2].sum() < -400
    assert not step["rest"].any()
    x, y, _ = (seen("circle") - seen("circle").mean(axis=0)).T
    assert (np.diff(np.unwrap(np.arctan2(y, x))) > 0).all()  # y points down: clockwise
    turns = {motion: np.sign(step[motion][:, axis]) for motion, axis in (("swing", 0), ("bounce", 1))}
    assert [sign for sign, after in zip(turns["swing"], turns["swing"][1:]) if sign != after] == [
        1,
        -1,
        1,
        -1,
    ]
    assert [s for s, after in zip(turns["bounce"], turns["bounce"][1:]) if s and s != after][:3] == [
        -1,
        1,
        -1,
    ]


def test_acts_follow_each_other():
    """The second half of a scene of two acts shows the second shape, in its colour."""
    clip = draw(Scene((Act("red", "circle", "rest"), Act("green", "bar", "rest")), "dotted", "grey"), 10)
    middle = clip[:, scenes.HEIGHT // 2, scenes.WIDTH // 2].astype(int)
    assert (middle[:5, 0] > 200).all() and (middle[5:, 1] > 180).all() and (middle[5:, 0] < 100).all()


def test_sentences_and_scenes_all_differ():
    """A scene has fifteen different sentences, and no two acts of a list are alike."""
    made = invent("any", [1, 2, 3] * 20)
    acts = [act for scene in made for act in scene.acts]
    assert len(set(acts)) == len(acts) == 120
    assert len(set(made[0].sentences())) == 15
    assert made == invent("any", [1, 2, 3] * 20) != invent("another", [1, 2, 3] * 20)


@pytest.mark.parametrize("suffix", sorted(writing.FORMATS))
def test_a_format_keeps_the_pictures(suffix, tmp_path):
    """Frames come back in number, order and, but for the loss of coding, content; bytes are repeatable."""
    (scene,) = invent("formats", [1])
    frames = draw(scene, 50)
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(writing.encode(frames, 25, writing.FORMATS[suffix]))
    decoded = read_frames_sequential(path, everything)
    assert len(decoded.frames) == 50
    assert np.abs(np.stack(decoded.frames) - frames.astype(float)).mean(axis=(1, 2, 3)).max() < 20
    assert path.read_bytes() == writing.encode(frames, 25, writing.FORMATS[suffix])


# all of it or nothing


def test_a_folder_appears_whole(tmp_path):
    """While it is filled its name does not exist, or stays empty; afterwards nothing else is there."""
    (tmp_path / "empty").mkdir()
    for name in ("new/deep", "empty"):
        with writing.whole_folder(tmp_path / name) as draft:
            (draft / "one").write_text("1")
            assert not (tmp_path / name / "one").exists()
        assert files(tmp_path / name) == {"one": b"1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_an_interrupted_folder(tmp_path, error):
    """Neither the half-filled folder remains, nor the folders made to hold it."""
    with pytest.raises(error), writing.whole_folder(tmp_path / "new" / "deep") as draft:
        (draft / "videos").mkdir()
        (draft / "videos" / "half").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_line(tmp_path):
    """An error of the file system says where and what, and leaves nothing."""
    with (
        pytest.raises(HarnessError, match=r"cannot be written: .*No space"),
        writing.whole_folder(tmp_path / "a"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_filled_meanwhile_is_kept(tmp_path):
    """What another process puts there during the work is not replaced."""
    with pytest.raises(HarnessError, match="not empty"), writing.whole_folder(tmp_path / "a"):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "theirs").write_text("x")
    assert files(tmp_path) == {"a/theirs": b"x"}


# the command


def test_the_command_writes_and_says_what_next(cli, tmp_path):
    """The folder equals what the plugin writes; the last line can be pasted into a shell."""
    target = tmp_path / "a folder"
    done = cli("data", "sample", "msrvtt", target)
    assert done.exit_code == 0, done.stderr
    assert files(target) == files(write("msrvtt", tmp_path / "other"))
    words = shlex.split(done.stdout.splitlines()[-1])
    assert words[:2] == ["harness", "run"] and words[-4:] == [
        "--dataset",
        "msrvtt",
        "--data-root",
        str(target),
    ]


def test_the_command_refuses_a_full_folder(cli, tmp_path):
    """A folder with anything in it is left exactly as it is."""
    (tmp_path / "mine").write_text("x")
    done = cli("data", "sample", "msrvtt", tmp_path)
    assert done.exit_code == 2 and f"{tmp_path} is not empty" in done.stderr
    assert files(tmp_path) == {"mine": b"x"}


def test_the_command_refuses_the_working_folder(cli, workplace):
    """Replacing it would pull the floor from under the user's shell."""
    done = cli("data", "sample", "msrvtt", ".")
    assert done.exit_code == 2 and "is the working folder" in done.stderr
    assert workplace.is_dir() and list(workplace.iterdir()) == []


def test_the_command_names_those_that_have_a_sample(cli, tmp_path):
    """A data set without one is refused before anything is written."""
    done = cli("data", "sample", "shapes", tmp_path / "a")
    assert done.exit_code == 2 and "shapes has no sample" in done.stderr and "msrvtt" in done.stderr
    assert list(tmp_path.iterdir()) == []

"""Searching a folder: ranks of the evaluation, every file found, a picture, and clear refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.data import Caption, Clip
from harness.data.strip import strip_of
from harness.engine import contact_sheet
from harness.engine.checkpoint import save_model
from harness.engine.execute import here
from harness.engine.finished import find_finished
from harness.engine.loading import make_batches, open_dataset
from harness.engine.search import search, videos_under
from harness.models.assembly import build_model
from harness.plan.plan import Request, build_plan
from harness.plan.run_plan import load_plan
from harness.plugins import registry
from tests.support import pairs
from tests.support.clips import write_clip
from tests.support.command import Harness

METHOD = "clip4clip_meanp"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, own_places, small_shapes) -> tuple[Path, dict]:
    """A quickly trained run with its record. In fp64, where no rank hangs on the last digit."""
    harness = Harness(tmp_path_factory.mktemp("trained"), own_places)
    record = harness.record("run", "--method", METHOD, *small_shapes, "--set", "train.precision=fp64")
    return harness.only_run("runs"), record


@pytest.fixture(scope="module")
def gallery(trained) -> Path:
    """The folder of the test clips that the run was scored on."""
    root = Path(load_plan(trained[0] / "plan.json").data_root)
    (folder,) = root.glob("*/test")
    return folder


@pytest.fixture
def folder(gallery, tmp_path) -> Path:
    """A folder as people have them: folders in it, one name twice, other files, and damage."""
    place = tmp_path / "videos"
    (place / "a" / "b").mkdir(parents=True)
    for source, target in (
        ("test00000.mp4", "one.mp4"),
        ("test00001.mp4", "a/two.MP4"),
        ("test00002.mp4", "a/b/one.mp4"),
        ("test00003.mp4", "a/unnamed"),
    ):
        shutil.copy(gallery / source, place / target)
    (place / "damaged.mp4").write_bytes((gallery / "test00004.mp4").read_bytes()[:600])
    (place / "README").write_text("no video\n")
    (place / "notes.txt").write_text("no video\n")
    return place


def searched(cli, *arguments: object) -> dict:
    done = cli("search", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def files(found: dict, number: int = 0) -> list[str]:
    return [hit["file"] for hit in found["searches"][number]["hits"]]


def test_ranks_are_those_of_the_evaluation(cli, trained, gallery):
    """A test caption's own clip has the rank that evaluating the run gave it."""
    run, record = trained
    better = [int(count) for count in record["queries"]["t2v"]["better"].split()]
    opened = captions_of(run)
    chosen = [0, 7, 50, 101, 191]
    assert not record["queries"]["t2v"]["tied"]
    sentences = [opened[number].text for number in chosen]
    found = searched(cli, "--checkpoint", run, "--data-root", gallery, "--top", 192, *sentences)
    assert found["videos"] == 192 and found["unreadable"] == {}
    assert [asked["sentence"] for asked in found["searches"]] == sentences
    ranks = [files(found, place).index(f"{opened[n].clip_id}.mp4") + 1 for place, n in enumerate(chosen)]
    assert ranks == [better[number] + 1 for number in chosen]
    for asked in found["searches"]:
        scores = [hit["score"] for hit in asked["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert [hit["rank"] for hit in asked["hits"]] == list(range(1, 193))


def captions_of(run: Path) -> list[Caption]:
    return list(open_dataset(load_plan(run / "plan.json"), registry()).captions("test"))


def test_every_video_of_any_folder(cli, trained, folder):
    """All videos take part, however deep and whatever their name; damaged ones are named instead."""
    found = searched(cli, "--checkpoint", trained[0], "--data-root", folder, "a red circle grows")
    assert sorted(files(found)) == ["a/b/one.mp4", "a/two.MP4", "a/unnamed", "one.mp4"]
    assert found["videos"] == 4 and list(found["unreadable"]) == ["damaged.mp4"]
    done = cli("search", "--checkpoint", trained[0], "--data-root", folder, "a red circle grows", "--top", 2)
    assert "left out: damaged.mp4: " in done.stderr
    title, _, heads, _, *rows = done.stdout.splitlines()
    assert title == "a red circle grows   (2 of 4 videos)"
    assert heads.split() == ["rank", "score", "file", "length", "(s)"]
    first = found["searches"][0]["hits"][0]
    assert rows[0].split() == ["1", f"{first['score']:.4f}", first["file"], f"{first['length_s']:.1f}"]
    assert len(rows) == 2


def test_a_second_search_decodes_nothing(cli, trained, folder, tmp_path, monkeypatch):
    """What one search decoded lies in the frame cache: the next one reads no video for its scores."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    asked = ("--checkpoint", trained[0], "--data-root", folder, "a red circle grows")
    first = searched(cli, *asked)

    def refuse(*_arguments, **_settings):
        raise AssertionError("a video was decoded again")

    monkeypatch.setattr("harness.data.reader.read_frames", refuse)
    assert searched(cli, *asked) == first
    with pytest.raises(AssertionError, match="decoded again"):
        searched(cli, *asked, "--no-cache")


def test_a_file_with_its_method(cli, trained, folder):
    """A bare model file, with the method and what differs from its recipe, finds what its run finds."""
    run, _ = trained
    recipe = load_plan(run / "plan.json").recipe
    settings = (
        "train.precision=fp64",
        "data.sampling=uniform",
        f"data.frames={recipe.data.frames}",
        f"data.text_length={recipe.data.text_length}",
    )
    asked = [part for setting in settings for part in ("--set", setting)]
    own = searched(cli, "--checkpoint", run, "--data-root", folder, "a blue square")
    found = searched(
        cli, "--checkpoint", run / "model.safetensors", "--method", METHOD, "--backbone", "tiny", *asked,
        "--data-root", folder, "a blue square",
    )  # fmt: skip
    assert found == own


@pytest.mark.parametrize("name", ["hits.png", "hits.JPG"])
def test_a_picture_of_the_hits(cli, trained, folder, tmp_path, name):
    """The picture has a strip for each hit of each sentence, with frames of the hits' own videos."""
    write_clip(folder / "wide.mp4", frames=20, size=(192, 64))
    path = tmp_path / "pictures" / name
    path.parent.mkdir()
    found = searched(
        cli, "--checkpoint", trained[0], "--data-root", folder, "--top", 3, "--picture", path,
        "a red circle grows", "a blue square " + "moves and moves " * 50,
    )  # fmt: skip
    assert [len(asked["hits"]) for asked in found["searches"]] == [3, 3]
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    with Image.open(path) as picture:
        assert picture.format == {".png": "PNG", ".jpg": "JPEG"}[path.suffix.lower()]
        sheet = picture.convert("RGB")
    row = contact_sheet.LINE + contact_sheet.FRAME_HEIGHT + contact_sheet.GAP
    assert sheet.height == 2 * (contact_sheet.LINE + 3 * row + contact_sheet.GAP) + contact_sheet.GAP
    for place, hit in enumerate(found["searches"][0]["hits"]):
        top = contact_sheet.GAP + 2 * contact_sheet.LINE + place * row
        frame = strip_of(
            Clip(hit["file"], folder / hit["file"]),
            contact_sheet.FRAMES,
            contact_sheet.FRAME_WIDTH,
            contact_sheet.FRAME_HEIGHT,
        )[0]
        box = (contact_sheet.GAP, top, contact_sheet.GAP + frame.width, top + frame.height)
        shown, wanted = sheet.crop(box).resize((8, 8)), frame.resize((8, 8))
        differences = [abs(a - b) for a, b in zip(shown.tobytes(), wanted.tobytes(), strict=True)]
        assert max(differences) <= (0 if path.suffix == ".png" else 12)


def test_a_cross_encoder_searches_in_tiles(folder, tmp_path):
    """A module that has to see both sides gives each pair the score that it gives it alone."""
    pairs.register()
    settings = (
        "model.temporal={name: tests_pairs}",
        "evaluation.tile_memory_mb=1",
        "evaluation.batch_size=3",
    )
    plan, _ = build_plan(Request(method=METHOD, dataset="shapes", settings=settings), registry())
    torch.manual_seed(0)
    model = build_model(plan.recipe, registry()).eval().to(here().device)
    save_model(tmp_path, model)
    (tmp_path / "plan.json").write_bytes(plan.to_json())
    sentences = ["a red circle grows", "a blue square moves to the left", "a star"]
    finished = find_finished(tmp_path, "", registry())
    found = search(finished, plan.recipe, registry(), folder, sentences, top=9)
    batches = make_batches(plan, model, 1)
    clips = {clip.id: clip for clip in videos_under(folder)}
    for ranking in found.rankings:
        text = model.encode(batches.texts([Caption("0", "", ranking.sentence)]).to(here().device))
        for hit in ranking.hits:
            with torch.inference_mode():
                video = model.encode(batches.videos([clips[hit.file]]).to(here().device))
                assert model.score(text, video).item() == pytest.approx(hit.score, abs=1e-5)
    assert len({hit.score for ranking in found.rankings for hit in ranking.hits}) == 12


# refusals


@pytest.fixture
def refused(cli, trained, folder, tmp_path):
    """Search with one thing changed; it has to end with one error line and leave nothing behind."""

    def call(*sentences: str, **changed: object) -> str:
        options = {"checkpoint": trained[0], "data-root": folder, **changed}
        before = sorted(tmp_path.rglob("*"))
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        done = cli("search", *arguments, *sentences)
        assert done.exit_code == 2 and done.stdout == ""
        (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
        assert done.stderr.splitlines()[-1].startswith("hint: ")
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return call


def test_a_folder_without_videos(refused, tmp_path):
    """A folder that holds no video is named, and so is one that does not exist."""
    (tmp_path / "empty").mkdir()
    assert "there is no video in" in refused("a star", **{"data-root": tmp_path / "empty"})
    assert "does not exist" in refused("a star", **{"data-root": tmp_path / "nowhere"})


def test_a_folder_of_damaged_videos(refused, tmp_path):
    """Where no video can be read, there is nothing to rank, and the first one's fault is told."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "one.mp4").write_bytes(b"no video at all")
    assert "none of the 1 videos" in refused("a star", **{"data-root": tmp_path / "bad"})


def test_no_run(refused, trained, tmp_path):
    """What is no run folder, no checkpoint, or a file of an unknown method is refused."""
    assert "no plan at" in refused("a star", checkpoint=tmp_path)
    assert "no run or checkpoint" in refused("a star", checkpoint=tmp_path / "nowhere")
    assert "does not say its method" in refused("a star", checkpoint=trained[0] / "model.safetensors")


def test_an_empty_sentence(refused):
    """A sentence of nothing but spaces would rank by chance."""
    assert "empty" in refused("a star", "  ")


def test_a_picture_that_is_none(refused, tmp_path):
    """A name that is no picture's, and a place in no folder, are refused before any video is read."""
    assert "does not end like a picture" in refused("a star", picture=tmp_path / "hits.txt")
    (tmp_path / "file").touch()
    assert "file is no folder" in refused("a star", picture=tmp_path / "file" / "hits.png")
    assert "nowhere is no folder" in refused("a star", picture=tmp_path / "nowhere" / "hits.png")


def test_a_line_break_in_a_name_breaks_no_table(cli, trained, folder):
    """It is shown escaped in tables and messages, and as it is in JSON."""
    (folder / "one.mp4").rename(folder / "o\nne\x1b.mp4")
    (folder / "damaged.mp4").rename(folder / "dam\naged.mp4")
    asked = ("--checkpoint", trained[0], "--data-root", folder, "a red circle grows")
    done = cli("search", *asked)
    assert len(done.stdout.splitlines()) == 4 + 4 and r"o\nne\x1b.mp4" in done.stdout
    assert r"left out: dam\naged.mp4: " in done.stderr
    found = searched(cli, *asked)
    assert "o\nne\x1b.mp4" in files(found) and list(found["unreadable"]) == ["dam\naged.mp4"]


def test_every_video_without_a_suffix_takes_part(folder):
    """Two of one name in different folders are two videos."""
    shutil.copy(folder / "one.mp4", folder / "a" / "b" / "unnamed")
    found = {clip.id for clip in videos_under(folder)}
    assert {"a/unnamed", "a/b/unnamed"} <= found and "README" not in found


def test_as_a_process(trained, folder, own_places, tmp_path):
    """The real command prints JSON alone on standard output and its progress beside it."""
    harness = Harness(tmp_path, own_places)
    done = harness.finish(
        "search", "--checkpoint", str(trained[0]), "--data-root", str(folder), "a star", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["videos"] == 4
    assert "encoding clips" in done.stderr

"""Wrong input gets one line with a hint and exit code 2, and nothing is written or lost."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.errors import HarnessError
from harness.models import read_tensors
from tests.support.msrvtt_tree import MsrvttTree, make_tree

RUN = ("run", "--method", "clip4clip_meanp")
TINY_MSRVTT = ("--backbone", "tiny", "--set", "data.text_length=32", "--set", "train.epochs=1")
MSRVTT = (*RUN, "--dataset", "msrvtt", *TINY_MSRVTT)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file with its bytes, and every folder, below ``folder``."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def assert_refusal(code: int, stdout: str, stderr: str) -> tuple[str, str]:
    """One error line and one hint line at the end, and no trace of Python; returns both."""
    assert code == 2, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    error, hint = stderr.splitlines()[-2:]
    assert error.startswith("error: ") and hint.startswith("hint: ")
    assert stderr.count("error: ") == stderr.count("hint: ") == 1
    return error.removeprefix("error: "), hint.removeprefix("hint: ")


@pytest.fixture
def refused(cli, workplace) -> Callable[..., tuple[str, str]]:
    """Run the command, which has to refuse and leave the working folder as it was."""

    def call(*arguments: object) -> tuple[str, str]:
        before = contents(workplace)
        done = cli(*arguments)
        assert contents(workplace) == before
        return assert_refusal(done.exit_code, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> MsrvttTree:
    """An MSR-VTT of 16 + 8 clips, of which 3 + 3 are missing, damaged or no video at all."""
    return make_tree(
        tmp_path_factory.mktemp("broken") / "msrvtt",
        train=16,
        test=8,
        missing=["video1", "video9771"],
        damaged=["video2", "video9772"],
        unreadable=["video3", "video9773"],
    )


# places


@pytest.mark.parametrize("place", ["boards", "boards/own/results"])
def test_leaderboards_that_cannot_be_written(refused, workplace, small_shapes, place):
    """A file where records would go is found before training, and no run folder is left."""
    (workplace / place).parent.mkdir(parents=True, exist_ok=True)
    (workplace / place).write_text("in the way")
    error, hint = refused(*RUN, *small_shapes, "--leaderboards", "boards/own")
    assert error.startswith("records cannot be written to boards/own") and error.endswith("Not a directory")
    assert "--leaderboards" in hint


def test_runs_that_cannot_be_written(refused, workplace, small_shapes):
    """A file where the run's folder would be is one line too."""
    (workplace / "runs").write_text("in the way")
    error, hint = refused(*RUN, *small_shapes, "--runs", "runs/own")
    assert error.startswith("the run folder ") and error.endswith("cannot be made: Not a directory")
    assert "--runs" in hint


def test_a_read_only_place_for_leaderboards(refused, small_shapes, monkeypatch):
    """A file system that takes no file is found before training too."""

    def full(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    error, _ = refused(*RUN, *small_shapes)
    assert error == "records cannot be written to leaderboards: .: Read-only file system"


# names


def test_an_unknown_method(refused):
    """The nearest names are offered."""
    error, hint = refused("run", "--method", "clip_vpi", "--dataset", "shapes")
    assert error == "unknown method 'clip_vpi'"
    assert hint.startswith("did you mean clip_vip")


def test_an_unknown_method_in_a_process_of_its_own(harness, workplace):
    """The real process says the same, ends with 2, and writes nothing."""
    done = harness("run", "--method", "clip_vpi", "--dataset", "shapes")
    assert assert_refusal(done.returncode, done.stdout, done.stderr)[0] == "unknown method 'clip_vpi'"
    assert contents(workplace) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dataset", "shape"), "unknown dataset 'shape'"),
        (("--dataset", "shapes", "--task", "sorting"), "unknown task 'sorting'"),
        (("--dataset", "shapes", "--backbone", "tini"), "unknown backbone 'tini'"),
        (("--dataset", "shapes", "--post", "dsll"), "unknown postprocessor 'dsll'"),
        (("--dataset", "shapes", "--protocol", "full"), "data set 'shapes' has no protocol 'full'"),
        (("--dataset", "shapes", "--weights", "none.bin"), "none.bin does not exist"),
        (("--dataset", "shapes", "--set", "train.lr"), "--set 'train.lr' is not of the form a.b=value"),
        (("--dataset", "shapes", "--set", "data.frames=[1"), "--set cannot read the value '[1'"),
        (("--dataset", "shapes", "--recipe", "none.yaml"), "cannot read recipe none.yaml"),
        (("--dataset", "shapes", "--resume"), "nothing to resume in"),
        (("--dataset", "shapes", "--set", "data.options.train_clip=5"), "data.options.train_clip"),
    ],
)
def test_a_name_or_value_that_does_not_exist(refused, small_shapes, arguments, said):
    """Every wrong name, and every wrong value after an option, is said before any work."""
    assert said in refused(*RUN, *arguments)[0]


@pytest.mark.parametrize(
    ("arguments", "said", "hinted"),
    [
        (("list", "modles"), "there is no kind of component 'modles'", "methods, datasets"),
        (("describe", "clip_vpi"), "nothing is called 'clip_vpi'", "did you mean clip_vip"),
        (("describe", "zzzz"), "nothing is called 'zzzz'", "`harness list`"),
        (("describe", "clip_vip", "--dataset", "shape"), "unknown dataset 'shape'", "shapes"),
        (("describe", "clip_vip", "--set", "data.frame=2"), "'data.frame': unknown key", "--set data.frame"),
        (("leaderboard",), "no leaderboards in leaderboards", "--leaderboards DIR"),
        (("audit",), "no leaderboards in leaderboards", "--leaderboards DIR"),
        (("leaderboard", "--check"), "no leaderboards in leaderboards", "--leaderboards DIR"),
        (("evaluate", "nowhere", "--dataset", "shapes"), "no run or checkpoint at nowhere", "run folder"),
    ],
)
def test_other_commands_refuse_as_clearly(refused, arguments, said, hinted):
    """Looking up, listing and evaluating what does not exist is one message with a hint."""
    error, hint = refused(*arguments)
    assert said in error and hinted in hint


# recipes


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("train:\n  learning_rate: 1e-5\n", "stages.finetune.learning_rate"),
        ("train:\n  epochs: five\n", "stages.finetune.epochs"),
    ],
)
def test_a_recipe_file_with_a_mistake(refused, workplace, text, path):
    """The message has the path of the value, the hint the file and line."""
    (workplace / "mine.yaml").write_text(text)
    error, hint = refused(*RUN, "--dataset", "shapes", "--recipe", "mine.yaml")
    assert f"'{path}'" in error and hint == "set in mine.yaml:2"


# data roots


def test_no_data_root(refused):
    """All three ways to name a data root are in the hint."""
    error, hint = refused(*MSRVTT)
    assert error == "data set 'msrvtt' needs a data root"
    assert "--data-root" in hint and "HARNESS_DATA" in hint and "no-config.yaml" in hint


def test_a_data_root_that_is_no_folder(refused, monkeypatch, workplace):
    """The message says the path, and which of the three ways it came from."""
    assert "(from --data-root)" in refused(*MSRVTT, "--data-root", "nowhere")[0]
    monkeypatch.setenv("HARNESS_DATA", str(workplace / "all"))
    assert f"{workplace / 'all' / 'msrvtt'} (from HARNESS_DATA)" in refused(*MSRVTT)[0]


@pytest.mark.parametrize("text", ["data: 5\n", "data: {msrvtt: 5}\n", "cache: 7\n", "roots: {}\n", "- a\n"])
def test_a_config_file_with_a_mistake(refused, monkeypatch, tmp_path, text):
    """A config file that says something else than folders is named."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    monkeypatch.setenv("HARNESS_CONFIG", str(config))
    assert str(config) in refused(*MSRVTT)[0]


def test_a_data_root_without_annotations(refused, tmp_path):
    """The names of the files that were looked for are in the message."""
    error, _ = refused(*MSRVTT, "--data-root", tmp_path)
    assert "no annotation file of msrvtt" in error and "MSRVTT_JSFUSION_test.csv" in error


def test_a_tree_without_videos(refused, broken, tmp_path):
    """Annotations alone are not enough, and the message says where videos were looked for."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "msrvtt_data").symlink_to(broken.annotation("any").parent)
    error, hint = refused(*MSRVTT, "--data-root", root)
    assert "no video of split 'train-9k'" in error and str(root) in error and "video0.mp4" in hint


def test_a_tree_with_videos_of_one_split_only(refused, broken, tmp_path):
    """A split without a single video is refused before training on the other."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "msrvtt_data").symlink_to(broken.annotation("any").parent)
    (root / "video0.mp4").symlink_to(broken.video("video0"))
    assert "no video of split 'test-1k-A'" in refused(*MSRVTT, "--data-root", root)[0]


# weights and checkpoints


class _Evil:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


def evil_files(folder: Path) -> list[tuple[Path, Path]]:
    """Torch's own format and a bare pickle, both with code; each with what that code would make."""
    made = []
    for name, save in (("zip.pt", torch.save), ("bare.pt", _bare_pickle)):
        mark = folder / f"{name}.was-run"
        save({"weight": torch.zeros(1), "more": _Evil(mark)}, folder / name)
        made.append((folder / name, mark))
    return made


def _bare_pickle(value: dict, path: Path) -> None:
    path.write_bytes(pickle.dumps({"more": value["more"]}, protocol=2))


def test_weights_with_code_in_them(refused, small_shapes, tmp_path):
    """A pickled checkpoint that carries code is refused as --weights, and the code never runs."""
    for path, mark in evil_files(tmp_path):
        error, _ = refused(*RUN, *small_shapes, "--weights", path)
        assert str(path) in error and not mark.exists()


def test_a_checkpoint_with_code_in_it(refused, small_shapes, tmp_path):
    """The same files are refused by ``evaluate FILE``."""
    for path, mark in evil_files(tmp_path):
        error, hint = refused("evaluate", path, "--method", "clip4clip_meanp", *small_shapes)
        assert str(path) in error and "safetensors" in hint and not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"{}",
        b"\x80\x02",
        b"\x80\x02}q\x00.",
        b"cos\nsystem\n.",
        b"PK\x03\x04 cut short",
        bytes(64),
        b"\xff" * 64,
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    """Whatever the bytes are, the message names the file."""
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        read_tensors(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message, "advice to run what the file holds"


def test_a_checkpoint_file_needs_a_method(refused, tmp_path):
    """A file alone does not say what it is a checkpoint of."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    assert "--method" in refused("evaluate", path, "--dataset", "shapes")[1]


def test_no_network_for_published_weights(refused, small_shapes):
    """Without network and cache, the message names the weights, the hint the file to fetch and pass."""
    error, hint = refused(
        *RUN, *small_shapes, "--backbone", "ViT-B-32-quickgelu", "--set", "model.backbone.pretrained=openai"
    )
    assert "'openai'" in error and "ViT-B-32-quickgelu" in error
    assert "--weights FILE" in hint and "https://" in hint


def test_an_evaluation_with_another_shape(refused, cli, small_shapes):
    """A run's model under options of other sizes is refused, with the tensors that differ."""
    done = cli(*RUN, *small_shapes)
    assert done.exit_code == 0
    (run,) = Path("runs").iterdir()
    error, _ = refused("evaluate", run, "--dataset", "shapes", "--set", "model.backbone.width=48")
    assert "is a checkpoint of another model" in error and "of another shape" in error
    error, _ = refused("evaluate", run, "--dataset", "shapes", "--method", "clip_vip")
    assert "is a run of 'clip4clip_meanp', not of 'clip_vip'" in error
    assert (
        "brings its own backbone" in refused("evaluate", run, "--dataset", "shapes", "--backbone", "tiny")[0]
    )


# what was there before stays


def test_a_refused_run_leaves_the_earlier_one(refused, cli, small_shapes):
    """A second start of a run that fails before its first step loses nothing of the first."""
    assert cli(*RUN, *small_shapes).exit_code == 0
    assert contents(Path("runs")) and contents(Path("leaderboards"))
    error, hint = refused(*RUN, *small_shapes, "--workers", "4096")
    assert "--workers 4096" in error and hint == "use fewer"


@pytest.mark.parametrize("option", ["--runs", "--leaderboards"])
def test_a_file_in_the_place_of_a_folder(cli, workplace, small_shapes, option):
    """Where results cannot go is said before training."""
    (workplace / "taken").write_text("mine")
    before = contents(workplace)
    done = cli(*RUN, *small_shapes, option, "taken")
    assert done.exit_code == 2 and "taken" in done.stderr and "Traceback" not in done.stderr
    assert contents(workplace) == before


# clips


def record_of(done) -> dict:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("method", "samples"), [("clip4clip_meanp", 13 * 3), ("clip_vip", 13)])
@pytest.mark.parametrize("cache", ["--cache", "--no-cache"])
def test_clips_that_cannot_be_used(cli, workplace, broken, method, samples, cache):
    """Bad training clips are skipped, counted and named; bad test clips have the worst rank, are
    named, and stay in every denominator."""
    done = cli(
        "run", "--method", method, "--dataset", "msrvtt", "--data-root", broken.root, *TINY_MSRVTT,
        "--set", "train.batch_size=5", cache, "--json",
    )  # fmt: skip
    record = record_of(done)
    reasons = {split: {c["id"]: c["reason"] for c in record["missing"][split]} for split in ("train", "test")}
    assert set(reasons["train"]) == {"video1", "video2", "video3"}
    assert set(reasons["test"]) == {"video9771", "video9772", "video9773"}
    assert reasons["train"]["video1"] == reasons["test"]["video9771"] == "not found"
    assert all(reason and "\n" not in reason for split in reasons.values() for reason in split.values())
    assert record["train"]["skipped"] == 3
    if cache == "--cache":  # without it, damage shows only when a batch is read
        assert record["train"]["samples"] == samples
    assert (record["protocol"]["n_queries"], record["protocol"]["n_gallery"]) == (8, 8)
    for direction in ("t2v", "v2t"):
        counts = record["queries"][direction]
        better = list(map(int, counts["better"].split()))
        ranks = [b + (counts["tied"].get(str(i), 1) + 1) / 2 for i, b in enumerate(better)]
        assert len(ranks) == 8 and ranks[1:4] == [8.0, 8.0, 8.0]
        assert max(ranks[0], *ranks[4:]) < 8
        assert record["metrics"][direction]["R@5"] == 100 * sum(rank <= 5 for rank in ranks) / 8
        assert record["metrics"][direction]["MnR"] == pytest.approx(sum(ranks) / 8)
    page = (workplace / "leaderboards" / "msrvtt.md").read_text()
    assert "8 sentences x 8 videos" in page and "missing" in page


def test_dropping_missing_clips_is_marked(cli, workplace, broken):
    """With --allow-missing drop queries and gallery shrink, and the row is out of the usual table."""
    run = (
        "run",
        "--method",
        "clip4clip_meanp",
        "--dataset",
        "msrvtt",
        "--data-root",
        broken.root,
        *TINY_MSRVTT,
    )
    usual = record_of(cli(*run, "--json"))
    record = record_of(cli(*run, "--allow-missing", "drop", "--json"))
    assert (record["protocol"]["n_queries"], record["protocol"]["n_gallery"]) == (5, 5)
    assert record["missing"]["policy"] == "drop" and record["missing"]["test"] == usual["missing"]["test"]
    worst = [int(better) for better in usual["queries"]["t2v"]["better"].split()]
    kept = [better for i, better in enumerate(worst) if i not in (1, 2, 3)]
    assert list(map(int, record["queries"]["t2v"]["better"].split())) == kept
    page = (workplace / "leaderboards" / "msrvtt.md").read_text()
    assert page.index("8 sentences x 8 videos") < page.index("5 sentences x 5 videos")
    assert "missing clips dropped: not comparable" in page


def test_testing_on_training_clips_is_refused(refused, cli, broken, tmp_path):
    """Neither a run nor an evaluation may test a model on clips of its own training split."""
    root = shutil.copytree(broken.root, tmp_path / "root")
    (root / "MSRVTT_test.full.csv").write_text("video_id\nvideo9770\nvideo0\n")
    (root / "MSRVTT_train.full.csv").write_text("video_id\nvideo4\nvideo5\n")
    tree = ("--dataset", "msrvtt", "--data-root", root)
    run = ("run", "--method", "clip4clip_meanp", *tree, *TINY_MSRVTT, "--protocol", "full")
    error, hint = refused(*run, "--set", "data.train_split=train-9k")
    assert "1 of the test clips of msrvtt/test-full are training clips of train-9k, such as video0" in error
    assert "split that belongs to this protocol" in hint
    record_of(cli("run", "--method", "clip4clip_meanp", *tree, *TINY_MSRVTT, "--json"))
    folder = next(path for path in Path("runs").iterdir() if not path.name.startswith("."))
    error, _ = refused("evaluate", folder, *tree, "--protocol", "full")
    assert "training clips of train-9k" in error
    for name in ("MSRVTT_train.9k.csv", "MSRVTT_train.7k.csv"):  # known to the run, not by its list
        (root / "msrvtt_data" / name).unlink()
    error, _ = refused("evaluate", folder, *tree, "--protocol", "full")
    assert "training clips of train-9k" in error


OWN = ("--dataset", "folder", "--data-root")
OWN_RUN = ("run", "--method", "clip4clip_meanp", *TINY_MSRVTT, *OWN)


def own_videos(broken: MsrvttTree, root: Path, splits: dict[str, str], said: str) -> Path:
    """A folder of videos of ``broken``, by name and split, whose training captions begin with ``said``."""
    root.mkdir()
    rows = ["video,caption,split"]
    for name, split in splits.items():
        shutil.copy(broken.video(name), root)
        rows.append(f"{name},{said if split == 'train' else 'a'} {name},{split}")
    (root / "captions.csv").write_text("\n".join(rows) + "\n")
    return root


def run_folders() -> list[Path]:
    return sorted(path for path in Path("runs").iterdir() if not path.name.startswith("."))


def test_other_training_texts_are_another_run(cli, refused, workplace, broken, tmp_path):
    """Runs of one recipe on other training captions replace neither each other's folder nor row, and
    none goes on from the other's checkpoint."""
    splits = {"video4": "train", "video5": "train", "video9770": "test"}
    one = own_videos(broken, tmp_path / "one", splits, "the")
    two = own_videos(broken, tmp_path / "two", splits, "no")
    record_of(cli(*OWN_RUN, one, "--json"))
    _, hint = refused(*OWN_RUN, two, "--resume")
    assert "without --resume" in hint
    record_of(cli(*OWN_RUN, two, "--json"))
    assert len(run_folders()) == 2
    assert len(list(workplace.glob("leaderboards/results/folder/*/*.json"))) == 2


def test_own_videos_are_not_tested_on_either(cli, refused, workplace, broken, tmp_path):
    """A model is not tested on videos of its own folder that were for training when it was trained;
    a name in another folder is another video."""
    splits = {"video4": "train", "video5": "train", "video9770": "test"}
    one = own_videos(broken, tmp_path / "one", splits, "the")
    record_of(cli(*OWN_RUN, one, "--json"))
    [run] = run_folders()
    two = own_videos(broken, tmp_path / "two", {"video4": "test"}, "the")
    record_of(cli("evaluate", run, *OWN, two, "--json"))
    (one / "captions.csv").write_text("video,caption,split\nvideo4,a,test\n")
    error, _ = refused("evaluate", run, *OWN, one)
    assert "1 of the test clips of folder/test are training clips of train, such as video4" in error


def test_annotations_follow_the_data(cli, workplace, broken, tmp_path):
    """A run with annotations by a relative path is evaluated from elsewhere, and where another data
    root is given that root's own annotation files count."""
    root = shutil.copytree(broken.root, tmp_path / "root")
    shutil.move(root / "msrvtt_data", workplace / "lists")
    record_of(cli(*MSRVTT, "--data-root", root, "--annotations", "lists", "--json"))
    [run] = run_folders()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("HARNESS_DATA", str(tmp_path))
        (tmp_path / "msrvtt").symlink_to(root)
        record_of(cli("evaluate", workplace / run, "--dataset", "msrvtt", "--json"))
    shutil.rmtree("lists")
    record_of(cli("evaluate", run, "--dataset", "msrvtt", "--data-root", broken.root, "--json"))


def test_a_picture_that_cannot_be_written(refused, workplace):
    """A file in the place of a folder is one line, whatever was to be written there."""
    run = Path("run")
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    error, hint = refused("curves", "run", "--picture", "run/log.jsonl/curve.svg")
    assert error == "run/log.jsonl/curve.svg cannot be written: File exists" and "--picture" in hint

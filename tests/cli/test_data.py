"""`harness data check` and `harness data convert`, as a user calls them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.msrvtt_tree import make_tree


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A small data set with nothing wrong."""
    root = tmp_path_factory.mktemp("whole") / "msrvtt"
    make_tree(root, train=8, test=4)
    return root


@pytest.fixture(scope="module")
def holed(tmp_path_factory) -> Path:
    """One with a test clip missing, one damaged, and a training clip that is no video."""
    root = tmp_path_factory.mktemp("holed") / "msrvtt"
    make_tree(root, train=8, test=4, missing=["video9771"], damaged=["video9772"], unreadable=["video1"])
    return root


def check(cli, root: Path, *more: str):
    return cli("data", "check", "msrvtt", "--data-root", root, *more)


# check


def test_a_whole_data_set_passes(cli, tmp_path):
    """Exit code 0, with every split and protocol in the tables."""
    cli("data", "sample", "folder", tmp_path / "mine")
    done = cli("data", "check", "folder", "--data-root", tmp_path / "mine")
    assert done.exit_code == 0
    assert "train" in done.stdout and "test" in done.stdout
    assert done.stdout.endswith("every protocol that could be checked is sound\n")


def test_a_gallery_that_is_too_small_fails(cli, whole):
    """Exit code 1 though nothing is missing or damaged: the annotation files name too few clips."""
    done = check(cli, whole)
    assert done.exit_code == 1
    for shown in ("train-9k", "test-1k-A", "4 of 1000", "not checked: no annotation files of train-1k-B"):
        assert shown in done.stdout
    assert "incomplete: 4 of 1000 clips\n" in done.stdout
    assert "1k-A is incomplete: 4 of 1000 clips (996 not in the annotation files)\n" in done.stdout
    assert "is sound" not in done.stdout


def test_no_test_annotations_at_all_fail(cli, whole, tmp_path):
    """Exit code 1 where not one protocol can be checked."""
    lists = tmp_path / "lists"
    shutil.copytree(whole / "msrvtt_data", lists)
    (lists / "MSRVTT_JSFUSION_test.csv").unlink()
    (lists / "MSRVTT_data.json").rename(lists / "caption_annotation.json")
    done = check(cli, whole, "--annotations", lists, "--no-decode")
    assert done.exit_code == 1 and "no protocol could be checked: there are no annotation" in done.stdout


def test_annotation_files_of_no_use_are_told_once(cli, tmp_path):
    """Exit code 2 where nothing at all can be read, with one line for each reason."""
    (tmp_path / "train_val_videodatainfo.json").write_text("{")
    done = check(cli, tmp_path)
    assert done.exit_code == 2 and done.stdout.count("videodatainfo.json") == 1
    assert "train-7k, train-full, val-full cannot be read: " in done.stdout
    assert "are no annotation files of train-7k" not in done.stdout


def test_a_test_gallery_with_holes_fails(cli, holed):
    """Exit code 1, and each culprit stands below the table with what is wrong with it."""
    done = check(cli, holed)
    assert done.exit_code == 1
    assert "test-1k-A, missing: video9771\n" in done.stdout
    assert "test-1k-A, damaged: video9772: " in done.stdout and "train-9k, damaged: video1: " in done.stdout
    assert "1k-A is incomplete: 2 of 1000 clips (1 missing, 1 damaged, 996 not in the" in done.stdout


def test_json_holds_every_name(cli, holed):
    """Standard output is one JSON object with all names and reasons, and the exit code stays."""
    done = check(cli, holed, "--protocol", "1k-A", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["dataset"], found["sound"], found["decoded"]) == ("msrvtt", False, True)
    assert list(found["splits"]) == ["test-1k-A", "train-9k"] and list(found["protocols"]) == ["1k-A"]
    test = found["splits"]["test-1k-A"]
    assert (test["clips"], test["found"], test["missing"]) == (4, 3, ["video9771"])
    assert list(test["damaged"]) == ["video9772"] and test["damaged"]["video9772"]
    assert list(found["splits"]["train-9k"]["damaged"]) == ["video1"]


def test_no_decode_only_counts(cli, holed):
    """Without decoding a damaged clip passes for a found one; a missing one does not."""
    found = json.loads(check(cli, holed, "--no-decode", "--json").stdout)
    test = found["splits"]["test-1k-A"]
    assert (test["missing"], test["damaged"], found["decoded"]) == (["video9771"], {}, False)


def test_progress_goes_to_standard_error(cli, whole):
    """How far decoding has come is told, and not among the results."""
    done = check(cli, whole, "--json")
    assert "decoding: 12/12" in done.stderr and "decoding" not in done.stdout


def test_a_protocol_without_its_files_is_an_error(cli, whole):
    """Asked for by name, a protocol that cannot be checked says which files were looked for."""
    done = check(cli, whole, "--protocol", "1k-B")
    assert done.exit_code == 2
    assert "test_list_miech.txt" in done.stderr and "hint: " in done.stderr


def test_an_unknown_protocol_names_the_known_ones(cli, whole):
    """A misspelt protocol is one line with those that there are."""
    done = check(cli, whole, "--protocol", "1k-C")
    assert done.exit_code == 2 and "known: 1k-A, full, 1k-B" in done.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.lr=1", "is no option of the data set"),
        ("data.options.anotations=/x", "recipe value 'data.options.anotations': unknown key"),
    ],
)
def test_a_setting_without_effect_is_refused(cli, whole, setting, said):
    """What is no option of the data set is an error, not ignored."""
    done = check(cli, whole, "--set", setting)
    assert done.exit_code == 2 and said in done.stderr


def test_annotations_may_lie_apart(cli, whole, tmp_path):
    """With their folder named, a root of videos alone is enough."""
    videos = whole / "MSRVTT_Videos"
    assert check(cli, videos).exit_code == 2
    done = check(cli, videos, "--annotations", whole / "msrvtt_data", "--protocol", "1k-A")
    assert done.exit_code == 1 and "1k-A is incomplete: 4 of 1000 clips" in done.stdout


def test_a_generated_data_set_is_made_first(cli, small_shapes):
    """A data set that makes its own files needs no root, and none of its clips is missing."""
    done = cli("data", "check", "shapes", "--set", "data.options.train_clips=192", "--no-decode", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {name: split["found"] for name, split in found["splits"].items()} == {"train": 192, "test": 192}


def test_checking_imports_no_torch(whole, tmp_path):
    """A data set is looked through without the libraries that training needs."""
    program = (
        "import sys\nfrom harness.cli import main\n"
        f"try: main(['data', 'check', 'msrvtt', '--data-root', {str(whole)!r}])\n"
        "except SystemExit as done: assert done.code == 1\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# convert


def test_converted_files_can_be_checked(cli, whole, tmp_path):
    """What is written serves as the annotation files of the same videos, with the same texts."""
    done = cli("data", "convert", "msrvtt", tmp_path / "out", "--to", "jsonl", "--data-root", whole)
    assert done.exit_code == 1 and "val-full is not written" in done.stderr
    assert f"test-1k-A: 4 clips, 4 texts: {tmp_path / 'out' / 'test1ka.jsonl'}\n" in done.stdout
    before, after = (
        json.loads(check(cli, whole, "--protocol", "1k-A", "--json", *more).stdout)["protocols"]["1k-A"]
        for more in ((), ("--annotations", str(tmp_path / "out")))
    )
    assert before["texts_hash"] == after["texts_hash"] and after["queries"] == 4


def test_converting_twice_replaces_nothing(cli, small_shapes, tmp_path):
    """A second conversion into one folder is refused, with the file that is in the way."""
    arguments = ("data", "convert", "shapes", tmp_path, "--to", "json")
    assert cli(*arguments).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = cli(*arguments)
    assert done.exit_code == 2 and "is there already and is not replaced" in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

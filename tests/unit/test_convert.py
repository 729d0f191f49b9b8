"""Converted annotation files: what stands in them, and that the data set reads them as its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import Caption, Clip, Dataset, Question
from harness.data.convert import FORMS, convert
from harness.plan.opening import open_named
from harness.plugins import load_factory, registry
from harness.results.digest import texts_hash
from tests.support.msrvtt_tree import make_tree

#: With a sample that has captions.
SAMPLED = [
    spec.name
    for spec, _ in registry().specs("datasets")
    if spec.sample and any(protocol.query_unit != "question" for protocol in spec.protocols)
]


class Given(Dataset):
    """A data set of exactly these clips, with their texts by split."""

    def __init__(self, splits: dict[str, dict[str, list[str]]], paths: dict[str, Path] | None = None) -> None:
        self.given, self.paths = splits, paths or {}

    def splits(self):
        return list(self.given)

    def clips(self, split):
        return [Clip(name, self.paths.get(name)) for name in self.given[split]]

    def captions(self, split, source="text"):
        said = self.given[split].items()
        return [Caption(f"{name}#{i}", name, text) for name, texts in said for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The root of a data set's sample tree; each is written once."""
    made: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in made:
            spec, plugin = registry().find("datasets", name)
            made[name] = tmp_path_factory.mktemp(name)
            load_factory(spec.sample, plugin)(made[name])
        return made[name]

    return root


def identity(dataset: Dataset, split: str) -> tuple[list[str], str]:
    """The clips of a split in order, and the digest of its ids and texts."""
    clips = [clip.id for clip in dataset.clips(split)]
    return clips, texts_hash([(c.id, c.text, c.clip_id) for c in dataset.captions(split)], clips)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SAMPLED)
def test_a_data_set_reads_its_converted_files(sample, tmp_path, name, form):
    """From the written files alone, every split of captions has the same clips in the same order, and the
    same texts; splits of questions alone are not written."""
    original = open_named(name, registry(), data_root=str(sample(name))).dataset
    done = convert(original, form, tmp_path / "out")
    described = [split for split in original.splits() if original.captions(split)]
    assert all(split in described or original.questions(split) for split in original.splits())
    assert not done.unreadable and [file.split for file in done.files] == described
    again = open_named(
        name, registry(), data_root=str(sample(name)), annotations=str(tmp_path / "out")
    ).dataset
    assert set(again.splits()) == set(described)
    for file in done.files:
        assert identity(again, file.split) == identity(original, file.split)
        clips, captions = again.clips(file.split), again.captions(file.split)
        assert (file.clips, file.texts) == (len(clips), len(captions)) and clips
        assert [c.path for c in clips] == [c.path for c in original.clips(file.split)]


def test_msrvtt_is_written_under_the_names_that_other_code_expects(tmp_path):
    """CLIP-ViP's and mmaction2's names for the splits of 1k-A."""
    make_tree(tmp_path / "tree", train=4, test=2)
    dataset = open_named("msrvtt", registry(), data_root=str(tmp_path / "tree")).dataset
    for form in FORMS:
        convert(dataset, form, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"train9k.jsonl", "test1ka.jsonl", "train_9k.json", "train_7k.json", "test_JSFUSION.json"} <= names


def test_jsonl_has_a_text_or_a_list(tmp_path):
    """A clip with one text has it as a string, with several as a list; nothing else stands in a line."""
    convert(Given({"test": {"a": ["one é\u2028"], "b": ["two", "three"]}}), "jsonl", tmp_path)
    lines = (tmp_path / "test.jsonl").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == [
        {"clip_id": "a", "text": "one é\u2028"},
        {"clip_id": "b", "text": ["two", "three"]},
    ]


def test_json_has_file_names_and_lists(tmp_path):
    """A clip stands under its file's name as found; without a file, or one called otherwise, under its id."""
    paths = {"a": Path("/x/a.webm"), "c": Path("/x/other.mkv"), "d": Path("/x/d"), "e": Path("/x/e.1")}
    convert(Given({"test": {name: [name] for name in "abcde"}}, paths), "json", tmp_path)
    assert json.loads((tmp_path / "test.json").read_text()) == {
        **{"a.webm": ["a"], "b.mp4": ["b"], "c.mkv": ["c"], "d": ["d"], "e.mp4": ["e"]}
    }


def test_folders_of_pictures_are_written_as_such(tmp_path):
    """jsonl states the number of pictures, of sound folders; json has the folder's name, without a suffix."""
    for name, numbers in {"a": (0, 1, 2), "sub/b.c": (7, 8), "d": (1, 4, 5)}.items():
        (tmp_path / name).mkdir(parents=True)
        for number in numbers:
            (tmp_path / name / f"x_{number:03d}.jpg").touch()
    paths = {name: tmp_path / name for name in ("a", "sub/b.c", "d")} | {"e": tmp_path / "e.mp4"}
    dataset = Given({"test": {name: ["x"] for name in paths}}, paths)
    for form in FORMS:
        convert(dataset, form, tmp_path / "out")
    lines = (tmp_path / "out/test.jsonl").read_text().splitlines()
    assert {line["clip_id"]: line.get("num_frame") for line in map(json.loads, lines)} == {
        **{"a": 3, "sub/b.c": 2, "d": None, "e": None}
    }
    assert list(json.loads((tmp_path / "out/test.json").read_text())) == ["a", "sub/b.c", "d", "e.mp4"]


def test_nothing_is_replaced(tmp_path):
    """One file that is there already stops all of them from being written."""
    dataset = Given({"train": {"a": ["x"]}, "test": {"b": ["y"]}})
    (tmp_path / "test.json").write_text("mine")
    with pytest.raises(HarnessError, match=r"test\.json is there already and is not replaced"):
        convert(dataset, "json", tmp_path)
    assert (tmp_path / "test.json").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_split_of_no_use_is_told(tmp_path):
    """A split whose files cannot be read is left out with its reason, and the others are written."""

    class Broken(Given):
        def captions(self, split, source="text"):
            if split == "train":
                raise HarnessError("train.csv, line 3: no name")
            return super().captions(split, source)

    done = convert(Broken({"train": {"a": ["x"]}, "test": {"b": ["y"]}}), "jsonl", tmp_path)
    assert done.unreadable == {"train": "train.csv, line 3: no name"}
    assert [file.path.name for file in done.files] == ["test.jsonl"]


def test_a_data_set_of_questions_alone_is_refused(tmp_path):
    """Where no split has a caption nothing is written, and the error names the splits."""

    class Asking(Given):
        def captions(self, split, source="text"):
            return ()

        def questions(self, split):
            return [Question(f"{name}?0", name, "what?", "x") for name in self.given[split]]

    with pytest.raises(HarnessError, match="none of its splits has captions: train, test"):
        convert(Asking({"train": {"a": []}, "test": {"b": []}}), "json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    """A file in place of the folder is one clear error."""
    (tmp_path / "out").write_text("")
    with pytest.raises(HarnessError, match=r"out/test\.json cannot be written"):
        convert(Given({"test": {"b": ["y"]}}), "json", tmp_path / "out")

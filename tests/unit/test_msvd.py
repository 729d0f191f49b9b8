"""MSVD: three lists, and its sentences from every file that holds them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions, Question
from harness_msvd.dataset import build
from harness_msvd.plugin import harness_datasets
from tests.support.annotated import put
from tests.support.published import published

LISTS = {
    "train": ("-4wsuPCjDBc_5_15", "_0nX-El-ySo_83_93", "abcdefghijk_0_10"),
    "val": ("bQJQGoJF7_k_162_169",),
    "test": ("eyhzdC936uk_15_27", "f-24IxG9ijw_25_40"),
}
#: Of different lengths, as the real ones are.
SAID = {
    name: [f"a person does thing {k} of {name}" for k in range(2 + number % 3)]
    for number, name in enumerate(name for names in LISTS.values() for name in names)
}


def write_lists(root: Path) -> None:
    for split, names in LISTS.items():
        (root / f"{split}_list.txt").write_text("".join(f"{name}\n" for name in names))


def _pickled(root: Path) -> None:
    write_lists(root)
    words = {name: [text.split() for text in texts] for name, texts in SAID.items()}
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(words, protocol=2))


def _x_pool(root: Path) -> None:
    write_lists(root)
    (root / "captions_msvd.json").write_text(json.dumps(SAID))


def _valor_mapper(root: Path) -> None:
    write_lists(root)
    (root / "txt_mapper.json").write_text(json.dumps(SAID))


def _valor(root: Path) -> None:
    for split, names in LISTS.items():
        records = [{"video_id": name, "desc": SAID[name], "subtitle": ""} for name in names]
        (root / f"descs_ret_{split}.json").write_text(json.dumps(records))


def _vindlu(root: Path) -> None:
    for split, names in LISTS.items():
        records = [{"video": f"{name}.avi", "caption": SAID[name]} for name in names]
        (root / f"msvd_ret_{split}.json").write_text(json.dumps(records))


def _lines(root: Path) -> None:
    for split, names in LISTS.items():
        lines = [json.dumps({"clip_id": name, "text": SAID[name]}) for name in names]
        (root / f"{split}.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize("write", [_pickled, _x_pool, _valor_mapper, _valor, _vindlu, _lines])
def test_every_layout_gives_the_same_protocol(tmp_path, write):
    """Whosever files they are, every sentence is a query of its own, with the same id and text."""
    write(tmp_path)
    data = build(AnnotatedOptions(), tmp_path)
    assert data.splits() == ["train", "val", "test"]
    for split, names in LISTS.items():
        assert tuple(clip.id for clip in data.clips(split)) == names
        assert [(c.id, c.clip_id, c.text) for c in data.captions(split)] == [
            (f"{name}#{k}", name, text) for name in names for k, text in enumerate(SAID[name])
        ]


def test_videos_are_found_by_stem(tmp_path):
    """The owner's avi files lie in a folder of their own; those that are not there are named as missing."""
    _pickled(tmp_path)
    folder = tmp_path / "YouTubeClips"
    folder.mkdir()
    (folder / "eyhzdC936uk_15_27.avi").write_bytes(b"")
    data = build(AnnotatedOptions(), tmp_path)
    assert [clip.path for clip in data.clips("test")] == [folder / "eyhzdC936uk_15_27.avi", None]
    assert data.report("test").missing == ("f-24IxG9ijw_25_40",)


def test_one_caption_file_may_serve_all_lists(tmp_path):
    """Of the videos that a list leaves out only those are told that no other list has either."""
    _pickled(tmp_path)
    words = pickle.dumps({**SAID, "x_1_2": ["a cat"]})
    (tmp_path / "raw-captions.pkl").write_bytes(words)
    reports = build(AnnotatedOptions(), tmp_path).check(["train", "val", "test"]).splits
    assert {name: report.unlisted for name, report in reports.items()} == dict.fromkeys(LISTS, ("x_1_2",))


class Runs:
    """Pickled so that whoever unpickles it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.mkdir, (self.place,))


def test_a_pickle_with_code_is_refused(tmp_path):
    """Captions in a pickle that would act on loading are refused by name, and nothing happens."""
    _pickled(tmp_path)
    captions = pickle.dumps({**SAID, "x": Runs(tmp_path / "trap")})
    (tmp_path / "raw-captions.pkl").write_bytes(captions)
    data = build(AnnotatedOptions(), tmp_path)
    with pytest.raises(HarnessError, match=r"raw-captions\.pkl is no pickle of plain data"):
        data.captions("test")
    assert not (tmp_path / "trap").exists()


#: (number of the video, question, answer)
ASKED = [(1, "what walks?", "cat"), (3, "who sings?", "woman"), (1, "what barks?", "dog")]
NAMES = {1: "-4wsuPCjDBc_5_15", 2: "bQJQGoJF7_k_162_169", 3: "eyhzdC936uk_15_27"}
MAPPING = "".join(f"{name} vid{number}\n" for number, name in NAMES.items())


def _qa_owner() -> dict[str, object]:
    rows = [{"answer": a, "id": i, "question": q, "video_id": v} for i, (v, q, a) in enumerate(ASKED)]
    return {"test_qa.json": rows, "youtube_mapping.txt": MAPPING}


def _qa_numbered() -> dict[str, object]:
    rows = [{"answer": a, "question": q, "video_id": f"vid{v}"} for v, q, a in ASKED]
    return {"msvd_qa_test.jsonl": rows, "youtube_mapping.txt": MAPPING}


def _qa_lavis() -> dict[str, object]:
    rows = [{"video": f"{NAMES[v]}.avi", "question": q, "answer": a} for v, q, a in ASKED]
    return {"qa_test.json": rows}


@pytest.mark.parametrize("write", [_qa_owner, _qa_numbered, _qa_lavis])
def test_every_layout_gives_the_same_questions(tmp_path, write):
    """A video called by its number, as one or in a name, is the one that the release's list says."""
    data = build(AnnotatedOptions(), put(tmp_path, write()))
    assert data.splits() == ["qa-test"]
    assert data.questions("qa-test") == (
        Question(f"{NAMES[1]}?0", NAMES[1], "what walks?", "cat", "what"),
        Question(f"{NAMES[3]}?0", NAMES[3], "who sings?", "woman", "who"),
        Question(f"{NAMES[1]}?1", NAMES[1], "what barks?", "dog", "what"),
    )


def test_a_number_that_nothing_explains_is_an_error(tmp_path):
    """Without the list of numbers, or with one that lacks a number, the error names both."""
    files = _qa_owner()
    put(tmp_path, {"test_qa.json": files["test_qa.json"]})
    with pytest.raises(HarnessError, match=r"number 1, and there is no youtube_mapping\.txt with vid1"):
        build(AnnotatedOptions(), tmp_path).questions("qa-test")
    put(tmp_path, {"youtube_mapping.txt": MAPPING.splitlines()[0]})
    with pytest.raises(HarnessError, match=r"number 3, and .*youtube_mapping\.txt does not have vid3"):
        build(AnnotatedOptions(), tmp_path).questions("qa-test")


def test_a_video_file_may_be_called_by_its_number(tmp_path):
    """Of a video's own name and its number, a file of the name is preferred."""
    put(tmp_path, _qa_owner(), ["vid1.avi", "vid3.avi", f"{NAMES[3]}.avi"])
    found = [clip.path.name for clip in build(AnnotatedOptions(), tmp_path).clips("qa-test")]
    assert found == ["vid1.avi", f"{NAMES[3]}.avi"]


def test_each_task_has_a_protocol():
    """Retrieval keeps its default; captions are of the 670 test clips, questions have their own split."""
    (spec,) = harness_datasets()
    assert spec.protocol_for("retrieval") is spec.default_protocol
    described, asked = spec.protocol_for("captioning"), spec.protocol_for("video_qa")
    assert (described.train, described.val, described.test) == ("train", "val", "test")
    assert (described.query_unit, described.n_queries, described.n_gallery) == ("clip", 670, 670)
    assert (asked.train, asked.val, asked.test) == ("qa-train", "qa-val", "qa-test")
    assert (asked.query_unit, asked.n_queries, asked.n_gallery) == ("question", 13157, 0)


def test_published_lists(tmp_path):
    """The published lists name 1200, 100 and 670 videos, none of them twice."""
    lists = published("msvd")
    ids = {split: (lists / f"{split}_list.txt").read_text().split() for split in ("train", "val", "test")}
    said = {name: [["a", "cat"], ["it", "sits"]] for names in ids.values() for name in names}
    captions = tmp_path / "raw-captions.pkl"
    captions.write_bytes(pickle.dumps(said))
    for split in ids:
        (tmp_path / f"{split}_list.txt").symlink_to(lists / f"{split}_list.txt")
    data = build(AnnotatedOptions(), tmp_path)
    found = {split: [clip.id for clip in data.clips(split)] for split in data.splits()}
    assert found == ids
    assert {split: len(names) for split, names in found.items()} == {"train": 1200, "val": 100, "test": 670}
    assert len(said) == 1970
    protocol = harness_datasets()[0].default_protocol
    assert protocol.n_gallery == len(data.clips(protocol.test))

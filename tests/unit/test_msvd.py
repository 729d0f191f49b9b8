"""MSVD: three lists, and its sentences from every file that holds them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_msvd.dataset import build
from harness_msvd.plugin import harness_datasets
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

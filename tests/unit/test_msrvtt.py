"""MSR-VTT: its splits from every set of files, and the same ids and texts by each."""

from __future__ import annotations

import csv
import gzip
import json
import pickle
import shutil
from pathlib import Path

import av
import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions, Question
from harness.results.digest import texts_hash
from harness_msrvtt.dataset import build
from harness_msrvtt.plugin import harness_datasets
from tests.support.annotated import put
from tests.support.msrvtt_tree import MsrvttTree, make_tree
from tests.support.published import published

TEST_CSV = "MSRVTT_JSFUSION_test.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> MsrvttTree:
    """A tree with one missing, one damaged and one unreadable video."""
    return make_tree(
        tmp_path_factory.mktemp("made") / "msrvtt",
        train=8,
        test=4,
        missing=["video2", "video9771"],
        damaged=["video3"],
        unreadable=["video4"],
    )


@pytest.fixture
def tree(made, tmp_path) -> MsrvttTree:
    """A copy of the tree that a test may change."""
    shutil.copytree(made.root, tmp_path / "msrvtt")
    return MsrvttTree(tmp_path / "msrvtt", made.train_ids, made.train_7k_ids, made.test_ids)


def open_at(root: Path, annotations: str = ""):
    return build(AnnotatedOptions(annotations=annotations), root)


def decode(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def test_splits_follow_the_lists(made):
    """Each split has the clips of its csv file, in the file's order, and only those with files are splits."""
    data = open_at(made.root)
    assert data.splits()[:2] == ["train-9k", "train-7k"] and "test-1k-A" in data.splits()
    assert "train-1k-B" not in data.splits()
    for split, ids in (
        ("train-9k", made.train_ids),
        ("train-7k", made.train_7k_ids),
        ("test-1k-A", made.test_ids),
    ):
        assert tuple(clip.id for clip in data.clips(split)) == ids


def test_missing_videos_are_named(made):
    """A clip without a file keeps its place with no path, and the report counts and names it."""
    data = open_at(made.root)
    splits = data.check(["train-9k", "test-1k-A"]).splits
    assert {name: report.found for name, report in splits.items()} == {"train-9k": 7, "test-1k-A": 3}
    assert splits["train-9k"].missing == ("video2",)
    assert splits["test-1k-A"].missing == ("video9771",)
    assert [clip.path for clip in data.clips("train-9k")][1:3] == [made.video("video1"), None]


def test_captions_come_from_json_and_csv(made):
    """Training has every sentence of the listed clips; test has exactly the csv sentences."""
    data = open_at(made.root)
    train = data.captions("train-9k")
    assert [caption.id for caption in train] == [f"{name}#{k}" for name in made.train_ids for k in range(3)]
    assert {caption.clip_id for caption in train} == set(made.train_ids)
    assert len(data.captions("train-7k")) == 6 * 3
    with made.annotation(TEST_CSV).open(encoding="utf-8") as file:
        rows = [(f"{row['video_id']}#0", row["video_id"], row["sentence"]) for row in csv.DictReader(file)]
    test = data.captions("test-1k-A")
    assert [(caption.id, caption.clip_id, caption.text) for caption in test] == rows


def _oxford(tree: MsrvttTree, items: list[dict]) -> None:
    coco = [{"image_id": item["video_id"], "caption": item["caption"]} for item in items]
    write_json(tree.annotation("MSR_VTT.json"), {"annotations": coco})


def _owner(tree: MsrvttTree, items: list[dict]) -> None:
    for name, ids in (("train_val", tree.train_ids), ("test", tree.test_ids)):
        sentences = [item for item in items if item["video_id"] in ids]
        videos = [{"video_id": video, "split": name} for video in ids]
        write_json(tree.annotation(f"{name}_videodatainfo.json"), {"videos": videos, "sentences": sentences})


def _mapper(tree: MsrvttTree, items: list[dict]) -> None:
    texts: dict[str, list[str]] = {}
    for item in items:
        texts.setdefault(item["video_id"], []).append(item["caption"])
    write_json(tree.annotation("txt_mapper.json"), texts)


def _records(tree: MsrvttTree, items: list[dict]) -> None:
    write_json(tree.annotation("caption_annotation.json"), items)


@pytest.mark.parametrize("write", [_oxford, _owner, _mapper, _records])
def test_every_caption_file_reads_the_same(tree, made, write):
    """Whichever file holds the captions of all videos, training has the same ids and texts in one order."""
    path = tree.annotation("MSRVTT_data.json")
    items = json.loads(path.read_text())["sentences"]
    path.unlink()
    write(tree, items)
    assert open_at(tree.root).captions("train-9k") == open_at(made.root).captions("train-9k")


def _jsonl(tree: MsrvttTree, split: str, said: dict[str, list[str]]) -> None:
    name = {"train-9k": "train9k", "train-7k": "train7k", "test-1k-A": "test1ka"}[split]
    lines = [json.dumps({"clip_id": video, "text": texts}) for video, texts in said.items()]
    tree.annotation(f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def _mmaction2(tree: MsrvttTree, split: str, said: dict[str, list[str]]) -> None:
    name = {"train-9k": "train_9k", "train-7k": "train_7k", "test-1k-A": "test_JSFUSION"}[split]
    write_json(tree.annotation(f"{name}.json"), {f"{video}.mp4": texts for video, texts in said.items()})


def _vindlu(tree: MsrvttTree, split: str, said: dict[str, list[str]]) -> None:
    name = {"train-9k": "train9k", "train-7k": "train7k", "test-1k-A": "test1k"}[split]
    records = [{"video": f"{video}.mp4", "caption": texts} for video, texts in said.items()]
    write_json(tree.annotation(f"msrvtt_ret_{name}.json"), records)


def _valor(tree: MsrvttTree, split: str, said: dict[str, list[str]]) -> None:
    name = {"train-9k": "train", "test-1k-A": "test"}.get(split)
    records = [{"video_id": video, "desc": texts, "subtitle": ""} for video, texts in said.items()]
    if name:
        write_json(tree.annotation(f"descs_ret_{name}.json"), records)


def _oxford_test(tree: MsrvttTree, split: str, said: dict[str, list[str]]) -> None:
    if split != "test-1k-A":
        return _mmaction2(tree, split, said)
    tree.annotation("val_list_jsfusion.txt").write_text("\n".join(said))
    coco = [
        {"image_id": video, "caption": text}
        for video, texts in said.items()
        for text in ("another", "text", *texts)
    ]
    write_json(tree.annotation("MSR_VTT.json"), {"annotations": coco})
    numbers = pickle.dumps(dict.fromkeys(said, 2))
    tree.annotation("jsfusion_val_caption_idx.pkl").write_bytes(numbers)


@pytest.mark.parametrize("write", [_jsonl, _mmaction2, _vindlu, _valor, _oxford_test])
def test_every_layout_gives_the_same_protocol(tree, made, write):
    """The files of every other code base give the clips and captions of CLIP4Clip's, ids included."""
    ours = open_at(made.root)
    shutil.rmtree(tree.annotation("any").parent)
    tree.annotation("any").parent.mkdir()
    for split in ("train-9k", "train-7k", "test-1k-A"):
        said: dict[str, list[str]] = {}
        for caption in ours.captions(split):
            said.setdefault(caption.clip_id, []).append(caption.text)
        write(tree, split, said)
    theirs = open_at(tree.root)
    assert {"train-9k", "test-1k-A"} <= set(theirs.splits())
    for split in theirs.splits():
        assert theirs.captions(split) == ours.captions(split)
        assert [clip.id for clip in theirs.clips(split)] == [clip.id for clip in ours.clips(split)]


def test_the_first_caption_stands_for_a_clip_of_1k_B(tree, made):
    """1k-B asks with the first caption of each listed video."""
    tree.annotation("test_list_miech.txt").write_text("video5\nvideo1\n")
    first = {c.clip_id: c for c in reversed(open_at(made.root).captions("train-9k"))}
    assert open_at(tree.root).captions("test-1k-B") == [first["video5"], first["video1"]]


def test_annotations_may_lie_elsewhere(tree):
    """The option ``annotations`` names a folder outside the data root."""
    shutil.move(tree.annotation("any").parent, tree.root.parent / "lists")
    data = open_at(tree.root, str(tree.root.parent / "lists"))
    assert [clip.path is None for clip in data.clips("test-1k-A")] == [False, True, False, False]


def test_root_without_annotations(tree):
    """Without annotation files the error says which were looked for, and where."""
    shutil.rmtree(tree.annotation("any").parent)
    with pytest.raises(HarnessError) as caught:
        open_at(tree.root)
    assert TEST_CSV in caught.value.message and str(tree.root) in caught.value.message
    assert caught.value.hint


def test_one_absent_list_is_an_error_when_needed(tree):
    """A lacking train list leaves the test split usable and is named when training asks for it."""
    tree.annotation("MSRVTT_train.9k.csv").unlink()
    data = open_at(tree.root)
    assert len(data.captions("test-1k-A")) == 4 and "train-9k" not in data.splits()
    with pytest.raises(HarnessError, match=r"msrvtt/train-9k in .*looked for MSRVTT_train\.9k\.csv with"):
        data.clips("train-9k")


def test_captions_of_other_videos_are_refused(tree):
    """A caption file that describes hardly any listed video is not taken for a small split."""
    write_json(tree.annotation("MSRVTT_data.json"), {"sentences": [{"video_id": "video77", "caption": "x"}]})
    with pytest.raises(
        HarnessError, match=r"no text for 8 of the 8 clips of msrvtt/train-9k, such as video0"
    ):
        open_at(tree.root).captions("train-9k")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (TEST_CSV, "key,video_id,sentence\nret0,video9770,a\nret1,,b\n", "line 3: it names no video"),
        ("MSRVTT_train.9k.csv", "video_id\nvideo0,1\n", "line 2: more fields"),
        ("MSRVTT_data.json", '{"sentences": [{"video_id": "video0"}]}', r"sentences\[0\]: lacks a text"),
    ],
)
def test_malformed_annotations_are_located(tree, name, text, said):
    """A malformed annotation file is refused with its name and the line or place in it."""
    tree.annotation(name).write_text(text)
    data = open_at(tree.root)
    with pytest.raises(HarnessError, match=said) as caught:
        data.captions("test-1k-A" if name == TEST_CSV else "train-9k")
    assert name in caught.value.message


def test_unknown_split_and_source(made):
    """A split or text source that MSR-VTT does not have is refused with those it has."""
    data = open_at(made.root)
    with pytest.raises(HarnessError, match="no split 'val'") as caught:
        data.clips("val")
    assert "train-7k" in caught.value.hint
    with pytest.raises(HarnessError, match="no text source 'subtitle'"):
        data.captions("test-1k-A", "subtitle")


def test_tree_holds_real_and_broken_videos(made):
    """Made videos have B-frames; a damaged one fails on decoding, an unreadable one on opening."""
    assert decode(made.video("video0")) == 24
    with av.open(str(made.video("video0"))) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
    assert any(p.pts != p.dts for p in packets) and not all(p.is_keyframe for p in packets)
    with av.open(str(made.video("video3"))) as container:
        assert container.streams.video[0].frames == 24
    with pytest.raises(av.error.FFmpegError):
        decode(made.video("video3"))
    with pytest.raises(av.error.FFmpegError):
        decode(made.video("video4"))


@pytest.fixture
def real(tmp_path):
    return open_at(tmp_path, str(published("msrvtt")))


#: (number of the video, question, answer)
ASKED = [(6513, "what is played?", "music"), (6514, "who cooks?", "man"), (6513, "how many sing?", "two")]


def _qa_owner(split: str) -> dict[str, list[dict]]:
    rows = [
        {"answer": a, "category_id": 1, "id": i, "question": q, "video_id": v}
        for i, (v, q, a) in enumerate(ASKED)
    ]
    return {f"{split}_qa.json": rows}


def _qa_clipbert(split: str) -> dict[str, list[dict]]:
    rows = [
        {"answer": a, "question": q, "video_id": f"video{v}", "answer_type": q.split()[0]}
        for v, q, a in ASKED
    ]
    return {f"{split}.jsonl": rows}


def _qa_lavis(split: str) -> dict[str, list[dict]]:
    rows = [
        {"video": f"video{v}.mp4", "question": q, "answer": a, "question_id": i}
        for i, (v, q, a) in enumerate(ASKED)
    ]
    return {f"qa_{split}.json": rows}


@pytest.mark.parametrize("write", [_qa_owner, _qa_clipbert, _qa_lavis])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_layout_gives_the_same_questions(tmp_path, write, split):
    """Whosever files they are, each question has the same id, clip, text, answer and kind."""
    data = open_at(put(tmp_path, write(split), ["video6514.mp4"]))
    assert data.splits() == [f"qa-{split}"] and not data.captions(f"qa-{split}")
    assert data.questions(f"qa-{split}") == (
        Question("video6513?0", "video6513", "what is played?", "music", "what"),
        Question("video6514?0", "video6514", "who cooks?", "man", "who"),
        Question("video6513?1", "video6513", "how many sing?", "two", "how"),
    )
    found = [(clip.id, clip.path) for clip in data.clips(f"qa-{split}")]
    assert found == [("video6513", None), ("video6514", tmp_path / "video6514.mp4")]


def test_training_on_both_is_a_split_of_its_own(tmp_path):
    """The questions of train come before those of val, and one of the files alone is no such split."""
    put(tmp_path, _qa_owner("train"))
    assert open_at(tmp_path).splits() == ["qa-train"]
    put(tmp_path, {"val_qa.json": [{"video_id": 9, "question": "what runs?", "answer": "dog"}]})
    data = open_at(tmp_path)
    both = [*data.questions("qa-train"), *data.questions("qa-val")]
    assert list(data.questions("qa-train+val")) == both and len(both) == len(ASKED) + 1


def test_valor_lists_the_test_clips(tmp_path):
    """One file of all questions and the list of the test clips make its split, in the list's order."""
    mapping = {f"video{v}": [{"question": q, "answer": a} for w, q, a in ASKED if w == v] for v, *_ in ASKED}
    listed = ["video6514", "video6513"]
    other = {"video0": [{"question": "what?", "answer": "x"}]}
    files = {"txt_mapper_vqa.json": mapping | other, "standardsplit_test_id.json": listed}
    data = open_at(put(tmp_path, files))
    assert data.splits() == ["qa-test"] and [clip.id for clip in data.clips("qa-test")] == listed
    assert {q.id for q in data.questions("qa-test")} == {"video6514?0", "video6513?0", "video6513?1"}


def test_each_task_has_a_protocol():
    """Retrieval keeps its default; captions and questions are asked of the 2990 clips of the full test."""
    (spec,) = harness_datasets()
    assert spec.protocol_for("retrieval") is spec.default_protocol
    described, asked = spec.protocol_for("captioning"), spec.protocol_for("video_qa")
    assert (described.train, described.val, described.test) == ("train-full", "val-full", "test-full")
    assert (described.query_unit, described.n_queries, described.n_gallery) == ("clip", 2990, 2990)
    assert (asked.train, asked.val, asked.test) == ("qa-train", "qa-val", "qa-test")
    assert (asked.query_unit, asked.n_queries, asked.n_gallery) == ("question", 72821, 2990)


def test_published_questions(tmp_path):
    """ClipBERT's validation file has 12 278 questions about 497 clips; the kinds it states are ours."""
    path = published("msrvtt_qa") / "val.jsonl.gz"
    shutil.copy(path, tmp_path)
    questions = open_at(tmp_path).questions("qa-val")
    assert len(questions) == len({q.id for q in questions}) == 12278
    assert len(open_at(tmp_path).clips("qa-val")) == 497
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    stated = [json.loads(line)["answer_type"] for line in lines]
    assert [q.kind for q in questions] == stated


def test_published_1k_a(real):
    """The published 1k-A has 1000 clips with a sentence each, 995 of them distinct, and its stated hash."""
    clips, captions = real.clips("test-1k-A"), real.captions("test-1k-A")
    assert len(clips) == len({clip.id for clip in clips}) == len(captions) == 1000
    assert len({caption.text for caption in captions}) == 995
    protocol = harness_datasets()[0].default_protocol
    found = texts_hash([(c.id, c.text, c.clip_id) for c in captions], [clip.id for clip in clips])
    assert (protocol.test, protocol.texts_hash) == ("test-1k-A", found)


def test_published_full_test_set(real):
    """The published full test set has 2990 clips with 20 sentences each."""
    captions = real.captions("test-full")
    assert len(real.clips("test-full")) == 2990 and len(captions) == 59800
    assert all(caption.id.endswith(f"#{k % 20}") for k, caption in enumerate(captions))


def test_published_lists(tmp_path):
    """The published lists have their sizes: 7k is full train and val, 9k and 7k share nothing with 1k-A."""
    lists = published("msrvtt")
    names = (
        *("MSRVTT_train.9k.csv", "MSRVTT_train.7k.csv", TEST_CSV),
        *(f"MSRVTT_{part}.full.csv" for part in ("train", "val", "test")),
        *("train_list_miech.txt", "test_list_miech.txt"),
    )
    said = {f"video{k}": ["x"] for k in range(10_000)}
    for name in names:
        shutil.copy(lists / name, tmp_path)
    write_json(tmp_path / "txt_mapper.json", said)
    data = open_at(tmp_path)
    splits = {
        split: {clip.id for clip in data.clips(split)}
        for split in (
            "train-9k",
            "train-7k",
            "train-full",
            "val-full",
            "test-full",
            "train-1k-B",
            "test-1k-B",
        )
    }
    splits["test-1k-A"] = {clip.id for clip in data.clips("test-1k-A")}
    sizes = (9000, 7010, 6513, 497, 2990, 6656, 1000, 1000)
    assert tuple(len(ids) for ids in splits.values()) == sizes
    assert splits["train-7k"] == splits["train-full"] | splits["val-full"]
    assert splits["train-7k"] <= splits["train-9k"]
    assert len(splits["train-9k"] & splits["test-full"]) == 1990
    assert not splits["test-1k-A"] & splits["train-9k"] and splits["test-1k-A"] <= splits["test-full"]
    assert len(splits["train-1k-B"] & splits["test-1k-A"]) == 453
    assert len(splits["test-1k-B"] & splits["test-1k-A"]) == 296


def test_a_file_that_states_no_split_has_no_clips_of_it(tmp_path):
    """Where a file has to say which of its videos are meant, and says it of none, that is the error."""
    sentences = [{"video_id": "video0", "caption": "x"}]
    content = json.dumps({"videos": [{"video_id": "video0"}], "sentences": sentences})
    (tmp_path / "train_val_videodatainfo.json").write_text(content)
    dataset = build(AnnotatedOptions(), tmp_path)
    with pytest.raises(
        HarnessError, match="names no video of msrvtt/val-full: nothing in it states the split"
    ):
        dataset.clips("val-full")

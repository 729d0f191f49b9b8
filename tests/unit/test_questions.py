"""Files of questions: every form gives the same rows, and what is wrong in one is named with its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import HarnessError, ProtocolSpec
from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split, read_pairs
from harness.data.inspection import inspect
from harness.data.inspection.table import summary
from harness.data.questions import Asked, read_questions
from tests.support.annotated import put

#: (video, question, answer): two of one video that are not side by side, and an answer with capitals.
ASKED = [
    ("video7", "what is a man doing?", "cook"),
    ("video9", 'who says "hi", and to whom?', "Woman "),
    ("video7", "what is a man doing?", "talk"),
]


def _json(rows: list[dict]) -> str:
    return json.dumps(rows)


def _lines(rows: list[dict]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _owner() -> str:
    return _json(
        [
            {"answer": a, "category_id": 3, "id": 40 + i, "question": q, "video_id": v}
            for i, (v, q, a) in enumerate(ASKED)
        ]
    )


def _clipbert() -> str:
    return _lines([{"answer": a, "question": q, "video_id": v} for v, q, a in ASKED])


def _clipbert_gifs() -> str:
    return _lines([{"gif_name": v, "question": q, "answer": a} for v, q, a in ASKED])


def _lavis() -> str:
    rows = [
        {"video": v, "question": q, "answer": [a, a], "question_id": i} for i, (v, q, a) in enumerate(ASKED)
    ]
    return _json(rows)


def _tabs() -> str:
    quoted = [q.replace('"', '""') for _, q, _ in ASKED]
    rows = [f'{v}\t"{q}"\t{a}\t0\t{i}\td\r\n' for i, ((v, _, a), q) in enumerate(zip(ASKED, quoted))]
    return "".join(["gif_name\tquestion\tanswer\ttype\tvid_id\tdescription\r\n", *rows])


def _commas() -> str:
    quoted = [q.replace('"', '""') for _, q, _ in ASKED]
    return "".join(
        ["Video_id,Answer,Question\n", *(f'{v},{a},"{q}"\n' for (v, _, a), q in zip(ASKED, quoted))]
    )


def asked(path: Path) -> list[tuple]:
    return [row[:3] for row in read_questions(path).rows]


@pytest.mark.parametrize("write", [_owner, _clipbert, _clipbert_gifs, _lavis, _tabs, _commas])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_gives_the_same_rows(tmp_path, write, packed):
    """Rows come in the order of the file, answers as they are written; the file's name tells nothing."""
    content = write().encode()
    (tmp_path / "some.txt").write_bytes(gzip.compress(content) if packed else content)
    assert asked(tmp_path / "some.txt") == ASKED


def test_questions_by_video_come_together(tmp_path):
    """Objects and records that hold all questions of a video give them video by video."""
    by_video = {v: [(q, a) for w, q, a in ASKED if w == v] for v in ("video7", "video9")}
    said = [(v, q, a) for v, pairs in by_video.items() for q, a in pairs]
    mapping = {v: [{"question": q, "answer": a} for q, a in pairs] for v, pairs in by_video.items()}
    records = [
        {"video_id": v, "question": [q for q, _ in pairs], "answer": [a for _, a in pairs]}
        for v, pairs in by_video.items()
    ]
    put(tmp_path, {"mapping.json": mapping, "records.json": records})
    assert asked(tmp_path / "mapping.json") == asked(tmp_path / "records.json") == said


def test_a_number_stays_one_and_a_single_line_is_read(tmp_path):
    """A video's number is not taken for a name, and a kind is kept as its file states it."""
    rows = [{"video_id": 7, "question": "what?", "answer": "x", "answer_type": "what"}]
    (tmp_path / "one.jsonl").write_text(_lines(rows))
    assert read_questions(tmp_path / "one.jsonl").rows == (Asked(7, "what?", "x", "what"),)
    (tmp_path / "tab.csv").write_text("gif_name\tquestion\tanswer\ttype\na\tb ?\tc\t2\n")
    assert read_questions(tmp_path / "tab.csv").rows == (Asked("a", "b ?", "c", "2"),)


GOOD = {"video_id": "v", "question": "q?", "answer": "a"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_json([GOOD, {**GOOD, "answer": ["a", "b"]}]), r"\[1\]: its answers differ: a, b"),
        (_json([GOOD, {**GOOD, "answer": []}]), r"\[1\]: its answer is no text but 'a list'"),
        (_json([{**GOOD, "answer": " "}]), r"\[0\]: its answer is no text"),
        (_json([{**GOOD, "answer": "a\0"}]), r"\[0\]: a text of v holds NUL characters"),
        (_json([{**GOOD, "question": ""}]), r"\[0\]: its question is no text"),
        (_json([{**GOOD, "video_id": True}]), r"\[0\]: it names no video"),
        (
            _json([{**GOOD, "video_id": None}]),
            r"\[0\]: has no video; its keys are video_id, question, answer",
        ),
        (_json([{"video_id": "v", "question": "q?"}]), r"\[0\]: has no answer; its keys are"),
        (_json([{**GOOD, "question": ["q?", "r?"], "answer": ["a"]}]), r"\[0\]: has not as many answers"),
        (_json(["v"]), r"\[0\]: is no record"),
        (_json([]), r"asks no question"),
        (_lines([GOOD, GOOD]) + "{", r"line 3: is not JSON"),
        (_lines([GOOD, {**GOOD, "question": 5}]), r"line 2: its question is no text but '5'"),
        (json.dumps({"v": [{"question": "q?"}]}), r"'v'\[0\]: has no answer"),
        (json.dumps({"v": "q?"}), r"'v': holds no list of questions"),
        ("gif_name\tquestion\nv\tq?\n", r"line 1: the header does not have the columns question, answer and"),
        ("gif_name\tquestion\tanswer\nv\tq?\ta\nv\tq?\n", r"line 3: has 2 fields, the header 3"),
        ('gif_name\tquestion\tanswer\nv\t"q"?\ta\n', r"line 2: "),
        ("video,question,answer,Answer\nv,q?,a,b\n", r"line 1: the column 'answer' is there twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, content, said):
    """File, place and fault stand in one line."""
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(HarnessError, match=rf"bad\.json,? {said}"):
        read_questions(tmp_path / "bad.json")


def test_pairs_of_names(tmp_path):
    """Two names a line; blank lines and a Windows ending say nothing, a third name is an error."""
    (tmp_path / "map.txt").write_bytes(b"-a_1_2 vid1\r\n\r\nb vid2\n")
    assert read_pairs(tmp_path / "map.txt") == [("-a_1_2", "vid1"), ("b", "vid2")]
    (tmp_path / "map.txt").write_text("a vid1\nb vid2 x\n")
    with pytest.raises(HarnessError, match=r"map\.txt, line 2: has 3 names"):
        read_pairs(tmp_path / "map.txt")


# splits of questions


SPLITS = {
    "train": Split((Route(("captions.json",)),)),
    "qa-train": Split((Route(("train_qa.json",)),), questions=True),
    "qa-test": Split((Route(("qa.json",), ids="test_ids.json"),), questions=True),
}


def _dataset(folder: Path, *ids: str, asked: Sequence[tuple[str, str, str]] = ASKED) -> AnnotatedDataset:
    files = {
        "captions.json": {"video7": ["a man cooks"]},
        "train_qa.json": [{"video_id": v, "question": q, "answer": a} for v, q, a in asked],
        "qa.json": {v: [{"question": f"{v}?", "answer": "x"}] for v in ("video1", "video2", "video3")},
        "test_ids.json": list(ids or ("video3", "video1", "video9")),
    }
    return AnnotatedDataset("some", SPLITS, AnnotatedOptions(), put(folder, files, ["video7.mp4"]))


def test_a_split_of_questions_has_its_clips_and_no_captions(tmp_path):
    """Clips come in the order of first mention, questions in that of the file, each id once."""
    data = _dataset(tmp_path)
    assert data.splits() == ["train", "qa-train", "qa-test"]
    assert [(clip.id, clip.path) for clip in data.clips("qa-train")] == [
        *(("video7", tmp_path / "video7.mp4"), ("video9", None))
    ]
    assert [(q.id, q.clip_id, q.text, q.answer) for q in data.questions("qa-train")] == [
        (f"{video}?{place}", video, text, answer) for (video, text, answer), place in zip(ASKED, (0, 0, 1))
    ]
    assert not data.captions("qa-train") and not data.questions("train")


def test_a_list_decides_which_clips_are_asked_about(tmp_path):
    """Order and choice are the list's; clips without a question are silent, others unlisted."""
    data = _dataset(tmp_path)
    assert [clip.id for clip in data.clips("qa-test")] == ["video3", "video1"]
    assert [q.clip_id for q in data.questions("qa-test")] == ["video1", "video3"]
    report = data.report("qa-test")
    assert (report.questions, report.captions) == (2, 0)
    assert (report.silent, report.unlisted) == (("video9",), ("video2",))


def test_a_list_of_other_clips_is_refused(tmp_path):
    """Questions about hardly any clip of the list are not taken for a small split."""
    with pytest.raises(HarnessError, match=r"qa\.json has no question for 2 of the 2 clips of some/qa-test"):
        _dataset(tmp_path, "video8", "video9").clips("qa-test")


def test_a_protocol_of_questions_is_checked_by_its_questions(tmp_path):
    """Queries are questions where the protocol's are, clips where it describes clips; answers are hashed."""
    qa, captioning = (
        ProtocolSpec(name=unit, summary="", train="", test=test, query_unit=unit, n_queries=9)
        for unit, test in (("question", "qa-train"), ("clip", "train"))
    )

    def look(asked):
        data = _dataset(tmp_path, asked=asked)
        return inspect(
            data, data.splits(), (qa, captioning), decode=False, threads=1, progress=lambda *_: None
        )

    found = look(ASKED)
    asked, described = found.protocols["question"], found.protocols["clip"]
    assert (asked.queries, asked.gallery, described.queries, described.gallery) == (3, 2, 1, 1)
    assert found.splits["qa-train"].questions == 3
    assert "questions" in summary("some", found) and "3 of 9" in summary("some", found)
    other = look([(*ASKED[0][:2], "cooks"), *ASKED[1:]]).protocols["question"]
    assert other.texts_hash != asked.texts_hash

"""The forms of annotation files: each gives the rows that it holds, and names the place that is wrong."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data import annotations

#: What every full form below says.
SAID = [("a.b", ("one", "two")), ("-c", ("three",))]

_RECORDS = [{"video_id": "a.b", "desc": ["one", "two"]}, {"video_id": "-c", "desc": "three"}]
_SENTENCES = [
    {"video_id": "a.b", "caption": "one", "sen_id": 0},
    {"video_id": "a.b", "caption": "two", "sen_id": 1},
    {"video_id": "-c", "caption": "three", "sen_id": 2},
]
_COCO = [{"image_id": item["video_id"], "caption": item["caption"]} for item in _SENTENCES]
_FILM = "{}\t00.00.01.000\t00.00.02.000\t00.00.00.500\t00.00.02.500\t{}\n"
_SAID_SINGLY = [("a.b", "one"), ("a.b", "two"), ("-c", "three")]

FORMS = {
    "csv": "key,video_id,sentence\nk0,a.b,one\nk1,a.b,two\nk2,-c,three\n",
    "csv with quotes, \\r\\n and a byte order mark": '\ufeff"video_id","caption"\r\n"a.b","one"\r\na.b,two\r\n-c,three\r\n',
    "table with tabs": "video\tcaption\na.b\tone\na.b\ttwo\n-c\tthree\n",
    "csv with capital letters": "Video_ID,Caption\na.b,one\na.b,two\n-c,three\n",
    "csv with titles": "video_id,name,caption\na.b,A,one\na.b,A,two\n-c,C,three\n",
    "records with nulls": json.dumps(
        [
            {"video": "a.b", "caption": None, "captions": ["one", "two"]},
            {"video": "-c", "caption": "three", "captions": None},
        ]
    ),
    "csv with unknown columns": ",note,video_id,caption\n0,n,a.b,one\n1,n,a.b,two\n2,n,-c,three\n",
    "film clips": "".join(_FILM.format(name, text) for name, text in _SAID_SINGLY),
    "sentences": json.dumps({"info": {}, "videos": [{"video_id": "a.b"}], "sentences": _SENTENCES}),
    "coco": json.dumps({"annotations": _COCO}),
    "records": json.dumps(_RECORDS),
    "records of one text": json.dumps([{"video": name, "caption": text} for name, text in _SAID_SINGLY]),
    "lines": "".join(json.dumps(record) + "\n" for record in _RECORDS),
    "mapping": json.dumps({"a.b": ["one", "two"], "-c": ["three"]}),
    "mapping to a text": json.dumps({"a.b": ["one", "two"], "-c": "three"}),
    "mapping to words": json.dumps({"a.b": [["one"], ["two"]], "-c": [["three"]]}),
    "mapping to records": json.dumps(
        {"a.b": {"sentences": ["one", " two"], "duration": 3}, "-c": {"sentences": ["three "]}}
    ),
    "mapping to records of two languages": json.dumps(
        {"a.b": {"enCap": ["one", "two"], "chCap": ["一"]}, "-c": {"enCap": ["three"]}}
    ),
    "records of two languages": json.dumps(
        [{"videoID": "a.b", "enCap": ["one", "two"], "chCap": ["一"]}, {"videoID": "-c", "enCap": ["three"]}]
    ),
    "pickle": pickle.dumps({"a.b": [["one"], ["two"]], "-c": [["three"]]}),
    "old pickle": pickle.dumps({"a.b": ["one", "two"], "-c": ["three"]}, protocol=2),
}


def read(folder: Path, content: str | bytes, name: str = "some.file") -> annotations.AnnotationFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return annotations.read(path)


def texts_by_video(file: annotations.AnnotationFile) -> list[tuple[str, tuple[str, ...]]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in file.rows:
        found[row.video] = found.get(row.video, ()) + row.texts
    return [(name, texts) for name, texts in found.items() if texts]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_by_its_content(tmp_path, form):
    """Whatever the file is called, each form gives the same videos and texts in its own order."""
    content = FORMS[form]
    assert texts_by_video(read(tmp_path, content)) == SAID
    packed = gzip.compress(content.encode() if isinstance(content, str) else content)
    assert texts_by_video(read(tmp_path, packed)) == SAID


@pytest.mark.parametrize(
    "content",
    [
        "a\nb.mp4\n\nc.\n",
        '["a", "b.mp4", "c."]',
        "video_id\na\nb.mp4\nc.\n",
        "video,x,\na,x,\nb.mp4,x,\nc.,x,\n",
    ],
)
def test_lists_name_videos_without_texts(tmp_path, content):
    """A list of names, plain, as JSON or below a header, has a row for each and no text."""
    file = read(tmp_path, content)
    assert [row.video for row in file.rows] == ["a", "b.mp4", "c."]
    assert file.is_list


def test_splits_and_durations_are_kept(tmp_path):
    """What a file states about a video's split and duration is in its rows."""
    table = {"videos": [{"video_id": "a", "split": "train"}, {"video_id": "b", "split": "test"}]}
    file = read(tmp_path, json.dumps({**table, "sentences": [{"video_id": "a", "caption": "x"}]}))
    assert [(row.video, row.split) for row in file.rows] == [("a", "train"), ("b", "test"), ("a", "")]
    rows = read(
        tmp_path, '{"video": "a", "caption": "x", "split": "val"}\n{"video": "b", "caption": "y"}\n'
    ).rows
    assert [row.split for row in rows] == ["val", ""]
    rows = read(tmp_path, "video,split,caption\na,dev,x\n").rows
    assert [row.split for row in rows] == ["dev"]
    rows = read(tmp_path, '{"v_a": {"duration": 55.15, "timestamps": [[0, 1]], "sentences": ["x"]}}').rows
    assert [row.duration_s for row in rows] == [55.15]


def test_blank_texts_are_left_out_and_counted(tmp_path):
    """A text of nothing but blanks is no text: it is dropped, and the file says how many were."""
    file = read(tmp_path, json.dumps({"a": ["x", " ", ""], "b": ["  "]}))
    assert [(row.video, row.texts) for row in file.rows] == [("a", ("x",)), ("b", ())]
    assert file.blank == 3


def test_odd_characters_do_not_end_a_line(tmp_path):
    """A line separator within a JSON text, and a line break within a quoted field, stay in the text."""
    line = json.dumps({"video": "a", "caption": "x\u2028y"}, ensure_ascii=False)
    assert read(tmp_path, f"{line}\n{line}\n").rows[1].texts == ("x\u2028y",)
    assert read(tmp_path, 'video,caption\na,"x\ny"\n').rows[0].texts == ("x\ny",)


class Runs:
    """Pickled so that whoever unpickles it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.mkdir, (self.place,))


def test_a_pickle_cannot_run_code(tmp_path):
    """A pickle that would act when it is loaded is refused, and does not act."""
    trap = tmp_path / "trap"
    content = pickle.dumps({"a": [["x"]], "b": Runs(trap)})
    with pytest.raises(HarnessError, match="only plain data is read"):
        read(tmp_path, content)
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists(), "the pickle was meant to act where nothing restricts it"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        (b"video_id\na\n\xff\n", "line 3: is not UTF-8 text"),
        ("key,video_id\nk0,a,b\n", "line 2: more fields than the header has"),
        ("key,video_id,sentence\nk0,a,x\nk1,,y\n", "line 3: it names no video"),
        ("video_id,sentence\na,x\nb\n", "line 3: no sentence"),
        ('video_id,sentence\na,"x\n', "line 2: unexpected end of data"),
        ("video,caption,caption\na,x,y\n", "line 1: the column 'caption' is there twice"),
        ("video,caption,sentence\na,x,y\n", "line 1: both 'caption' and 'sentence' may hold the captions"),
        ("video;caption\na;x\n", "line 1: the columns are parted by semicolons"),
        (
            '{"video": "a", "caption": "x", "captions": ["y"]}',
            "both 'caption' and 'captions' may hold the captions",
        ),
        ('{"a": {"desc": "x", "text": "y"}}', "'a': both 'desc' and 'text' may hold the captions"),
        ("a,b,c\n", "line 1: is neither a name alone nor below a csv header"),
        (_FILM.format("a", "x") + "a\tx\n", "line 2: has 2 tab-separated fields, not 6"),
        ('{"sentences": [\n{"video_id": }]}', "line 2: is not JSON"),
        ('{"sentences": [{"video_id": "a"}]}', r"sentences\[0\]: lacks a text"),
        ('{"sentences": ["a"]}', r"sentences\[0\]: lacks a text"),
        ('{"videos": 3}', "JSON of no known form: its first keys are 'videos'"),
        ("{}", "JSON of no known form: its first keys are none"),
        ('[{"video": "a"}]', r"\[0\]: has no video or no text; its keys are video"),
        ('[{"video": "a", "caption": "x"}, 3]', r"\[1\]: is no record"),
        (
            '{"video": "a", "caption": "x"}\n{"video": "b", "caption": 3}\n',
            "line 2: the texts of b are no text",
        ),
        ('{"video": "a", "caption": "x"}\n{"video": \n', "line 2: is not JSON"),
        ('{"a": ["x", 3]}', "'a': a text of a is no text but '3'"),
        ('{"a": {"sentences": ["x"]}, "b": {"duration": 3}}', "'b': has no text"),
        ('{"a": {"duration": -1, "sentences": []}}', "'a': its duration is -1"),
        ('{"a": {"duration": true, "sentences": []}}', "'a': its duration is True"),
        ("[" * 100_000, "is not JSON"),
        (b"\x1f\x8b\x08\x00rest", "is a damaged gzip file"),
        (b"\x80\x04rest", "is no pickle of plain data"),
        (pickle.dumps(["a"]), "holds a list, not a mapping of video names"),
        (pickle.dumps({1: ["a"]}), "not a mapping of video names"),
        (pickle.dumps({"a": [1]}), "'a': a text of a is no text but '1'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, said):
    """A malformed file is refused with its name, the place in it where there is one, and a hint."""
    with pytest.raises(HarnessError, match=said) as caught:
        read(tmp_path, content)
    assert "some.file" in caught.value.message and caught.value.hint


def test_a_file_that_is_gone_is_named(tmp_path):
    """A file that cannot be read is an error with its name."""
    with pytest.raises(HarnessError, match=r"gone\.csv cannot be read"):
        annotations.read(tmp_path / "gone.csv")


def test_sameness_is_that_of_the_content(tmp_path):
    """A packed file is the same as its content; another content, or a file that is gone, is not."""
    for name, content in {
        "a": b"x",
        "b": gzip.compress(b"x"),
        "c": gzip.compress(b"x", 1),
        "d": b"y",
    }.items():
        (tmp_path / name).write_bytes(content)
    found = {name: annotations.same(tmp_path / "b", tmp_path / name) for name in "abcde"}
    assert found == {"a": True, "b": True, "c": True, "d": False, "e": False}

"""Records: round trip, strictness, identity and safe writing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sample_records import SIZE, protocol, sample

from harness.errors import HarnessError
from harness.results import atomic, digest, record_file
from harness.results.record import Metrics, Missing, MissingClip, QueryCounts, ResultRecord
from harness.results.row_keys import hard_key, section


def _edited(tmp_path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A record's file after an edit of its content."""
    path = record_file.write(sample(), tmp_path / "record.json")
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_round_trip(tmp_path: Path) -> None:
    """Writing and reading a record gives an equal record, and writing that the same bytes."""
    clips = Missing(test=(MissingClip("clip7", "not found"),), train=(MissingClip("ü", "empty"),))
    original = sample(missing=clips, versions={"torch": "2.8"}, dirty=True, gpu_hours=1.5)
    path = record_file.write(original, tmp_path / "deep" / "record.json")
    assert record_file.load(path) == original
    assert record_file.dumps(record_file.load(path)) == path.read_text(encoding="utf-8")


def test_file_reads_well(tmp_path: Path) -> None:
    """A file has sorted keys, two spaces of indent, one line of counts and a final newline."""
    text = record_file.write(sample(), tmp_path / "record.json").read_text()
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True) + "\n"
    assert len(content["queries"]["t2v"]["better"].split(" ")) == SIZE


def test_writing_leaves_no_draft(tmp_path: Path) -> None:
    """A write that fails half-way leaves the former file, whole, and nothing beside it."""
    path = record_file.write(sample(), tmp_path / "record.json")
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        atomic.write_atomically(path, "half \ud800")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["record.json"]


@pytest.mark.parametrize(
    "edit, says",
    [
        (lambda c: c["protocol"].update(nname="x"), r"nname.*\$\.protocol"),
        (lambda c: c["protocol"].update(n_queries="many"), r"\$\.protocol\.n_queries"),
        (lambda c: c["protocol"].update(n_queries=SIZE + 1), "the protocol has 51 x 50"),
        (lambda c: c["queries"]["v2t"].update(better="1 2 x"), r"integers.*\$\.queries\.v2t"),
        (lambda c: c["queries"]["t2v"].update(gallery=10**25), r"more than can be ranked.*\$\.queries\.t2v"),
        (lambda c: c["queries"]["t2v"].update(gallery=3), r"0\.\.2.*\$\.queries\.t2v"),
        (lambda c: c["queries"]["t2v"]["tied"].update({"99": 2}), r"query 99 of 50"),
        (lambda c: c["metrics"]["t2v"].update({"R@1": 101.0}), r"R@1 is 101.*\$\.metrics"),
        (lambda c: c["metrics"]["v2t"].pop("MdR"), "metrics.v2t lacks MdR"),
        (lambda c: c.update(schema=2), r"\$\.schema"),
        (lambda c: c.update(ties="lucky"), r"lucky.*\$\.ties"),
        (lambda c: c.update(method="../up"), "cannot be used as a file name"),
        (lambda c: c.update(created="yesterday"), "yesterday"),
        (lambda c: c.pop("dataset"), "dataset"),
    ],
)
def test_load_is_strict(tmp_path: Path, edit: Callable[[dict[str, Any]], None], says: str) -> None:
    """A field that is unknown, missing, of a wrong type or contradictory is named with its file."""
    path = _edited(tmp_path, edit)
    with pytest.raises(HarnessError, match=says) as caught:
        record_file.load(path)
    assert str(path) in caught.value.message


def test_broken_json_names_the_file(tmp_path: Path) -> None:
    """A truncated file is reported as such, and so is one that is not there."""
    path = tmp_path / "record.json"
    path.write_text(record_file.dumps(sample())[:100])
    with pytest.raises(HarnessError, match=r"record\.json is not a result record"):
        record_file.load(path)
    with pytest.raises(HarnessError, match=r"cannot read .*gone\.json"):
        record_file.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "dolls"},
        {"task": "moment_retrieval"},
        {"protocol": protocol(name="test_b")},
        {"protocol": protocol(ids_texts_hash="cd" * 32)},
        {"protocol": protocol(query_unit="paragraph")},
        {"postprocess": "dual_softmax(tau=100,axis=texts)"},
        {"ties": "optimistic"},
    ],
    ids=str,
)
def test_hard_key_has_every_part(changes: dict[str, Any]) -> None:
    """Changing any one part of what makes results comparable changes the hard key."""
    assert hard_key(sample(**changes)) != hard_key(sample())


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 64},
        {"backbone": "other"},
        {"seed": 5},
        {"train_split": "train_7k"},
        {"selection": "test"},
        {"protocol": protocol(hash_status="computed")},
    ],
    ids=str,
)
def test_hard_key_has_nothing_else(changes: dict[str, Any]) -> None:
    """Disclosed columns, seeds and sections do not tear a table apart."""
    assert hard_key(sample(**changes)) == hard_key(sample())


def test_group_rank_is_another_table() -> None:
    """The two definitions of a video-to-text rank never share a table."""
    grouped = sample(protocol=protocol(v2t="group_rank"))
    assert hard_key(grouped) != hard_key(sample())


def test_section_is_split_and_selection() -> None:
    """A section is the train split and how the checkpoint was chosen."""
    assert section(sample(selection="val")) == ("train_9k", "val")


def test_rerun_replaces_its_record(tmp_path: Path) -> None:
    """The same digest and seed have the same path, and the later result is the one kept."""
    path = record_file.record_path(tmp_path, sample())
    key = sample().recipe_digest[:12]
    assert path == tmp_path / "results" / "toys" / "method_a" / f"{key}-s0.json"
    record_file.write(sample(), path)
    record_file.write(sample(commit="later"), path)
    assert record_file.load(path).commit == "later"
    assert record_file.record_path(tmp_path, sample(seed=1)) != path


def test_a_record_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up meanwhile is named with the file, and the earlier record stays."""
    path = record_file.write(sample(), tmp_path / "record.json")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(HarnessError, match=r"record\.json cannot be written: No space left") as caught:
        record_file.write(sample(), path)
    assert "--leaderboards" in caught.value.hint
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["record.json"]


def test_postprocessing_is_in_the_path(tmp_path: Path) -> None:
    """A post-processed result lies beside the plain one of the same run."""
    path = record_file.record_path(tmp_path, sample(postprocess="dual_softmax(tau=100,axis=texts)"))
    assert path.name.endswith("-s0-dual-softmax-tau-100-axis-texts.json")


def test_write_does_not_replace_another_tables_row(tmp_path: Path) -> None:
    """A result for another protocol or section does not silently take the place of this one."""
    path = record_file.write(sample(), tmp_path / "record.json")
    for changes, says in (
        ({"protocol": protocol(name="test_b")}, "'test_a'.*'test_b'"),
        ({"selection": "test"}, "selection 'last'"),
    ):
        with pytest.raises(HarnessError, match=says):
            record_file.write(sample(**changes), path)
    assert record_file.load(path) == sample()


def test_measured_rows_need_their_evidence() -> None:
    """A measured record without counts, digest or seed cannot be made."""
    for lacking in ({"queries": None}, {"recipe_digest": ""}, {"seed": None}, {"created": ""}):
        with pytest.raises(ValueError, match="measured row needs"):
            sample(**lacking)


def test_published_rows_need_their_source(tmp_path: Path) -> None:
    """A published row says where it was read, may lack figures and has no record file."""
    bare = {"queries": None, "recipe_digest": "", "seed": None, "created": "", "kind": "published"}
    bare["metrics"] = Metrics(t2v={"R@1": 44.5})
    with pytest.raises(ValueError, match="source"):
        sample(**bare)
    published = sample(**bare, source="a paper, table 2", confidence="recalled")
    with pytest.raises(HarnessError, match="published row"):
        record_file.record_path(tmp_path, published)


def test_counts_keep_only_ties() -> None:
    """Counts are one readable line, with an entry more only where something ties."""
    counts = QueryCounts.of([0, 3, 1], [1, 2, 1], gallery=9)
    assert counts.better == "0 3 1" and counts.tied == {1: 2}
    assert counts.better_list() == [0, 3, 1]
    assert len(counts) == 3


def test_texts_hash_is_of_the_content() -> None:
    """Order does not matter to the hash of a protocol; any text, pairing or distractor does."""
    texts = [("t1", "a dog runs", "v1"), ("t2", "a cat sits", "v2")]
    base = digest.texts_hash(texts)
    assert digest.texts_hash(reversed(texts)) == base == digest.texts_hash(texts, ["v2", "v1"])
    others = [
        digest.texts_hash([("t1", "a dog runs.", "v1"), texts[1]]),
        digest.texts_hash([("t1", "a dog runs", "v2"), texts[1]]),
        digest.texts_hash([("t3", "a dog runs", "v1"), texts[1]]),
        digest.texts_hash(texts[:1]),
        digest.texts_hash(texts, ["v3"]),
    ]
    assert len({base, *others}) == 6
    with pytest.raises(HarnessError, match="'t1' occurs twice"):
        digest.texts_hash([texts[0], ("t1", "again", "v2")])


def test_digest_is_of_the_value(tmp_path: Path) -> None:
    """Equal values have equal digests whatever their key order; NaN has none."""
    assert digest.digest({"a": 1, "b": [1.5, None]}) == digest.digest({"b": [1.5, None], "a": 1})
    with pytest.raises(ValueError):
        digest.digest(float("nan"))
    path = tmp_path / "file"
    path.write_bytes("ü".encode())
    assert digest.sha256_file(path) == digest.sha256_text("ü")


def test_records_are_light_to_import() -> None:
    """Reading records and making tables loads neither numpy nor torch."""
    code = (
        "import sys, harness.results.leaderboard\n"
        "print([name for name in ('numpy', 'torch', 'ray') if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_record_is_frozen() -> None:
    """A record cannot be changed after it was made."""
    with pytest.raises(AttributeError):
        sample().method = "other"
    assert isinstance(msgspec.structs.replace(sample(), seed=3), ResultRecord)

"""Damaged annotation files end as a named error, or as exactly the rows that the file now holds."""

from __future__ import annotations

import pickle
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data.annotations import read
from tests.fuzz.annotation_files import SOUND, mutate
from tests.fuzz.crew import READING, verdicts

SEEDS = range(50)

#: Seconds for one file; the largest takes about one.
LIMIT_S = 15.0


def damaged(form: str, seeds: range, folder: Path):
    """Writes one damaged file after the other, ``<form>-<seed>-<kind of damage>``, no two alike in name."""
    suffix = ".pkl" if form.startswith("pickle") else ""
    (folder / form).write_bytes(SOUND[form])
    for seed in seeds:
        kind, content = mutate(SOUND[form], seed)
        path = folder / f"{form}-{seed}-{kind}{suffix}"
        path.write_bytes(content)
        yield path
        path.unlink()


@pytest.mark.parametrize("form", SOUND)
def test_damage_is_named_or_the_rows_are_the_file_s(form, tmp_path, capsys):
    """Each mutation: a `HarnessError` of one line that names the file, or every row that an independent
    reader finds in it, each with a name and without an empty text; never a crash, a hang, a lost row."""
    wrong, ends = [], Counter()
    for path, verdict in verdicts(damaged(form, SEEDS, tmp_path), LIMIT_S, READING):
        wrong += [f"{path.name}: {what}" for what in verdict["wrong"]]
        ends[verdict.get("ends", "no answer")] += 1
    with capsys.disabled():
        print(f"\n{form}: {dict(sorted(ends.items()))}")
    assert not wrong, "\n".join(wrong)
    # Of a compressed file the checksum leaves next to nothing to be read.
    assert ends["named"] and (ends["rows"] or form == "gzip")


@pytest.mark.parametrize("form", SOUND)
def test_a_sound_file_is_read_as_the_other_reader_reads_it(form, tmp_path):
    """Without damage nothing is refused, so that the verdicts on damage mean something."""
    path = tmp_path / form
    path.write_bytes(SOUND[form])
    ((_, verdict),) = verdicts([path], LIMIT_S, READING)
    assert verdict["ends"] == "rows" and not verdict["wrong"], verdict


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": ["x"], "b": ["y"], "a": ["z"]}', "the name 'a' occurs twice in one object"),
        (
            b'{"clip_id": "a", "text": "x"}\n{"clip_id": "b", "text": "y", "text": "z"}\n',
            "line 2: .*occurs twice",
        ),
        (b'[{"video": "a", "": "x"}]', "has no video or no text"),
        (b'{"a": ["x\\u0000"]}', "'a': a text of a holds NUL characters"),
        (b'{"a": ["\\ud800x"]}', "'a': a text of a holds half a character"),
        (b"[]", "names no video"),
        (b"video_id,sentence\n", "names no video"),
        (pickle.dumps({"a": [1 << 100_000]}), "is no text but 'a number without measure'"),
    ],
)
def test_what_would_be_lost_or_fail_later_is_refused(tmp_path, content, said):
    """Damage that leaves a file readable, and rows that are too few or cannot be hashed, is named."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=said):
        read(path)


def test_a_damaged_length_in_a_pickle_takes_no_memory(tmp_path):
    """A pickle that announces 400 MB and holds nothing is refused before they are set aside."""
    path = tmp_path / "captions.pkl"
    path.write_bytes(b"\x80\x05" + pickle.BYTEARRAY8 + (400 << 20).to_bytes(8, "little") + b".")
    tracemalloc.start()
    try:
        with pytest.raises(HarnessError, match="is no pickle of plain data"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()

"""Damaged annotation files end as a named error, or as exactly the rows that the file now holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

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

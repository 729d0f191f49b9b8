"""Damaged clips end as a named error, or as exactly the frames that a full decode shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.crew import Child, verdicts
from tests.fuzz.mutations import mutate
from tests.support import clips

SEEDS = range(75)

#: Container -> the kinds of clip that its mutations take turns with.
BASES = {
    "mp4": ["bframes", "fast", "fragmented", "hevc", "long_gop"],
    "webm": ["vp9", "mkv"],
    "avi": ["avi", "avi_bframes"],
    "ts": ["ts", "mpeg2_ts", "open_ts"],
}


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> dict[str, bytes]:
    """The bytes of every base clip."""
    root = tmp_path_factory.mktemp("sound")
    fast = clips.KINDS["bframes"] | {"mux": {"movflags": "faststart"}}
    kinds = clips.KINDS | {"fast": fast, "open_ts": clips.KINDS["open_gop"] | {"container": "mpegts"}}
    names = {name for bases in BASES.values() for name in bases}
    return {name: clips.write_clip(root / name, **kinds[name]).read_bytes() for name in names}


def damaged(sound: dict[str, bytes], container: str, seeds: range, folder: Path):
    """Writes one damaged clip after the other, ``<base>-<seed>-<kind of damage>``."""
    bases = BASES[container]
    for seed in seeds:
        base = bases[seed % len(bases)]
        kind, data = mutate(sound[base], seed)
        path = folder / f"{base}-{seed}-{kind}"
        path.write_bytes(data)
        yield path


@pytest.mark.parametrize("container", BASES)
def test_damage_is_named_or_changes_nothing(sound, container, tmp_path, capsys):
    """Each mutation, through each reader: `DamagedClip`, or all asked frames, at their times, to the
    bit as a decode of the whole damaged file shows them; never a crash, a hang or a lost frame."""
    wrong, ends, errors = [], Counter(), Counter()
    for path, verdict in verdicts(damaged(sound, container, SEEDS, tmp_path)):
        wrong += [f"{path.name}: {what}" for what in verdict["wrong"]]
        ends.update(f"{reader} {end}" for reader, end in verdict.get("ends", {}).items())
        if verdict.get("errors"):
            errors[path.name] = verdict["errors"]
    with capsys.disabled():
        print(f"\n{container}: {dict(sorted(ends.items()))}; exact beside decode errors: {dict(errors)}")
    assert not wrong, "\n".join(wrong)
    assert any(end.endswith("damaged") for end in ends) and any(end.endswith("exact") for end in ends)


def test_a_child_that_hangs_is_found(tmp_path):
    """The time limit of a clip is kept, whatever the child is doing."""
    child = Child()
    try:
        assert child.ask(tmp_path / "any", 0.0)["wrong"] == ["no answer within 0 s"]
    finally:
        child.end()

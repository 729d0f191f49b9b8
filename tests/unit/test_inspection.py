"""What an inspection finds in a data set, and what it lets pass."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import HarnessError, ProtocolSpec
from harness.data import Caption, Clip, Dataset, SplitReport
from harness.data.cache import jpeg
from harness.data.inspection import inspect
from harness.data.inspection.sameness import same_content
from harness.data.inspection.table import summary
from harness.results.digest import texts_hash
from tests.support import clips
from tests.support.special import patience, pipe

PROTOCOL = ProtocolSpec(name="main", summary="", train="train", test="test")


class Given(Dataset):
    """A data set of exactly the given clips; each says one text, its id unless told otherwise."""

    def __init__(self, texts: dict[str, str] | None = None, **splits: list[Clip]) -> None:
        self.given, self.texts = splits, texts or {}

    def splits(self):
        return list(self.given)

    def clips(self, split):
        return self.given[split]

    def captions(self, split, source="text"):
        return [Caption(clip.id, clip.id, self.texts.get(clip.id, clip.id)) for clip in self.given[split]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    """Two videos of different content, one that opens and fails on decoding, and an empty file."""
    folder = tmp_path_factory.mktemp("videos")
    made = {
        "one": clips.write_clip(folder / "one.mp4", **clips.KINDS["bframes"]),
        "two": clips.write_clip(folder / "two.mp4", **clips.KINDS["long_gop"]),
    }
    made["broken"] = folder / "broken.mp4"
    content = made["one"].read_bytes()
    pictures = content.index(b"mdat") + 4
    made["broken"].write_bytes(content[:pictures] + b"\xff" * 2000 + content[pictures + 2000 :])
    made["empty"] = folder / "empty.mp4"
    made["empty"].touch()
    return made


def copy(path: Path, folder: Path, name: str) -> Path:
    """The same content under another name."""
    return Path(shutil.copyfile(path, folder / name))


def look(dataset: Dataset, protocols=(PROTOCOL,), decode: bool = True):
    return inspect(dataset, dataset.splits(), protocols, decode=decode, threads=2, progress=lambda *_: None)


def test_a_sound_data_set_has_nothing_to_report(videos):
    """Clips that are there, decode and differ leave every list empty."""
    found = look(Given(train=[Clip("a", videos["one"])], test=[Clip("b", videos["two"])]))
    assert found.sound and found.decoded and not found.overlaps and not found.unreadable
    for split in found.splits.values():
        assert (split.clips, split.found, split.captions) == (1, 1, 1)
        assert not (split.missing or split.damaged or split.duplicates or split.shared_texts)


@pytest.mark.parametrize("bad", ["broken", "empty"])
def test_a_test_clip_that_does_not_decode_is_damage(videos, bad):
    """A file that is there and fails on decoding is named with its reason, and the gallery is not whole."""
    found = look(Given(test=[Clip("good", videos["one"]), Clip("bad", videos[bad])]))
    assert list(found.splits["test"].damaged) == ["bad"] and found.splits["test"].damaged["bad"]
    assert found.protocols["main"].incomplete == "1 of 2 clips (1 damaged)"
    assert not found.sound


def test_without_decoding_no_damage_is_looked_for(videos):
    """A damaged file passes, and the page says that it was not looked for."""
    found = look(Given(test=[Clip("bad", videos["broken"])]), decode=False)
    assert found.sound and not found.splits["test"].damaged
    assert "nothing decoded" in summary("data", found)


def test_damage_in_a_training_split_does_not_spoil_the_protocol(videos):
    """Training skips what it cannot read; only the test gallery has to be whole."""
    found = look(
        Given(train=[Clip("bad", videos["broken"]), Clip("gone", None)], test=[Clip("b", videos["one"])])
    )
    assert found.splits["train"].missing == ("gone",) and "bad" in found.splits["train"].damaged
    assert found.sound


def test_a_missing_test_clip_spoils_the_protocol(videos):
    """A clip without a file is missing, and the gallery with it incomplete."""
    found = look(Given(test=[Clip("a", videos["one"]), Clip("gone", None)]))
    assert found.splits["test"].missing == ("gone",) and found.splits["test"].found == 1
    assert found.protocols["main"].incomplete == "1 of 2 clips (1 missing)" and not found.sound
    assert "main is incomplete: 1 of 2 clips (1 missing)" in summary("data", found)


@pytest.mark.parametrize(
    ("stated", "incomplete"),
    [(2, ""), (1, ""), (0, ""), (9, "2 of 9 clips (1 listed without a text, 6 not in the annotation files)")],
)
def test_a_gallery_has_to_be_as_large_as_its_protocol_states(videos, stated, incomplete):
    """Too few clips spoil the protocol though each is there and sound; the page says how many of how many."""

    class Silent(Given):
        def report(self, split):
            return SplitReport(2, 2, silent=("mute",))

    dataset = Silent(test=[Clip("a", videos["one"]), Clip("b", videos["two"])])
    protocol = ProtocolSpec(name="main", summary="", train="", test="test", n_queries=900, n_gallery=stated)
    found = look(dataset, (protocol,))
    assert found.protocols["main"].incomplete == incomplete and found.protocols["main"].usable == 2
    assert found.sound is not bool(incomplete)
    assert ("incomplete: 2 of 9 clips" in summary("data", found)) is bool(incomplete)


def test_a_window_that_the_file_does_not_have_is_damage(videos):
    """Of clips that are parts of one sound file, the part behind its end is named and no other."""
    clips_ = [Clip("early", videos["one"], 0.0, 0.5), Clip("late", videos["one"], 900.0, 901.0)]
    assert list(look(Given(test=clips_)).splits["test"].damaged) == ["late"]


def test_one_damaged_picture_of_a_folder_is_damage(tmp_path):
    """Every picture of a clip that is a folder of them is decoded."""
    for name in ("sound", "broken"):
        (tmp_path / name).mkdir()
        for number in range(3):
            content = jpeg.encode(np.full((3, 32, 32), 40 * number, dtype=np.uint8))
            cut = name == "broken" and number == 1
            (tmp_path / name / f"{number}.jpg").write_bytes(content[: len(content) // 2] if cut else content)
    found = look(Given(test=[Clip(name, tmp_path / name) for name in ("sound", "broken")])).splits["test"]
    assert list(found.damaged) == ["broken"] and "1.jpg" in found.damaged["broken"]


def test_same_content_under_two_names_is_a_duplicate(videos, tmp_path):
    """Two files of the same bytes are one group; a third of another content is not in it."""
    twin = copy(videos["one"], tmp_path, "twin.mp4")
    found = look(Given(test=[Clip("a", videos["one"]), Clip("b", videos["two"]), Clip("c", twin)]))
    assert found.splits["test"].duplicates == (("a", "c"),)


def test_windows_of_one_file_are_no_duplicates(videos):
    """Clips that show different parts of one file differ; those that show the same part do not."""
    parts = [Clip("a", videos["one"], 0.0, 0.5), Clip("b", videos["one"], 0.5), Clip("c", videos["one"], 0.5)]
    assert look(Given(test=parts)).splits["test"].duplicates == (("b", "c"),)


def test_a_text_of_two_clips_is_shared(videos):
    """A text that describes several clips is listed with them, others are not."""
    dataset = Given({"a": "same", "c": "same"}, test=[Clip(name, videos["one"]) for name in "abc"])
    assert look(dataset).splits["test"].shared_texts == {"same": ("a", "c")}


def test_a_test_clip_among_the_training_clips_is_an_error(videos):
    """The same id in both splits of a protocol spoils it; between other splits it is only told."""
    dataset = Given(
        train=[Clip("a", videos["one"])],
        other=[Clip("b", videos["two"])],
        test=[Clip("b", videos["two"])],
    )
    assert look(dataset).sound
    (overlap,) = look(dataset).overlaps
    assert (overlap.splits, overlap.ids, overlap.protocols) == (("other", "test"), ("b",), ())
    leaking = ProtocolSpec(name="leaking", summary="", train="other", test="test")
    found = look(dataset, (PROTOCOL, leaking))
    assert not found.protocols["main"].problems and not found.sound
    assert found.protocols["leaking"].problems == ("1 clips of test are also in other, such as b",)
    assert "ERROR in leaking: other and test have 1 clips in common: b" in summary("data", found)


def test_a_test_clip_under_another_name_among_the_training_clips_is_an_error(videos, tmp_path):
    """What the file holds counts, not what it is called."""
    twin = copy(videos["one"], tmp_path, "twin.mp4")
    found = look(Given(train=[Clip("a", videos["one"])], test=[Clip("b", twin)]))
    assert found.overlaps[0].content == (("a", "b"),) and not found.overlaps[0].ids
    assert found.protocols["main"].problems == ("1 clips of test are also in train, such as b",)


@pytest.mark.parametrize(("end_s", "shared"), [(0.5, False), (0.6, True)])
def test_parts_of_one_video_overlap_only_where_they_meet(videos, end_s, shared):
    """A training part that ends where the test part begins has nothing of it; a longer one has."""
    dataset = Given(train=[Clip("a", videos["one"], 0.0, end_s)], test=[Clip("b", videos["one"], 0.5)])
    assert bool(look(dataset).overlaps) is shared


def test_counts_and_texts_are_held_against_the_protocol(videos):
    """The digest of ids and texts is verified where it is the stated one, and differs otherwise."""
    dataset = Given(test=[Clip("a", videos["one"])])
    own = texts_hash([("a", "a", "a")], ["a"])
    for stated, status in ((own, "verified"), ("0" * 64, "differs"), ("", "not stated")):
        protocol = ProtocolSpec(
            name="main", summary="", train="", test="test", n_queries=5, n_gallery=1, texts_hash=stated
        )
        found = look(dataset, (protocol,)).protocols["main"]
        assert (found.hash_status, found.texts_hash) == (status, own)
        assert (found.queries, found.expected_queries) == (1, 5)
        assert (found.gallery, found.expected_gallery) == (1, 1)


def test_a_protocol_without_files_is_named_and_does_not_count(videos):
    """A protocol whose test split has no annotation files spoils nothing, as long as another can be checked."""
    other = ProtocolSpec(name="other", summary="", train="", test="held-out")
    found = look(Given(train=[Clip("a", videos["one"])], test=[Clip("b", videos["two"])]), (PROTOCOL, other))
    assert found.sound and found.protocols["other"].lacking == ("held-out",)
    page = summary("data", found)
    assert "not checked: no annotation files of held-out" in page
    assert page.endswith("every protocol that could be checked is sound")


def test_without_a_single_protocol_nothing_is_sound(videos):
    """Where no test split has annotation files there is nothing to trust."""
    found = look(Given(train=[Clip("a", videos["one"])]))
    assert not found.sound and found.protocols["main"].lacking == ("test",)
    assert summary("data", found).endswith(
        "no protocol could be checked: there are no annotation files of test"
    )


def test_annotation_files_that_are_of_no_use_spoil_their_protocol(videos):
    """A test split that is there and cannot be read is a problem, and other splits are still checked."""

    class Broken(Given):
        def clips(self, split):
            if split == "test":
                raise HarnessError("list.csv, line 3: no name")
            return super().clips(split)

    found = look(Broken(train=[Clip("a", videos["one"])], test=[]))
    assert found.unreadable == {"test": "list.csv, line 3: no name"} and found.splits["train"].found == 1
    assert found.protocols["main"].problems == ("test cannot be read",) and not found.sound


def test_one_reason_is_told_once(videos):
    """Splits of one useless file share a line, and nothing is said of files that are not there."""

    class Useless(Given):
        def clips(self, split):
            raise HarnessError("all.json is empty")

    page = summary("data", look(Useless(train=[], val=[], test=[])))
    assert page.endswith(
        "train, val, test cannot be read: all.json is empty\n"
        "main is not sound: train cannot be read\n"
        "main is not sound: test cannot be read\n"
        "no protocol could be checked"
    )


def test_what_list_and_texts_do_not_have_in_common_is_passed_on(videos):
    """Listed but undescribed, and described but unlisted, as the data set reports them."""

    class Reporting(Given):
        def report(self, split):
            return SplitReport(1, 1, silent=("mute",), unlisted=("stray",))

    found = look(Reporting(test=[Clip("a", videos["one"])])).splits["test"]
    assert (found.silent, found.unlisted) == (("mute",), ("stray",))


def test_each_file_is_decoded_once(videos, monkeypatch):
    """Splits that share files, and clips that share a file, cost one decoding."""
    from harness.data.inspection import inspecting

    read, decoded = inspecting.read_frames_sequential, []
    monkeypatch.setattr(
        inspecting,
        "read_frames_sequential",
        lambda path, *rest, **how: decoded.append(path) or read(path, *rest, **how),
    )
    part = [Clip("x", videos["one"], 0.0, 0.5)]
    look(Given(train=[Clip("a", videos["one"])], other=[Clip("a", videos["one"])], test=part))
    assert decoded == [videos["one"]]


def test_files_are_the_same_only_in_every_byte(tmp_path):
    """Equal size, start and end are not enough; a folder of pictures compares by what lies in it."""
    long = bytes(300_000)
    for name, content in {
        "a": long,
        "b": long,
        "middle": long[:150_000] + b"\1" + long[150_001:],
        "start": b"\1" + long[1:],
        "short": long[1:],
        "empty1": b"",
        "empty2": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    for folder, content in {"f1": b"1", "f2": b"1", "f3": b"2"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.jpg").write_bytes(b"0")
        (tmp_path / folder / "1.jpg").write_bytes(content)
    paths = [*sorted(tmp_path.iterdir()), tmp_path / "gone"]
    groups: dict[str, set[str]] = {}
    for path, name in same_content(paths, 2, lambda *_: None).items():
        groups.setdefault(name, set()).add(path.name)
    assert sorted(map(sorted, groups.values())) == [["a", "b"], ["f1", "f2"]]


def test_pipes_and_devices_are_like_no_other(tmp_path):
    """None is opened: one would wait for ever, another never end."""
    paths = [pipe(tmp_path / "one"), pipe(tmp_path / "two"), Path("/dev/zero"), Path("/dev/null")]
    with patience():
        assert same_content(paths, 1, lambda *_: None) == {}


def test_running_out_of_files_is_not_taken_for_damage(tmp_path, monkeypatch):
    """A file that cannot be opened for want of descriptors ends the inspection with what to do."""
    for name in "ab":
        (tmp_path / name).write_bytes(b"content")

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(HarnessError, match="too many open files"):
        same_content([tmp_path / "a", tmp_path / "b"], 1, lambda *_: None)


def test_the_page_names_the_first_few_and_counts_the_rest(videos):
    """Of many culprits a few stand below the table; no number is lost."""
    found = look(Given(test=[Clip(f"gone{i}", None) for i in range(9)] + [Clip("a", videos["one"])]))
    assert "test, missing: gone0, gone1, gone2, gone3, gone4 and 4 more" in summary("data", found)

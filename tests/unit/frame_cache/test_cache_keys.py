"""Keys of the frame cache: they name content, and whatever else decides the frames."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import PIL
import pytest

from harness.data import Clip
from harness.data.cache import clip_key
from harness.data.cache import keys as keys_module
from tests.support.cached import at, reader_of


def test_keys_name_content_not_place(sound, tmp_path):
    """A moved copy keeps its key; another sampling, geometry, time or content has its own."""
    copy = at(Path(shutil.copy2(sound[0].path, tmp_path / "elsewhere")))
    key = clip_key(sound[0], "s", "g")
    assert clip_key(copy, "s", "g") == key
    others = [clip_key(copy, "t", "g"), clip_key(copy, "s", "h"), clip_key(sound[1], "s", "g")]
    os.utime(copy.path, (1, 1))
    others.append(clip_key(copy, "s", "g"))
    assert len({key, *others}) == 5


def test_windows_of_one_file_are_cached_apart(root, sound):
    """Each window has its own frames under its own key; the whole file keeps the key it always had."""
    path = sound[9].path
    parts = [Clip("whole", path), Clip("start", path, 0.0, 0.3), Clip("end", path, 0.3)]
    assert reader_of(root).prepare(parts) == {}
    keys = {clip_key(part, "s", "g") for part in parts}
    assert len(keys) == 3 and clip_key(Clip("again", path, 0.0, None), "s", "g") in keys
    for part in parts:
        assert np.array_equal(reader_of(root).read(part).times, reader_of(None).read(part).times)
    assert reader_of(root).status(parts).hits == 3


def test_a_folder_of_pictures_has_a_key_of_its_content(tmp_path):
    """A moved folder keeps its key; a picture added, resized or renamed changes it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(bytes(number + 1))
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    key = clip_key(at(folder), "s", "g")
    assert clip_key(at(copy), "s", "g") == key
    (copy / "1.jpg").rename(copy / "4.jpg")
    renamed = clip_key(at(copy), "s", "g")
    (copy / "5.jpg").write_bytes(b"x")
    assert len({key, renamed, clip_key(at(copy), "s", "g")}) == 3


def _pictures(folder: Path, *contents: bytes) -> Path:
    """A folder of pictures with those contents, all changed at the same time."""
    folder.mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / f"{number}.bmp").write_bytes(content)
        os.utime(folder / f"{number}.bmp", (1, 1))
    return folder


@pytest.mark.parametrize(("size", "place"), [(9, 4), (150_000, 75_000), (900_000, 450_000)])
def test_pictures_that_only_look_the_same_have_their_own_key(tmp_path, size, place):
    """Equal names, sizes, times, beginnings and ends are not enough: content counts."""
    other = bytearray(size)
    other[place] = 1
    one = _pictures(tmp_path / "one", b"first", bytes(size))
    two = _pictures(tmp_path / "two", b"first", bytes(other))
    same = _pictures(tmp_path / "same", b"first", bytes(size))
    assert clip_key(at(one), "s", "g") == clip_key(at(same), "s", "g") != clip_key(at(two), "s", "g")


def test_the_rate_of_pictures_is_part_of_their_key(tmp_path):
    """The folder's names state the rate, and the rate decides which frames sampling by time takes."""
    keys = {
        place: clip_key(at(_pictures(tmp_path / place / "clip", b"a", b"b")), "s", "g")
        for place in ("frames_fps4", "moved_4fps", "frames_fps8", "frames")
    }
    assert len(set(keys.values())) == 3 and keys["frames_fps4"] == keys["moved_4fps"]


def test_pictures_are_looked_into_once(tmp_path, monkeypatch):
    """The second key of a folder costs no reading, until a picture changes."""
    folder = _pictures(tmp_path / "clip", b"a", b"b")
    pieces, read = keys_module._pieces, []
    monkeypatch.setattr(keys_module, "_pieces", lambda path, size: read.append(path) or pieces(path, size))
    first = clip_key(at(folder), "s", "g")
    assert clip_key(at(folder), "s", "g") == first and len(read) == 2
    (folder / "1.bmp").write_bytes(b"c")
    assert clip_key(at(folder), "s", "g") != first and len(read) == 4


def test_other_files_beside_pictures_change_no_key(tmp_path):
    """What is no frame, such as the notes that a system leaves in a folder, is not part of the key."""
    folder = _pictures(tmp_path / "clip", b"a", b"b")
    key = clip_key(at(folder), "s", "g")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    assert clip_key(at(folder), "s", "g") == key


def test_another_decoder_has_keys_of_its_own(sound, monkeypatch):
    """Frames of another libavcodec, libswscale or Pillow are other frames; a patch of one is not."""
    seen = [clip_key(sound[0], "s", "g")]
    for name in ("libavcodec", "libswscale"):
        major, *_ = av.library_versions[name]
        monkeypatch.setitem(av.library_versions, name, (major, 98, 99))
        assert clip_key(sound[0], "s", "g") == seen[-1]
        monkeypatch.setitem(av.library_versions, name, (major + 1, 0, 0))
        seen.append(clip_key(sound[0], "s", "g"))
    monkeypatch.setattr(PIL, "__version__", "99.1")
    seen.append(clip_key(sound[0], "s", "g"))
    assert len(set(seen)) == 4

"""The walk over a data root: videos by stem wherever they lie, and annotation files near the top."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness import HarnessError
from harness.data.files import scan, stem_of


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("video0.mp4", "video0"),
        ("sub/folder/video0.WEBM", "video0"),
        ("0001_Film_00.01.02.345-00.01.06.789", "0001_Film_00.01.02.345-00.01.06.789"),
        ("0001_Film_00.01.02.345-00.01.06.789.avi", "0001_Film_00.01.02.345-00.01.06.789"),
        ("1@N00_2_3.", "1@N00_2_3"),
        ("v_-abc_def", "v_-abc_def"),
        ("a.mov.mp4", "a.mov"),
    ],
)
def test_only_a_video_suffix_is_cut_from_a_name(name, stem):
    """Folder, a known suffix in any case, and a bare dot at the end go; other dots are part of the name."""
    assert stem_of(name) == stem


def test_videos_are_found_anywhere(tmp_path):
    """A video is found by its stem in any folder, also a linked one, with any usual suffix."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root, "videos/all/part/a.WEBM", "b.m2ts", "videos/._c.mp4", "videos/d", "e.mp3")
    touch(outside, "f.mkv")
    (root / "link").symlink_to(outside)
    (outside / "back").symlink_to(root)
    tree = scan(root)
    assert tree.video("a") == root / "videos/all/part/a.WEBM"
    assert tree.video("b") == root / "b.m2ts"
    assert tree.video("c") is None, "what some systems leave beside a video is no video"
    assert tree.video("d") == root / "videos/d", "a video may have no suffix"
    assert tree.video("f") == root / "link/f.mkv"
    assert tree.video("nothing", "f") == root / "link/f.mkv", "several names are tried in turn"
    assert tree.video("root") is None and not tree.videos.further


def test_the_higher_of_two_files_of_one_stem_is_taken(tmp_path):
    """Of files with one stem the one higher up, then the first by path, is taken; the rest stay known in order."""
    touch(tmp_path, "z/a.mp4", "y/a.avi", "y/deep/a.mp4", "a.webm", "q/b.mp4", "p/b.mp4")
    tree = scan(tmp_path)
    assert tree.video("a") == tmp_path / "a.webm" and tree.video("b") == tmp_path / "p/b.mp4"
    assert [path.relative_to(tmp_path).as_posix() for path in tree.candidates("a", "b")] == [
        *("a.webm", "y/a.avi", "z/a.mp4", "y/deep/a.mp4", "p/b.mp4", "q/b.mp4")
    ]


def test_a_folder_of_pictures_is_a_video(tmp_path):
    """Frames in a folder of the clip's name are found where no video of that name is."""
    touch(tmp_path, "frames/a/a_000.jpg", "frames/a/a_001.jpg", "frames/b/0.png", "b.mp4")
    tree = scan(tmp_path)
    assert tree.video("a") == tmp_path / "frames/a"
    assert tree.video("b") == tmp_path / "b.mp4"


def test_everything_of_one_name_is_known(tmp_path):
    """Beside a video the file without a suffix and every folder of pictures of its name are candidates."""
    touch(tmp_path, "v/a.mp4", "w/a", "x/a", "p/a/0.jpg", "p/a/1.jpg", "q/a/0.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in scan(tmp_path).candidates("a")]
    assert found == ["v/a.mp4", "w/a", "x/a", "p/a", "q/a"]


def test_annotation_files_of_one_name_are_all_known(tmp_path):
    """The higher one comes first; gzipped or in capitals it is the same name."""
    touch(tmp_path, "b/list.txt", "b/LIST.txt.gz", "a/deep/list.txt", "list.TXT.gz")
    found = [path.relative_to(tmp_path).as_posix() for path in scan(tmp_path).annotations.all_of("list.txt")]
    assert found == ["list.TXT.gz", "b/LIST.txt.gz", "b/list.txt", "a/deep/list.txt"]


def test_a_folder_linked_from_deep_inside_stays_where_it_is(tmp_path):
    """A link, first by name, does not put a folder's annotation files out of reach, nor change their path."""
    touch(tmp_path, "texts/list.txt", "a/b/c/d/x.mp4", "z/deep/e/f/far.csv")
    (tmp_path / "a/b/c/d/link").symlink_to(tmp_path / "texts")
    (tmp_path / "beside").symlink_to(tmp_path / "texts")
    (tmp_path / "near").symlink_to(tmp_path / "z/deep/e/f")
    assert scan(tmp_path).annotations == {
        "list.txt": tmp_path / "texts/list.txt",
        "far.csv": tmp_path / "near/far.csv",
    }


@pytest.fixture
def closed(monkeypatch):
    """Makes folders that nobody may list, for whoever runs the tests."""
    names: set[str] = set()
    listed = os.scandir

    def refuse(folder):
        if os.path.basename(folder) in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    return names


def test_a_folder_that_cannot_be_read_is_named(tmp_path, closed):
    """Its videos would count as missing, so the walk ends with the folder's name."""
    touch(tmp_path, "a.mp4", "videos/part2/b.mp4")
    closed.add("part2")
    with pytest.raises(HarnessError, match=r"videos/part2 cannot be read: Permission denied") as caught:
        scan(tmp_path)
    assert caught.value.hint


def test_the_systems_own_folders_may_be_closed(tmp_path, closed):
    """A disk has folders that only the system reads; nobody keeps videos there."""
    touch(tmp_path, "a.mp4", "lost+found/x", ".Trash-0/b.mp4")
    closed.update(("lost+found", ".Trash-0"))
    assert list(scan(tmp_path).videos) == ["a"]


def test_annotation_files_lie_near_the_top(tmp_path):
    """Annotation files are known by lower-case name without .gz, down to three folders below the root."""
    touch(tmp_path, "Train.JSON", "x/y/z/val.csv.gz", "x/y/z/w/test.csv", "x/y/list.txt", "a.pkl", "b.npy")
    assert scan(tmp_path).annotations == {
        "train.json": tmp_path / "Train.JSON",
        "val.csv": tmp_path / "x/y/z/val.csv.gz",
        "list.txt": tmp_path / "x/y/list.txt",
        "a.pkl": tmp_path / "a.pkl",
    }


def test_a_root_that_does_not_exist(tmp_path):
    """A root that is not there, or is a file, is named in the error."""
    touch(tmp_path, "file")
    for name in ("nowhere", "file"):
        with pytest.raises(HarnessError, match=f"{name} does not exist or is not a folder"):
            scan(tmp_path / name)

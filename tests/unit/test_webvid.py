"""WebVid: rows of a csv, videos in folders of their pages."""

from __future__ import annotations

import pytest

from harness import HarnessError
from harness.data import AnnotatedOptions
from harness_webvid.dataset import build
from tests.support.annotated import found, put, said

HEADER = "videoid,contentUrl,duration,page_dir,name\n"
TRAIN = HEADER + (
    "1066674784,https://example.org/1066674784.mp4,PT00H00M12S,000001_000050,"
    '"A red circle, growing ""fast"", over\ngrey"\n'
    "1066674785,https://example.org/1066674785.mp4,PT00H00M08S,000051_000100,A square\n"
)
VAL = HEADER + "33,https://example.org/33.mp4,PT00H00M10S,000001_000050,A ring\n"
VIDEOS = ("videos/000001_000050/1066674784.mp4", "elsewhere/33.webm")


def open_at(root):
    return build(AnnotatedOptions(), root)


@pytest.mark.parametrize("size", ["2M", "10M"])
def test_rows_are_clips_with_one_text(tmp_path, size):
    """Each row is a clip, its id the video's number, its text the name as quoted, with commas and breaks."""
    files = {f"meta/results_{size}_train.csv": TRAIN, f"meta/results_{size}_val.csv": VAL}
    data = open_at(put(tmp_path, files, VIDEOS))
    train = "train" if size == "2M" else "train-10M"
    assert data.splits() == [train, "val"]
    assert said(data, train) == [
        ("1066674784", 'A red circle, growing "fast", over\ngrey'),
        ("1066674785", "A square"),
    ]
    assert said(data, "val") == [("33", "A ring")]
    assert found(data, train) == {"1066674784": VIDEOS[0], "1066674785": None}
    assert found(data, "val") == {"33": VIDEOS[1]}


def test_a_training_source_alone_opens(tmp_path):
    """Without the validation file there is a training split, and asking for the other names its file."""
    data = open_at(put(tmp_path, {"results_2M_train.csv": TRAIN}))
    assert data.splits() == ["train"]
    with pytest.raises(HarnessError, match=r"webvid/val in .*looked for results_2M_val\.csv"):
        data.clips("val")


def test_a_row_without_its_text_is_named(tmp_path):
    """A line that was cut off is refused with its number."""
    data = open_at(put(tmp_path, {"results_2M_train.csv": TRAIN + "5,https://example.org\n"}))
    with pytest.raises(HarnessError, match=r"results_2M_train\.csv, line 5: no name"):
        data.captions("train")

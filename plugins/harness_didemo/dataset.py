"""DiDeMo's splits for paragraph-to-video retrieval, from its owner's files and those of others.

All sentences of a video, in the order of the file, are its paragraph. Some videos have two names in
the annotations, ``x.mov`` and ``x.mp4``, and some a bare dot for a suffix: names are matched by stem,
so no sentence is lost. VALOR's copy has the sentences of most videos in another order; read from it,
the texts and thus the hash of a protocol differ.
"""

from __future__ import annotations

import math
from pathlib import Path

from harness import HarnessError
from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split, routes

#: The test video that the copies with 1003 videos lack.
_ONE_OF_1004 = "50072196@N00_8494901801_2a59170218"

#: The test set's files with all 1004 videos.
_TEST = (
    *routes(("test_list.txt",), (("test_data.json",),)),
    Route(("test_data.json",)),
    Route(("test.jsonl",)),  # CLIP-ViP
    Route(("didemo_ret_test.json",)),  # Singularity, VindLU, UMT
)

#: Others call both sizes of the test set the same, which two files in one folder cannot be.
_WRITTEN_1003 = {"jsonl": "test_1003.jsonl", "json": "didemo_ret_test_1003.json"}

SPLITS = {
    "train": Split(
        (
            *routes(("train_list.txt",), (("train_data.json",),)),
            Route(("train_data.json",)),
            Route(("train.jsonl",)),
            Route(("didemo_ret_train.json",)),
            Route(("txt_mapper.json",), ids="train_id.json"),  # VALOR
            Route(("*descs_ret_train.json",)),  # VAST, GRAM
        ),
        paragraph=True,
        written={"jsonl": "train.jsonl", "json": "didemo_ret_train.json"},
    ),
    "val": Split(
        (
            *routes(("val_list.txt",), (("val_data.json",),)),
            Route(("val_data.json",)),
            Route(("val.jsonl",)),
            Route(("didemo_ret_val.json",)),
        ),
        paragraph=True,
        written={"jsonl": "val.jsonl", "json": "didemo_ret_val.json"},
    ),
    "test-1003": Split(
        (
            *_TEST,
            Route(("txt_mapper.json",), ids="test_id.json"),
            Route(("*descs_ret_test.json",)),
            *map(Route, ((name,) for name in _WRITTEN_1003.values())),
        ),
        paragraph=True,
        without=(_ONE_OF_1004,),
        written=_WRITTEN_1003,
    ),
    "test-1004": Split(
        _TEST, paragraph=True, written={"jsonl": "test.jsonl", "json": "didemo_ret_test.json"}
    ),
}


class DidemoOptions(AnnotatedOptions):
    """``first_seconds`` is how much of a video file belongs to its clip, 0 for all of it.

    The annotators were shown six chunks of five seconds, so what comes after 30 s is described by
    nobody; files that were cut before are not changed by it. CLIP4Clip takes 31, CLIP-ViP all.
    """

    first_seconds: float = 30.0


class Didemo(AnnotatedDataset):
    """The data set with its clips cut to what the annotators saw; folders of pictures stay whole."""

    def __init__(self, options: DidemoOptions, root: Path) -> None:
        super().__init__("didemo", SPLITS, options, root)
        self._first_seconds = options.first_seconds

    def window_of(self, clip_id: str, duration_s: float | None) -> tuple[float, float | None]:
        return 0.0, self._first_seconds or None


def build(options: DidemoOptions, root: Path) -> Didemo:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    if not 0 <= options.first_seconds < math.inf:
        raise HarnessError(
            f"data.options.first_seconds is {options.first_seconds:g}, not a length in seconds",
            "30 is what was annotated, 0 takes files whole",
        )
    return Didemo(options, Path(root))

"""ActivityNet Captions' splits for paragraph-to-video retrieval, from its files and those of others.

``val_1`` and ``val_2`` are two independent descriptions of nearly the same videos. All sentences of
a video, in order, are its paragraph, its blanks normalised: many sentences begin with some. The lists
of ids name a few videos that nobody described; they are reported and left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from harness import HarnessError
from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split, routes
from harness.data.files import stem_of

_YOUTUBE_ID_LENGTH = 11

SPLITS = {
    "train": Split(
        (
            *routes(("train_ids.json", "train_list.txt"), (("train.json",),)),
            Route(("train.json",)),
            Route(("train.jsonl",)),  # CLIP-ViP
            Route(("anet_ret_train.json",)),  # Singularity, VindLU, UMT
            Route(("txt_mapper.json",), ids="train_id.json"),  # VALOR
            Route(("*descs_ret_train.json",)),  # VAST, GRAM
        ),
        paragraph=True,
        written={"jsonl": "train.jsonl", "json": "anet_ret_train.json"},
    ),
    "val_1": Split(
        (
            *routes(("val_ids.json", "val_1_list.txt"), (("val_1.json",),)),
            Route(("val_1.json",)),
            Route(("val1.jsonl",)),
            Route(("anet_ret_val_1.json",)),
            Route(("txt_mapper.json",), ids="val1_id.json"),
            Route(("*descs_ret_test.json",)),
        ),
        paragraph=True,
        written={"jsonl": "val1.jsonl", "json": "anet_ret_val_1.json"},
    ),
    "val_2": Split(
        (
            *routes(("val_2_list.txt", "val_ids.json"), (("val_2.json",),)),
            Route(("val_2.json",)),
            Route(("val2.jsonl",)),
            Route(("anet_ret_val_2.json",)),
        ),
        paragraph=True,
        written={"jsonl": "val2.jsonl", "json": "anet_ret_val_2.json"},
    ),
}


class ActivityNetOptions(AnnotatedOptions):
    """With ``annotated_seconds`` a clip ends at the length that its annotators had, rounded up.

    CLIP4Clip does so. Nothing is cut off a right file by it, and only the owner's files state lengths,
    so clips are whole unless it is asked for.
    """

    annotated_seconds: bool = False


class ActivityNet(AnnotatedDataset):
    """The data set with ids as its owner writes them: ``v_`` before the id that YouTube gave."""

    def __init__(self, options: ActivityNetOptions, root: Path) -> None:
        super().__init__("activitynet", SPLITS, options, root)
        self._annotated_seconds = options.annotated_seconds

    def id_of(self, name: str) -> str:
        """``v_`` and the video's own id, which may itself begin with ``v_``, ``-`` or ``_``."""
        stem = stem_of(name)
        owners = stem.startswith("v_") and len(stem) != _YOUTUBE_ID_LENGTH
        return stem if owners else f"v_{stem}"

    def stems_of(self, clip_id: str) -> Sequence[str]:
        """Files and folders are called by either id."""
        return clip_id, clip_id.removeprefix("v_")

    def window_of(self, clip_id: str, duration_s: float | None) -> tuple[float, float | None]:
        if not self._annotated_seconds:
            return 0.0, None
        if duration_s is None:
            raise HarnessError(
                f"the annotation files in use state no length of {clip_id}, and data.options.annotated_seconds "
                "asks for it",
                "use the owner's train.json, val_1.json and val_2.json, or leave that option out",
            )
        return 0.0, float(math.ceil(duration_s))


def build(options: ActivityNetOptions, root: Path) -> ActivityNet:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return ActivityNet(options, Path(root))

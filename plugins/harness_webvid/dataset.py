"""WebVid's csv files, one row for each video: ``videoid,contentUrl,duration,page_dir,name``.

The video is looked for by ``videoid``, in ``videos/<page_dir>/`` or anywhere else below the root;
``name`` is its text. Much of the set can no longer be downloaded, so most copies lack some videos.
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split

SPLITS = {
    "train": Split((Route(("results_2M_train.csv",)),)),
    "train-10M": Split((Route(("results_10M_train.csv",)),)),
    "val": Split((Route(("results_2M_val.csv",)), Route(("results_10M_val.csv",)))),
}


def build(options: AnnotatedOptions, root: Path) -> AnnotatedDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return AnnotatedDataset("webvid", SPLITS, options, Path(root))

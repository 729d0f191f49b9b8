"""MSVD's splits: 1200, 100 and 670 clips with about 41 sentences each.

The literature scores three different things under one name: every sentence as a query of its own,
five sampled sentences for each clip, or one. Here every sentence is a query. Sentences are never
joined: a paragraph of forty true sentences is found far more often than any of them (a paper that had
joined them took its zero-shot R@1 of 72.2 back for 49.0).
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split, routes

#: Files with the sentences of all 1970 clips.
_CAPTIONS = (
    ("raw-captions.pkl",),  # collaborative-experts, CLIP4Clip
    ("captions_msvd.json",),  # X-Pool
    ("txt_mapper.json",),  # VALOR
)


def _split(name: str) -> Split:
    return Split(
        (
            *routes((f"{name}_list.txt",), _CAPTIONS),
            Route((f"{name}.jsonl",)),
            Route((f"msvd_ret_{name}.json",)),  # VindLU, InternVideo2
            Route((f"*descs_ret_{name}.json",)),  # VALOR, VAST, GRAM
        )
    )


SPLITS = {name: _split(name) for name in ("train", "val", "test")}


def build(options: AnnotatedOptions, root: Path) -> AnnotatedDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return AnnotatedDataset("msvd", SPLITS, options, Path(root))

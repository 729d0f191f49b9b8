"""LSMDC's splits, from the tab-separated files of its owner and those of the code that uses it.

Files and folders are matched by the stem ``<film>_<from>-<to>``, whether or not clips lie in a folder
for each film. A few clip ids come again in the training file with another sentence; all are kept.
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split

SPLITS = {
    "train": Split(
        (
            Route(("lsmdc16_annos_training.csv",)),
            Route(("train_101k_frame.jsonl",)),  # CLIP-ViP
            Route(("lsmdc_ret_train.json",)),  # VindLU, UMT
            Route(("txt_mapper.json",), ids="train_id.json"),  # VALOR
            Route(("*descs_ret_train.json",)),  # VAST, GRAM
        ),
        written={"jsonl": "train_101k_frame.jsonl", "json": "lsmdc_ret_train.json"},
    ),
    "val-7408": Split(
        (Route(("lsmdc16_annos_val.csv",)), Route(("lsmdc_ret_val.json",)), Route(("val.jsonl",))),
        written={"jsonl": "val.jsonl", "json": "lsmdc_ret_val.json"},
    ),
    "test-1000": Split(
        (
            Route(("lsmdc16_challenge_1000_publictect.csv",)),  # this is how the owner spells it
            Route(("lsmdc16_challenge_1000_publictest.csv",)),
            Route(("test_1k_frame.jsonl",)),
            Route(("lsmdc_ret_test_1000.json",)),
            Route(("txt_mapper.json",), ids="test_id.json"),
            Route(("*descs_ret_test.json",)),
        ),
        written={"jsonl": "test_1k_frame.jsonl", "json": "lsmdc_ret_test_1000.json"},
    ),
}


def build(options: AnnotatedOptions, root: Path) -> AnnotatedDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return AnnotatedDataset("lsmdc", SPLITS, options, Path(root))

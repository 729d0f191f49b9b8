"""VATEX's splits for retrieval: 25 991, 1500 and 1500 clips with ten English sentences each.

The sentences of the owner's test set were secret when retrieval began, so HGR (Chen et al., CVPR 2020)
halved the owner's validation set into 1500 clips for validation and 1500 for testing; that is the test
set of VALOR, VAST and GRAM too. CLIP2Video drew another 1500 out of the same 3000: 724 of them are in
HGR's test half and 776 in its validation half. The two differ by four points of R@1 for one model, so
each is a protocol of its own, and a model that was selected on ``val`` has seen half of the second.
Chinese sentences are not read.
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Route, Split, routes

_OWNER_TRAIN, _OWNER_VALIDATION = "vatex_training_v1.0.json", "vatex_validation_v1.0.json"

#: Files with the sentences of both of the owner's sets.
_BOTH = (
    (_OWNER_TRAIN, _OWNER_VALIDATION),
    ("vatex_data.json",),  # CLIP2Video
    ("txt_mapper.json",),  # VALOR
)
_HELD_OUT = (*_BOTH, (_OWNER_VALIDATION,))

SPLITS = {
    "train": Split(
        (
            *routes(("*train_list.txt",), (*_BOTH, (_OWNER_TRAIN,))),
            Route((_OWNER_TRAIN,)),
            Route(("train.jsonl",)),
            Route(("*descs_ret_train.json",)),
        )
    ),
    "val": Split((*routes(("*val_list.txt",), _HELD_OUT), Route(("val.jsonl",)))),
    "test": Split(
        (
            *routes(("*test_list.txt",), _HELD_OUT),
            Route(("test.jsonl",)),
            Route(("*descs_ret_test.json",)),
        )
    ),
    "test-clip2video": Split((*routes(("test1k5_sec_list.txt",), _HELD_OUT), Route(("test1k5_sec.jsonl",)))),
}


def build(options: AnnotatedOptions, root: Path) -> AnnotatedDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return AnnotatedDataset("vatex", SPLITS, options, Path(root))

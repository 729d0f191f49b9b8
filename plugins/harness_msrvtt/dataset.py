"""MSR-VTT's splits, from the files of its owner, of the Oxford copy, and of the code bases that use it.

Counts and the relations of the splits are those of the lists in circulation: 7k is full train + full
val; 9k is everything but the 1000 clips of 1k-A and so contains most of the full test set.

Questions (MSRVTT-QA; Xu et al., Video Question Answering via Gradually Refined Attention, ACM MM 2017)
were made from the captions of the full split. Train and val together are a split of their own, for code
that trains on both.
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Asked, Route, Split, routes

#: Files with the captions of all 10 000 videos, each possibility one or two files.
_CAPTIONS = (
    ("MSRVTT_data.json",),  # CLIP4Clip
    ("MSR_VTT.json",),  # Oxford
    ("train_val_videodatainfo.json", "test_videodatainfo.json"),  # the owner's
    ("txt_mapper.json",),  # VALOR
    ("caption_annotation.json",),  # VALOR
)

#: Files of questions, one for each of train, val and test.
_QUESTIONS = (
    "{}_qa.json",  # the owner's
    "msrvtt_qa_{}.json",  # VindLU, mmaction2
    "msrvtt_qa_{}.jsonl",  # all-in-one
    "qa_{}.json",  # LAVIS
    "{}.jsonl",  # ClipBERT, ALPRO
)


def _asked(*parts: str) -> tuple[Route, ...]:
    """The routes to the questions of one part, or of several together."""
    return tuple(Route(tuple(name.format(part) for part in parts)) for name in _QUESTIONS)


SPLITS = {
    "train-9k": Split(
        (
            *routes(("MSRVTT_train.9k.csv", "train_list_jsfusion.txt", "1KAsplit_train_id.json"), _CAPTIONS),
            Route(("train9k.jsonl",)),
            Route(("train_9k.json",)),
            Route(("msrvtt_ret_train9k.json",)),
            Route(("*descs_ret_train.json",)),
        ),
        written={"jsonl": "train9k.jsonl", "json": "train_9k.json"},
    ),
    "train-7k": Split(
        (
            *routes(("MSRVTT_train.7k.csv",), _CAPTIONS),
            Route(("train_7k.json",)),
            Route(("train7k.jsonl",)),
            Route(("msrvtt_ret_train7k.json",)),
            Route(("train_val_videodatainfo.json",)),
        ),
        written={"jsonl": "train7k.jsonl", "json": "train_7k.json"},
    ),
    "train-full": Split(
        (
            *routes(("MSRVTT_train.full.csv", "train_list_full.txt"), _CAPTIONS),
            Route(("train_val_videodatainfo.json",), stated=("train",)),
            Route(("MSRVTT_data.json",), stated=("train",)),
            Route(("*descs_cap_train.json",)),
        )
    ),
    "train-1k-B": Split(routes(("train_list_miech.txt",), _CAPTIONS)),
    "val-full": Split(
        (
            *routes(("MSRVTT_val.full.csv", "val_list_full.txt"), _CAPTIONS),
            Route(("train_val_videodatainfo.json",), stated=("validate",)),
            Route(("MSRVTT_data.json",), stated=("validate",)),
        )
    ),
    "test-1k-A": Split(
        (
            Route(("MSRVTT_JSFUSION_test.csv",)),
            Route(("test1ka.jsonl",)),
            Route(("test_JSFUSION.json",)),
            Route(("msrvtt_ret_test1k.json",)),
            *(
                Route(files, ids="val_list_jsfusion.txt", places="jsfusion_val_caption_idx.pkl")
                for files in _CAPTIONS
            ),
            Route(("*descs_ret_test.json",)),
        ),
        written={"jsonl": "test1ka.jsonl", "json": "test_JSFUSION.json"},
    ),
    "test-full": Split(
        (
            *routes(("MSRVTT_test.full.csv", "test_list_full.txt"), _CAPTIONS),
            Route(("test_videodatainfo.json",)),
            Route(("MSRVTT_data.json",), stated=("test",)),
            Route(("*descs_cap_test.json",)),
        )
    ),
    # The first caption of each video is its query (the loader of collaborative-experts).
    "test-1k-B": Split(routes(("test_list_miech.txt",), _CAPTIONS, first=True)),
    "qa-train": Split((*_asked("train"), Route(("*descs_qa_train.json",))), questions=True),
    "qa-train+val": Split((*_asked("train", "val"), Route(("trainval_descs_qa.json",))), questions=True),
    "qa-val": Split(_asked("val"), questions=True),
    "qa-test": Split(
        (
            *_asked("test"),
            Route(("*descs_qa_test.json",)),  # VAST, GRAM
            Route(("test_descs_qa.json",)),  # COSA
            # VALOR's list for training may hold the validation clips or not, so it is not a route.
            Route(("txt_mapper_vqa.json",), ids="standardsplit_test_id.json"),
        ),
        questions=True,
    ),
}


class MsrvttDataset(AnnotatedDataset):
    """MSR-VTT, whose files of questions call a video by its number."""

    def id_of_number(self, number: int) -> str:
        """``video7`` for 7."""
        return f"video{number}"

    def kind_of(self, asked: Asked) -> str:
        """The first word, as the files that state a kind have it: what, who, how, when or where."""
        return asked.text.split()[0].lower()


def build(options: AnnotatedOptions, root: Path) -> MsrvttDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return MsrvttDataset("msrvtt", SPLITS, options, Path(root))

"""MSVD's splits: 1200, 100 and 670 clips with about 41 sentences each.

The literature scores three different things under one name: every sentence as a query of its own,
five sampled sentences for each clip, or one. Here every sentence is a query. Sentences are never
joined: a paragraph of forty true sentences is found far more often than any of them (a paper that had
joined them took its zero-shot R@1 of 72.2 back for 49.0).

Questions (MSVD-QA; Xu et al., Video Question Answering via Gradually Refined Attention, ACM MM 2017) have
a split of the clips of their own. Their files call a video by a number that ``youtube_mapping.txt`` of
the same release explains, in lines such as ``-4wsuPCjDBc_5_15 vid1``. Train and val together are a split of
their own, for code that trains on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from harness import HarnessError
from harness.data import AnnotatedDataset, AnnotatedOptions, Asked, Route, Split, read_pairs, routes

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


#: Files of questions, one for each of train, val and test. ALPRO's have the names of files of captions.
_QUESTIONS = (
    "{}_qa.json",  # the owner's
    "msvd_qa_{}.json",  # VindLU, mmaction2
    "msvd_qa_{}.jsonl",
    "qa_{}.json",  # LAVIS
)


def _asked(*parts: str) -> tuple[Route, ...]:
    """The routes to the questions of one part, or of several together."""
    return tuple(Route(tuple(name.format(part) for part in parts)) for name in _QUESTIONS)


SPLITS = {name: _split(name) for name in ("train", "val", "test")} | {
    "qa-train": Split((*_asked("train"), Route(("*descs_qa_train.json",))), questions=True),
    "qa-train+val": Split((*_asked("train", "val"), Route(("trainval_desc_qa.json",))), questions=True),
    "qa-val": Split(_asked("val"), questions=True),
    "qa-test": Split(
        (
            *_asked("test"),
            Route(("*descs_qa_test.json",)),  # VAST, GRAM
            Route(("test_desc_qa.json",)),  # COSA
            # VALOR's list for training may hold the validation clips or not, so it is not a route.
            Route(("txt_mapper_vqa.json",), ids="test_id_vqa.json"),
        ),
        questions=True,
    ),
}

#: What tells the numbers of videos, and what it puts before them.
_MAPPING, _NUMBERED = "youtube_mapping.txt", "vid"


class MsvdDataset(AnnotatedDataset):
    """MSVD, whose files of questions call a video by its number, and copies of it the video's file too."""

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """The id of each video by its number, such as ``vid1``; empty without the file that says so."""
        path = self.annotation(_MAPPING)
        return {numbered: name for name, numbered in read_pairs(path)} if path else {}

    @cached_property
    def _numbers(self) -> Mapping[str, str]:
        return {name: numbered for numbered, name in self._names.items()}

    def id_of(self, name: str) -> str:
        """The video's own name, also where the file has its number."""
        stem = super().id_of(name)
        return self._names.get(stem, stem)

    def id_of_number(self, number: int) -> str:
        """The name of a numbered video. Raises HarnessError where nothing tells it."""
        found = self._names.get(f"{_NUMBERED}{number}")
        if found is None:
            path = self.annotation(_MAPPING)
            where = f"{path} does not have" if path else f"there is no {_MAPPING} with"
            raise HarnessError(
                f"the questions of msvd are about a video number {number}, and {where} {_NUMBERED}{number}",
                f"put the {_MAPPING} that came with the questions beside them",
            )
        return found

    def stems_of(self, clip_id: str) -> Sequence[str]:
        """The video's own name, and what it is called by its number."""
        return tuple(dict.fromkeys((clip_id, self._numbers.get(clip_id, clip_id))))

    def kind_of(self, asked: Asked) -> str:
        """The first word, as the files that state a kind have it: what, who, how, when or where."""
        return asked.text.split()[0].lower()


def build(options: AnnotatedOptions, root: Path) -> MsvdDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return MsvdDataset("msvd", SPLITS, options, Path(root))

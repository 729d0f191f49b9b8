"""TGIF's GIFs and the questions of TGIF-QA that a single frame can answer (FrameQA).

The owner's files are separated by tabs, though called csv, and have the columns ``gif_name``, ``question``,
``answer``, ``type``, ``vid_id``, ``key`` and ``description``. A GIF is looked for by ``gif_name``. The
owner gives no validation split. Counting, actions and transitions are other tasks, with numbers or choices
for answers, and are not read.
"""

from __future__ import annotations

from pathlib import Path

from harness.data import AnnotatedDataset, AnnotatedOptions, Asked, Route, Split


def _split(name: str) -> Split:
    return Split(
        (
            Route((f"{name.title()}_frameqa_question.csv",)),
            Route(("txt_mapper_frameQA.json",), ids=f"{name}_id_frameQA.json"),  # VALOR
            Route((f"{name}_desc_qa.json",)),  # COSA
            Route((f"*descs_qa_{name}.json",)),  # VAST
        ),
        questions=True,
    )


SPLITS = {f"frameqa-{name}": _split(name) for name in ("train", "test")}

#: What the numbers in the column ``type`` mean.
_KINDS = {"0": "object", "1": "number", "2": "colour", "3": "location"}


class TgifDataset(AnnotatedDataset):
    """TGIF, whose files state the kind of a question by a number."""

    def kind_of(self, asked: Asked) -> str:
        """``object``, ``number``, ``colour`` or ``location`` where a file states it."""
        return _KINDS.get(asked.kind, asked.kind)


def build(options: AnnotatedOptions, root: Path) -> TgifDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return TgifDataset("tgif", SPLITS, options, Path(root))

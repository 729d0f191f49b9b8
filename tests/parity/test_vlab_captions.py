"""Caption metrics against recorded values of the COCO caption evaluation.

A file holds captions as written, their tokens, and scores as shares (CIDEr times 10), of the corpus and per
video. METEOR needs its Java program and is compared where that is installed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import vlab
from golden import read_json

from harness_standard.caption_metrics import CaptionScores, evaluate
from harness_standard.caption_metrics.ptb import tokenize

CORPUS = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
}
TOLERANCE = 1e-9

pytestmark = pytest.mark.parametrize("path", vlab.files("captions"))


def recorded(path: Any) -> dict[str, Any]:
    assert path is not None, f"no file of caption metrics in {vlab.FOLDER}"
    return read_json(path)


@cache
def scores(path: Path) -> CaptionScores:
    content = read_json(path)
    return evaluate(content["predictions"], content["references"])


def test_the_tokens_are_the_recorded_ones(path) -> None:
    """Every prediction and every reference has exactly the recorded tokens."""
    content = recorded(path)
    written = dict(content["predictions"])
    tokens = {video: line.split() for video, line in content["tokenized_predictions"].items()}
    for video, captions in content["references"].items():
        for i, caption in enumerate(captions):
            written[video, i] = caption
            tokens[video, i] = content["tokenized_references"][video][i].split()
    assert {video: tokenize(caption) for video, caption in written.items()} == tokens


def test_the_figures_of_the_corpus_are_the_recorded_ones(path) -> None:
    """Each recorded figure of the corpus comes out, on the papers' scale; a file without one is refused."""
    content = recorded(path)
    ours = scores(path)
    figures = {key: value for key, value in content["corpus"].items() if key != "meteor" or ours.meteor}
    assert figures and figures.keys() <= CORPUS.keys()
    got = {key: ours.corpus[CORPUS[key]] / 100 for key in figures}
    assert got == pytest.approx(figures, abs=TOLERANCE)


def test_the_scores_of_each_video_are_the_recorded_ones(path) -> None:
    """Each recorded score of a video comes out."""
    content = recorded(path)
    ours = scores(path)
    columns = {"rouge_l": ours.rouge, "cider": ours.cider, "meteor": ours.meteor}
    assert content["per_video"].keys() <= columns.keys()
    for name, values in content["per_video"].items():
        if (column := columns[name]) is not None:
            assert dict(zip(content["predictions"], column)) == pytest.approx(values, abs=TOLERANCE), name

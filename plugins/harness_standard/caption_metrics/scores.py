"""All caption metrics of a set of videos at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import HarnessError
from harness_standard.caption_metrics.bleu import BleuCounts, bleu, bleu_counts
from harness_standard.caption_metrics.cider import cider_d
from harness_standard.caption_metrics.meteor import meteor
from harness_standard.caption_metrics.ptb import NAME, tokenize
from harness_standard.caption_metrics.rouge import rouge_l


@dataclass(frozen=True)
class CaptionScores:
    """``corpus`` on the papers' scale (times 100); the columns have an entry per prediction, in its order.

    ``rouge`` and ``meteor`` are in 0 to 1, ``cider`` in 0 to 10. Without METEOR, ``meteor`` is None and
    ``meteor_absent`` says why. ``tokenizer`` is what the figures belong to.
    """

    corpus: dict[str, float]
    bleu: list[BleuCounts]
    rouge: list[float]
    cider: list[float]
    meteor: list[float] | None
    meteor_absent: str
    tokenizer: str = NAME


def evaluate(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> CaptionScores:
    """Score a caption per video against the video's references, both by id and as they were written.

    References of videos that have no prediction are left out: CIDEr weighs words by the videos that are
    scored. An empty prediction scores 0. No prediction at all, or one without a reference, is a
    :class:`HarnessError`.
    """
    if not predictions:
        raise HarnessError("there is no caption to score", "predict a caption for at least one video")
    bare = [video for video in predictions if not references.get(video)]
    if bare:
        raise HarnessError(
            f"{len(bare)} of {len(predictions)} captioned videos have no reference, first {bare[0]!r}",
            "score only videos that the annotations describe",
        )
    hyps = [tokenize(caption) for caption in predictions.values()]
    refs = [[tokenize(caption) for caption in references[video]] for video in predictions]
    counts = [bleu_counts(hyp, captions) for hyp, captions in zip(hyps, refs)]
    rouge = [rouge_l(hyp, captions) for hyp, captions in zip(hyps, refs)]
    cider = cider_d(hyps, refs)
    by_java = meteor(hyps, refs)
    corpus = {f"BLEU-{n}": 100 * score for n, score in enumerate(bleu(counts), start=1)}
    corpus |= {"ROUGE-L": 100 * _mean(rouge), "CIDEr": 100 * _mean(cider)}
    if by_java.corpus is not None:
        corpus["METEOR"] = 100 * by_java.corpus
    return CaptionScores(corpus, counts, rouge, cider, by_java.videos, by_java.absent)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

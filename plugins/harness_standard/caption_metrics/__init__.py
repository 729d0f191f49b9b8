"""Caption metrics: BLEU, ROUGE-L and CIDEr in Python, METEOR where its Java program is installed."""

from harness_standard.caption_metrics.bleu import BleuCounts, bleu
from harness_standard.caption_metrics.scores import CaptionScores, evaluate

__all__ = ["BleuCounts", "CaptionScores", "bleu", "evaluate"]

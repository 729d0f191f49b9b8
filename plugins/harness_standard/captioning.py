"""Captioning: a sentence for each clip by beam search, scored against all of the clip's references."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness import HarnessError
from harness.engine import Evaluation, Task, TaskResult
from harness.models import Encoding, GenerativeModule, beam_search, said
from harness.results.record import Example, Metrics
from harness_standard.caption_metrics import evaluate
from harness_standard.caption_metrics.evidence import columns
from harness_standard.protocol import longest, protocol_of, refuse_all_missing, spread
from harness_standard.writing_options import CaptioningOptions

_EXAMPLES = 8


class Captioning(Task):
    """BLEU, ROUGE-L, CIDEr-D and, where its Java program is installed, METEOR, as COCO's evaluation has
    them; and the share of captions that are a reference word by word.

    A clip that cannot be read has an empty caption and scores nothing. With ``evaluation.missing: drop``
    it is left out instead, and the record says so. CIDEr weighs words by the references of the clips
    that are scored, so the scores of a part of a test set are not those of the whole.
    """

    def __init__(self, options: CaptioningOptions) -> None:
        self.options = options

    def evaluate(self, evaluation: Evaluation) -> TaskResult | None:
        clips = evaluation.clips
        written, missing = evaluation.write(self._write)
        refuse_all_missing(clips, missing)
        if written is None:
            return None
        references: dict[str, list[str]] = {clip.id: [] for clip in clips}
        for caption in evaluation.captions:
            references[caption.clip_id].append(caption.text)
        bare = [name for name, texts in references.items() if not texts]
        if bare:
            raise HarnessError(
                f"{len(bare)} test clips have no caption to compare with, the first: {bare[0]}",
                "see that the annotation files belong together",
            )
        if evaluation.plan.recipe.evaluation.missing == "drop":
            clips = [clip for clip in clips if clip.id not in missing]
        captions = {clip.id: written[clip.id][0] if clip.id in written else "" for clip in clips}
        scores = evaluate(captions, references)
        exact = [_plain(text) in map(_plain, references[name]) for name, text in captions.items()]
        figures = scores.corpus | {"exact": 100 * sum(exact) / len(exact)}
        shown = spread(list(captions), _EXAMPLES)
        return TaskResult(
            score=figures["CIDEr"],
            metrics=Metrics(figures=figures, main="CIDEr"),
            protocol=protocol_of(
                evaluation,
                [(c.id, c.text, c.clip_id) for c in evaluation.captions if c.clip_id in captions],
                list(captions),
                len(captions),
            ),
            evidence=columns(scores, exact),
            examples=tuple(
                Example(clip=name, said=captions[name], meant=references[name][0]) for name in shown
            ),
            missing=missing,
            notes=(f"no METEOR: {scores.meteor_absent}",) if scores.meteor_absent else (),
        )

    def _write(
        self, module: GenerativeModule, memory: Tensor, prompt: Encoding | None, width: int
    ) -> Sequence[str]:
        o = self.options
        words = module.writes.vocabulary
        assert words is not None
        started = module.start(memory, prompt, width * o.beams)
        length = longest(module, o.length)
        ids, _ = beam_search(started, len(memory), o.beams, length, words.end, o.length_penalty)
        return [said(row, module.writes) for row in torch.Tensor.tolist(ids)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def build(options: CaptioningOptions) -> Captioning:
    return Captioning(options)

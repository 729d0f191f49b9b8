"""Retrieval: ranks of every text among all clips and of every clip among all texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness import HarnessError, Options
from harness.data import Caption, Clip, Contrast
from harness.engine import Evaluation, Task, TaskResult
from harness.results import ranks
from harness.results.record import Metrics, Queries
from harness.results.retrieved import best_clips
from harness_standard.protocol import protocol_of, refuse_all_missing


class Retrieval(Task):
    """R@1/5/10, MdR and MnR in both directions, by counting (average rank for ties).

    A missing or undecodable clip, as gold or as query, has the worst rank and stays at the bottom
    of everybody else's gallery; no denominator shrinks. With the recipe's ``evaluation.missing:
    drop`` such clips and their texts are left out instead, and the record says so.
    """

    def evaluate(self, evaluation: Evaluation) -> TaskResult | None:
        clips, captions = evaluation.clips, evaluation.captions
        clip_features, unreadable = evaluation.encode_clips()
        refuse_all_missing(clips, unreadable)
        found = evaluation.score(evaluation.encode_texts(), clip_features)
        if found is None:
            return None
        _refuse_nan(found, captions, [clip for clip in clips if clip.id not in unreadable])
        if evaluation.plan.recipe.evaluation.missing == "drop":
            found = found[[caption.clip_id not in unreadable for caption in captions]]
            captions = [caption for caption in captions if caption.clip_id not in unreadable]
            clips = [clip for clip in clips if clip.id not in unreadable]
        missing = np.array([clip.id in unreadable for clip in clips])
        scores = found
        if missing.any():
            scores = np.zeros((len(captions), len(clips)))
            scores[:, ~missing] = found
        t2v_scores, v2t_scores = evaluation.postprocess(scores, missing)
        column = {clip.id: index for index, clip in enumerate(clips)}
        gold = np.array([column[caption.clip_id] for caption in captions])
        t2v = ranks.text_to_video(t2v_scores, gold, missing)
        v2t, _ = ranks.video_to_text(v2t_scores, gold, missing)
        contrasts = {
            name: [pair for pair in pairs if {pair.clip_id, pair.foil_id} <= column.keys()]
            for name, pairs in evaluation.dataset.contrasts(evaluation.plan.protocol.test).items()
        }
        figures = ranks.metrics(t2v)
        texts = [(caption.id, caption.text, caption.clip_id) for caption in captions]
        gallery = [clip.id for clip in clips]
        return TaskResult(
            score=figures["R@1"],
            metrics=Metrics(
                t2v=figures,
                v2t=ranks.metrics(v2t),
                contrasts={
                    name: _contrast(t2v_scores, pairs, captions, column, missing)
                    for name, pairs in contrasts.items()
                    if pairs
                },
            ),
            queries=Queries(t2v=t2v.pack(), v2t=v2t.pack()),
            protocol=protocol_of(evaluation, texts, gallery, len(captions)),
            missing=unreadable,
            retrieved=best_clips(t2v_scores, missing, texts, gallery),
        )


def _refuse_nan(scores: np.ndarray, captions: Sequence[Caption], clips: Sequence[Clip]) -> None:
    """A score that is not a number is an error with the address of the first one."""
    bad = np.isnan(scores)
    if bad.any():
        text, clip = (int(index) for index in np.argwhere(bad)[0])
        raise HarnessError(
            f"{int(bad.sum())} of {scores.size} scores are NaN, the first of query {captions[text].id} "
            f"({captions[text].text!r}) and clip {clips[clip].id}",
            "look at that clip and at the last losses in the run's log",
        )


def _contrast(
    scores: np.ndarray,
    pairs: Sequence[Contrast],
    captions: Sequence[Caption],
    column: Mapping[str, int],
    missing: np.ndarray,
) -> float:
    """Percent of texts that prefer their own clip to its foil; a tie counts half, a missing clip 0."""
    row = {caption.id: index for index, caption in enumerate(captions)}
    total = 0.0
    for pair in pairs:
        own, foil = column[pair.clip_id], column[pair.foil_id]
        if missing[own]:
            continue
        difference = (
            np.inf
            if missing[foil]
            else scores[row[pair.caption_id], own] - scores[row[pair.caption_id], foil]
        )
        total += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
    return 100 * total / len(pairs)


def build(options: Options) -> Retrieval:
    return Retrieval()

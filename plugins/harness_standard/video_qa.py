"""Open-ended questions about clips: an answer is written, and right where it is the reference word by word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from harness import HarnessError
from harness.data import Question, asked_and_answered
from harness.engine import Evaluation, Task, TaskResult
from harness.models import Encoding, GenerativeModule, beam_search, forced_scores, said
from harness.results.record import Example, Metrics
from harness_standard.answers import accuracies, columns
from harness_standard.protocol import longest, protocol_of, refuse_all_missing, spread
from harness_standard.writing_options import VideoQAOptions

_EXAMPLES = 8
#: Rows that candidate answers are scored in at once.
_ROWS = 512
#: Tokens of a candidate that count, with the end.
_LONGEST = 31


class VideoQA(Task):
    """The share of all test questions whose answer is the reference, lower-case and in single blanks.

    Answers that were never seen in training count like any other, and so does a question about a clip
    that cannot be read: as wrong. With ``evaluation.missing: drop`` the latter are left out instead.
    Accuracy by the kind of question stands beside it where the data set tells kinds; and where questions
    have a foil, the share of right ones among the answers that are right or the foil (chance: 50).
    """

    def __init__(self, options: VideoQAOptions) -> None:
        self.options = options

    def evaluate(self, evaluation: Evaluation) -> TaskResult | None:
        questions, clips = evaluation.questions, evaluation.clips
        if not questions:
            raise HarnessError(
                f"{evaluation.plan.dataset}/{evaluation.plan.protocol.test} has no questions",
                "see that the files with its questions lie beside the videos",
            )
        asked: dict[str, list[Question]] = defaultdict(list)
        for question in questions:
            asked[question.clip_id].append(question)
        candidates = self._candidates(evaluation)
        written, missing = evaluation.write(lambda *given: self._answer(*given, candidates=candidates), asked)
        refuse_all_missing(clips, missing)
        if written is None:
            return None
        if evaluation.plan.recipe.evaluation.missing == "drop":
            questions = [question for question in questions if question.clip_id not in missing]
            clips = [clip for clip in clips if clip.id not in missing]
            if not questions:
                raise HarnessError(
                    f"no test clip of {evaluation.plan.dataset}/{evaluation.plan.protocol.test} with a question "
                    "can be read",
                    "check the data root",
                )
        answers = {
            question.id: answer
            for name, texts in written.items()
            for question, answer in zip(asked[name], texts, strict=True)
        }
        right = [q.id in answers and plain(answers[q.id]) == plain(q.answer) for q in questions]
        foiled = [plain(answers.get(q.id, "")) == plain(q.foil) if q.foil else None for q in questions]
        evidence = columns(right, [q.kind for q in questions], foiled)
        figures = accuracies(evidence)
        return TaskResult(
            score=figures["accuracy"],
            metrics=Metrics(figures=figures, main="accuracy"),
            protocol=protocol_of(
                evaluation,
                asked_and_answered(questions),
                [clip.id for clip in clips],
                len(questions),
            ),
            evidence=evidence,
            examples=tuple(
                Example(clip=q.clip_id, asked=q.text, said=answers.get(q.id, ""), meant=q.answer)
                for q in spread(questions, _EXAMPLES)
            ),
            missing=missing,
        )

    def _candidates(self, evaluation: Evaluation) -> Sequence[str]:
        """The most frequent answers of the training split, of equal ones the first by name."""
        if not self.options.candidates:
            return ()
        train = evaluation.dataset.questions(evaluation.plan.protocol.train)
        counted = Counter(plain(question.answer) for question in train)
        ranked = sorted(counted, key=lambda answer: (-counted[answer], answer))
        if not ranked:
            raise HarnessError(
                f"{evaluation.plan.dataset}/{evaluation.plan.protocol.train} has no answers to choose from",
                "--set evaluation.task.candidates=0 lets the model write its own",
            )
        return ranked[: self.options.candidates]

    def _answer(
        self,
        module: GenerativeModule,
        memory: Tensor,
        prompt: Encoding | None,
        width: int,
        *,
        candidates: Sequence[str],
    ) -> Sequence[str]:
        words = module.writes.vocabulary
        assert words is not None and prompt is not None
        if candidates:
            return _likeliest(module, memory, prompt, width, candidates)
        rows = len(memory) * width
        length = longest(module, self.options.length)
        ids, _ = beam_search(module.start(memory, prompt, width), rows, 1, length, words.end)
        return [said(row, module.writes) for row in torch.Tensor.tolist(ids)]


def _likeliest(
    module: GenerativeModule, memory: Tensor, prompt: Encoding, width: int, candidates: Sequence[str]
) -> list[str]:
    """For each question the candidate of the highest summed log probability, its end included."""
    encoding = module.writes.encode(candidates, longest(module, _LONGEST) + 1)
    length = int(encoding.mask.sum(dim=1).max())
    ids = encoding.tokens[:, 1:length].to(memory.device)
    mask = encoding.mask[:, 1:length].to(memory.device)
    scores = []
    for number in range(len(memory)):
        rows = slice(number * width, (number + 1) * width)
        own = Encoding(prompt.tokens[rows], prompt.mask[rows])
        found = []
        for first in range(0, len(candidates), max(1, _ROWS // width)):
            part = slice(first, first + max(1, _ROWS // width))
            many = len(ids[part])
            # Every question with every candidate of the part, question by question.
            repeated = Encoding(own.tokens.repeat_interleave(many, 0), own.mask.repeat_interleave(many, 0))
            started = module.start(memory[number : number + 1], repeated, width * many)
            each = forced_scores(started, ids[part].repeat(width, 1), mask[part].repeat(width, 1))
            found.append(each.unflatten(0, (width, many)))
        scores.append(torch.cat(found, dim=1))
    return [candidates[best] for best in torch.cat(scores).argmax(dim=1).tolist()]


def plain(answer: str) -> str:
    """An answer as it is compared: lower-case, in single blanks."""
    return " ".join(answer.lower().split())


def build(options: VideoQAOptions) -> VideoQA:
    return VideoQA(options)

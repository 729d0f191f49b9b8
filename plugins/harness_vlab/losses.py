"""VLAB's objectives: contrast, masked words seen from both sides, masked words seen from before.

Losses over words are means over all chosen places of the global batch, and over all answers of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from harness import HarnessError, Options
from harness.models import Encoding, Loss, LossInputs, TextBatch, Vocabulary, Writer
from harness_vlab.masking import hidden_for_training, hide_answer
from harness_vlab.options import AllTasksOptions, UniLMOptions, VlabLossOptions

#: What the draws of a sample are for.
_MLM, _UNI_LM = 1, 2


class VlabLoss(Loss):
    """``L_vtc + L_mlm + L_uni-lm`` (section D of the paper's overview), each with its weight."""

    def __init__(self, options: VlabLossOptions) -> None:
        super().__init__()
        if not (options.vtc or options.mlm or options.uni_lm):
            raise HarnessError(
                "the weights vtc, mlm and uni_lm of VLAB's loss are all 0, so nothing is learned from captions",
                "raise one of them, or choose the loss 'answer' to learn from questions alone",
            )
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        o, terms = self.options, []
        if o.vtc:
            terms.append(o.vtc * contrast(inputs, o.same_clip == "negative"))
        if o.mlm:
            terms.append(o.mlm * words(inputs, o.mlm_ratio, _MLM, causal=False))
        if o.uni_lm:
            terms.append(o.uni_lm * words(inputs, o.uni_lm_ratio, _UNI_LM, causal=True))
        return torch.stack(terms).sum()


class AllTasksLoss(VlabLoss):
    """The same, and the answers to a question about each clip."""

    options: AllTasksOptions

    def forward(self, inputs: LossInputs) -> Tensor:
        return super().forward(inputs) + self.options.answer * answers(inputs)


class UniLMLoss(Loss):
    """Captions alone, masked and seen from before (A18)."""

    def __init__(self, options: UniLMOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        return words(inputs, self.options.ratio, _UNI_LM, causal=True)


class AnswerLoss(Loss):
    """Answers alone, from their questions (A19)."""

    def forward(self, inputs: LossInputs) -> Tensor:
        return answers(inputs)


def contrast(inputs: LossInputs, same_clip_negative: bool) -> Tensor:
    """Symmetric InfoNCE of pooled cosines over the global batch, learned temperature (A8-A10)."""
    logits = inputs.logit_scale * inputs.similarity("text", "video")
    own = torch.arange(len(logits), device=logits.device)
    if not same_clip_negative:
        also_right = inputs.positives.clone()
        also_right[own, own] = False
        logits = logits.masked_fill(also_right, float("-inf"))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def words(inputs: LossInputs, ratio: float, purpose: int, causal: bool) -> Tensor:
    """Cross-entropy of hidden words of the captions, each at its own place."""
    writer, text = _writer(inputs), _texts(inputs, "text")
    hidden, chosen = hidden_for_training(text, ratio, inputs.batch.seeds, purpose, _vocabulary(writer))
    logits = writer.predict(Encoding(hidden, text.mask), chosen, causal=causal)
    return word_loss(logits, text.tokens[chosen], inputs.total)


def answers(inputs: LossInputs) -> Tensor:
    """Cross-entropy of answers given their questions, every word but the first hidden."""
    writer, text = _writer(inputs), _texts(inputs, "answer")
    hidden, chosen = hide_answer(text.tokens, text.mask, _vocabulary(writer))
    prompt = _texts(inputs, "question")
    logits = writer.predict(Encoding(hidden, text.mask), chosen, causal=True, prompt=prompt)
    return answer_loss(logits, text.tokens, chosen, inputs.total)


def word_loss(logits: Tensor, meant: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over all chosen places of the global batch; ``logits [n, V]``, ``meant [n]``."""
    summed = functional.cross_entropy(logits, meant, reduction="sum")
    return total(summed) / total(summed.new_tensor(float(len(meant))))


def answer_loss(logits: Tensor, tokens: Tensor, chosen: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over each answer's chosen places, and then over the answers; ``tokens`` and ``chosen``
    are ``[B, L]``."""
    each = functional.cross_entropy(logits, tokens[chosen], reduction="none")
    shares = 1 / chosen.sum(dim=1).to(each.dtype)
    summed = (each * shares[chosen.nonzero()[:, 0]]).sum()
    return total(summed) / total(summed.new_tensor(float(len(tokens))))


def _writer(inputs: LossInputs) -> Writer:
    assert inputs.writer is not None, "the spec says that the loss generates"
    return inputs.writer


def _vocabulary(writer: Writer) -> Vocabulary:
    assert writer.module.writes.vocabulary is not None
    return writer.module.writes.vocabulary


def _texts(inputs: LossInputs, source: str) -> Encoding:
    texts = inputs.batch.sources[source]
    assert isinstance(texts, TextBatch)
    return _writer(inputs).encoding(texts)


def build(options: VlabLossOptions) -> VlabLoss:
    return VlabLoss(options)


def build_all_tasks(options: AllTasksOptions) -> AllTasksLoss:
    return AllTasksLoss(options)


def build_uni_lm(options: UniLMOptions) -> UniLMLoss:
    return UniLMLoss(options)


def build_answer(options: Options) -> AnswerLoss:
    return AnswerLoss()

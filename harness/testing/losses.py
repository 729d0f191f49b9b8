"""Losses: a finite scalar of the global batch, with finite gradients, the same for any number of workers."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace

import torch

from harness.models import Loss
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.plain import make
from harness.testing.steps import Step, a_few_at_a_time, alone, is_steady, same_for_any_number, sources

PREPARED = "the factory makes a loss"

#: What the engine itself puts into a batch; any other source is a further text, by the data set's name for it.
OWN = ("video", "text", "frame", "question", "answer")
#: So like one of them is a slip: "texts" and "vidoe" are, "context" and "caption" are not.
LIKENESS = 0.8


def prepare(subject: Subject) -> Step:
    make(subject, Loss)
    return Step.of(subject)


def finite(step: Step) -> None:
    """On nine plain samples; and so is every gradient, of which some are not zero."""
    try:
        loss, gradients = alone(step)
    except KeyError as error:
        raise Fault(
            f"it asks for {error}, which it is not given",
            "name what it reads in `sources` of its LossSpec, and of that what is encoded in `features`",
        ) from error
    if not math.isfinite(loss):
        raise Fault(f"the loss of plain samples is {loss}", "look for the log of zero or a division by it")
    bad = [name for name, grad in gradients.items() if not torch.isfinite(grad).all()]
    if bad:
        raise Fault(
            f"the gradient of {bad[0]} is not finite",
            "a root or norm of zero has no gradient: add a little first",
        )
    # The factor on the scores learns from any of them, and teaches nothing.
    if not any(grad.abs().max() > 0 for name, grad in gradients.items() if not name.endswith("logit_scale")):
        raise Fault("no weight gets a gradient", "look for detach(), no_grad() or .item()")


def spelt(step: Step) -> None:
    """No source is nearly one of the engine's own. It is no fault, as a data set may have a text of any name."""
    for source in sources(step):
        near = difflib.get_close_matches(source, OWN, n=1, cutoff=LIKENESS)
        if near and source not in OWN:
            raise NotChecked(
                f"it reads '{source}', a further text that its data set has to have; or was '{near[0]}' meant?"
            )


def repeatable(step: Step) -> None:
    """The same samples have the same loss: what is drawn comes from ``batch.seeds``."""
    if not is_steady(replace(step, training=False)):
        raise Fault(
            "the same samples have another loss the second time",
            "draw from inputs.batch.seeds, a number for each sample, and keep no state",
        )


FORM = (("loss and gradients are finite", finite),)
CHECKS = (
    ("no source looks misspelt", spelt),
    ("the same samples have the same loss", repeatable),
    ("a few samples at a time change nothing", a_few_at_a_time),
    ("the number of workers changes nothing", same_for_any_number),
)

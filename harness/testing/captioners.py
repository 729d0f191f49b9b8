"""Captioners: a sentence for each picture, which depends on no other picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.models import Captioner
from harness.testing import made_up
from harness.testing.kit import Fault, Subject
from harness.testing.plain import make

PREPARED = "the factory makes a captioner"

PICTURES = 3


@dataclass
class Bench:
    captioner: Captioner
    pictures: Tensor

    def say(self, rows: slice = slice(None)) -> list[str]:
        with torch.no_grad():
            return self.captioner.caption(self.pictures[rows])


def prepare(subject: Subject) -> Bench:
    torch.manual_seed(0)
    captioner = make(subject, Captioner).eval()
    return Bench(captioner, made_up.clips(PICTURES, captioner.preprocess.size, frames=1).frames[:, 0])


def form(bench: Bench) -> None:
    """A str for each uint8 picture, and a stated origin of the weights."""
    said = bench.say()
    if not isinstance(said, list) or len(said) != PICTURES or not all(isinstance(text, str) for text in said):
        raise Fault(
            f"{PICTURES} pictures have the captions {said!r}",
            "return a list with a str for each, '' for none",
        )
    if not bench.captioner.pretraining:
        raise Fault("pretraining is empty", "say where the weights come from")


def alone(bench: Bench) -> None:
    """The same words alone and in a batch, and the same ones twice."""
    together = bench.say()
    if together != bench.say():
        raise Fault("the same pictures have other captions the second time", "draw nothing at random")
    if bench.say(slice(1, 2)) != together[1:2]:
        raise Fault("a picture's caption depends on the others of its batch", "treat each row by itself")


FORM = (("every picture has a sentence", form),)
CHECKS = (("a sentence depends on its picture alone", alone),)

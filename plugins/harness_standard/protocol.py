"""What tasks share: what a test was of, when it is none, and how long a text may get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from harness import HarnessError
from harness.data import Clip
from harness.engine import Evaluation
from harness.models import GenerativeModule
from harness.results.protocol import as_used
from harness.results.record import Protocol

Item = TypeVar("Item")


def protocol_of(
    evaluation: Evaluation, texts: Iterable[tuple[str, str, str]], clips: Sequence[str], queries: int
) -> Protocol:
    """The protocol as it was really used; ``texts`` are (text id, text, clip id)."""
    return as_used(evaluation.plan.protocol, texts, clips, queries)


def refuse_all_missing(clips: Sequence[Clip], missing: Mapping[str, str]) -> None:
    """A test without a single clip is none."""
    if len(missing) == len(clips):
        raise HarnessError(
            f"none of the {len(clips)} test clips can be read, the first: {clips[0].id} ({missing[clips[0].id]})",
            "check the data root",
        )


def longest(module: GenerativeModule, wanted: int) -> int:
    """``wanted`` tokens, or as many as the module has room for after the start token."""
    return min(wanted, module.writes.context - 1)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` items, evenly spaced."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]

"""The report of a check, for people."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from harness.testing.kit import Outcome

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-", "not reached": "-"}
_INDENT = " " * 11

#: Nothing is broken but at blanks, so that paths and names can be copied.
_WRAP = textwrap.TextWrapper(
    110, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
)


def lines(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A line for each check as it ends, under its component; at the end the counts. Those of a component that
    were not reached share one line, as they share the reason."""
    plugin = component = unreached = None
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.plugin != plugin:
            plugin = outcome.plugin
            yield plugin
        if (outcome.kind, outcome.name) != component:
            component = (outcome.kind, outcome.name)
            yield f"  {outcome.kind} {outcome.name}"
        counts[outcome.status] += 1
        title = outcome.check
        if outcome.status == "not reached":
            if unreached == component:
                continue
            unreached, title = component, "the other checks are not reached"
        yield f"    {_MARKS[outcome.status]:<6} {title}"
        for said in (outcome.message, outcome.hint and f"-> {outcome.hint}"):
            if said:
                yield _WRAP.fill(said)
    yield ", ".join(f"{counts[status]} {status}" for status in _MARKS if counts[status] or status == "passed")

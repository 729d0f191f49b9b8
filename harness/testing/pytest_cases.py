"""A plugin's own tests: one for each thing that it declares."""

from __future__ import annotations

from collections.abc import Callable

from harness.plugins import registry
from harness.testing.kit import Subject, examine, subjects


def conformance(name: str) -> Callable[[Subject], None]:
    """A pytest test for each component of ``name``: a plugin, a distribution or a component.

    Assign it to a name that begins with ``test_``. A plugin that is not installed is an error of
    collection, with the names that it could have meant.
    """
    import pytest

    found = subjects(registry(), name)

    @pytest.mark.parametrize("subject", found, ids=[subject.label for subject in found])
    def test_conformance(subject: Subject) -> None:
        require(subject)

    return test_conformance


def require(subject: Subject) -> None:
    """Fail the test that calls this with all faults of a subject; skip it where nothing could be checked."""
    import pytest

    outcomes = list(examine(subject))
    faults = [outcome for outcome in outcomes if outcome.status == "failed"]
    if faults:
        told = [f"{o.check}: {o.message}" + (f"\n  {o.hint}" if o.hint else "") for o in faults]
        pytest.fail("\n".join([subject.label, *told]), pytrace=False)
    if all(outcome.status == "skipped" for outcome in outcomes):
        pytest.skip("; ".join(outcome.message for outcome in outcomes))

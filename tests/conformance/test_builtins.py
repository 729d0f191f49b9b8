"""Every component of the built-in plugins, swept by the kit that a stranger's plugin is swept by."""

from __future__ import annotations

import pytest

from harness.plugins import registry
from harness.testing import Subject, subjects
from harness.testing.pytest_cases import require

#: Towers of tens of millions of parameters, and runs: seconds each.
SLOW = {"methods", "tasks", "backbones", "captioners", "datasets"}
#: One of each of those kinds, which is quick.
QUICK = {"tiny", "tiny_coca", "clip4clip_meanp", "retrieval", "shapes", "folder"}


def _cases():
    for plugin in registry().plugins:
        for subject in subjects(registry(), plugin.name):
            if subject.plugin is plugin:
                slow = subject.kind in SLOW and subject.name not in QUICK
                yield pytest.param(subject, id=subject.label, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("subject", _cases())
def test_conformance(subject: Subject):
    """The component keeps every promise of its kind that the kit can check."""
    require(subject)

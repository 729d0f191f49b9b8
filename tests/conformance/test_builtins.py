"""Every component of the built-in plugins, swept by the kit that a stranger's plugin is swept by."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from harness.plugins import registry
from harness.testing import Subject, subjects
from harness.testing.pytest_cases import require

_TRANSFORMERS = find_spec("transformers") is not None

#: Towers of tens of millions of parameters, and runs: seconds each.
SLOW = {"methods", "tasks", "backbones", "captioners", "datasets"}
#: One of each of those kinds, which is quick.
QUICK = {"tiny", "tiny_coca", "clip4clip_meanp", "retrieval", "shapes", "folder"}

#: Components whose tokenizer comes from a package that is not always there.
WANTS_TRANSFORMERS = {"ViT-B-16-SigLIP"}


def _cases():
    for plugin in registry().plugins:
        for subject in subjects(registry(), plugin.name):
            if subject.plugin is plugin:
                slow = subject.kind in SLOW and subject.name not in QUICK
                marks = [pytest.mark.slow] if slow else []
                if subject.name in WANTS_TRANSFORMERS:
                    marks.append(
                        pytest.mark.skipif(not _TRANSFORMERS, reason="transformers is not installed")
                    )
                yield pytest.param(subject, id=subject.label, marks=marks)


@pytest.mark.parametrize("subject", _cases())
def test_conformance(subject: Subject):
    """The component keeps every promise of its kind that the kit can check."""
    require(subject)

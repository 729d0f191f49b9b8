"""The annotation files that are in circulation, for the tests that count what is in them.

They are their owners' and no part of the project; a test that has none of them says so and is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def published(dataset: str) -> Path:
    """The folder of a data set's annotation files, below the folder in HARNESS_ANNOTATIONS."""
    folder = os.environ.get("HARNESS_ANNOTATIONS")
    if not folder:
        pytest.skip("HARNESS_ANNOTATIONS does not name the folder of the published annotation files")
    return Path(folder) / dataset

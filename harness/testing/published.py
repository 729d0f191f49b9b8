"""Published results: every row is read strictly, and names what the plugin's readers can look up."""

from __future__ import annotations

from harness.plan.yaml_io import locate
from harness.results import published
from harness.testing.kit import Fault, Subject

PREPARED = "its rows are well-formed"


def prepare(subject: Subject) -> dict:
    return published.read(*locate(subject.spec.rows, published.WHAT))


def sourced(rows: dict) -> None:
    """Each says where its figures stand."""
    silent = [name for name, record in rows.items() if not record.source]
    if silent:
        raise Fault(f"without a source: {', '.join(silent)}", "source: the paper, and its table")


CHECKS = (("every row has a source", sourced),)

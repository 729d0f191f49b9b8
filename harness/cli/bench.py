"""`harness bench`: how fast the parts are, as ratios measured side by side in one run."""

from __future__ import annotations

import click


@click.group()
def bench() -> None:
    """Measure a part of the harness against a reference, in one run."""

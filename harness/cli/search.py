"""`harness search`: rank a folder of videos by a sentence."""

from __future__ import annotations

import click


@click.command()
def search() -> None:
    """Rank a folder of videos by a sentence."""

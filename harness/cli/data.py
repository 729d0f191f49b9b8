"""`harness data`: look at a data set, prepare it, convert it, make a miniature of it."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import FOLDER, RECIPE, options_of

_ROOT = options_of(
    click.option("--data-root", metavar="DIR", help="Folder of the data set. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--annotations", default="", metavar="DIR", help="Folder of the annotation files, where they lie apart from the videos."),
)  # fmt: skip


@click.group()
def data() -> None:
    """Look at a data set, prepare it, convert it, or make a miniature of it."""

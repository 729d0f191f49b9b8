"""`harness new plugin`: a distribution to start from."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import FOLDER


@click.group()
def new() -> None:
    """Start something of your own."""


@new.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["temporal", "loss", "backbone", "dataset", "task", "method"]),
    required=True,
    help="What it adds; all but a data set and a task come with a method that uses it.",
)
@click.option(
    "--to",
    type=FOLDER,
    default=None,
    metavar="DIR",
    help="The folder to make, which must not exist. Default: harness-NAME here.",
)
def plugin(name: str, kind: str, to: Path | None) -> None:
    """Write a complete distribution NAME that installs, passes its own tests and can be run at once."""
    from harness.plugins import registry
    from harness.scaffold import plugin as scaffold

    folder = to or Path(f"harness-{name.replace('_', '-')}")
    for path in scaffold.create(name, kind, folder, registry()):
        click.echo(f"wrote {path}")
    click.echo(f"next: pip install -e {folder} && harness check {name}")
    click.echo(f"then: {scaffold.TRY[kind].format(name=name)}")

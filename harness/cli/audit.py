"""`harness audit`: do the leaderboards follow from their records, and the records from their counts?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.shared import leaderboards_option
from harness.errors import HarnessError


@click.command()
@leaderboards_option("Where records and tables are.")
@click.option(
    "--full",
    is_flag=True,
    help="Also draw bootstrap intervals again, and hold the published rows against the installed plugins'.",
)
def audit(leaderboards: Path, full: bool) -> None:
    """Compute every figure of every record again from its counts, and check digests and tables.

    Needs no GPU, no model and no video, and changes nothing. Each mismatch is a line with its file
    and figure, and the exit code is then 1. Rows whose method has another recipe by now are said to be
    stale, and what cannot be computed again is listed; neither is a mismatch.
    """
    from harness.plugins import registry
    from harness.results import audit as auditing

    if not leaderboards.is_dir():
        raise HarnessError(
            f"no leaderboards in {leaderboards}", "pass --leaderboards DIR, or run a method first"
        )
    done = auditing.audit(leaderboards, registry(), full=full)
    for line in done.remark_lines():
        click.echo(line)
    for problem in done.problems:
        click.echo(problem, err=True)
    if done.problems:
        sys.exit(1)
    click.echo(f"{done.records} records, {done.figures} figures, all follow from their counts")

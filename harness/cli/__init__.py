"""The command line. Commands only: everything heavy is imported inside them."""

from __future__ import annotations

import click

from harness.cli.audit import audit
from harness.cli.bench import bench
from harness.cli.caption import caption
from harness.cli.check import check
from harness.cli.compare import compare
from harness.cli.data import data
from harness.cli.export import export
from harness.cli.imports import import_scores
from harness.cli.new import new
from harness.cli.probe import probe
from harness.cli.prove import prove
from harness.cli.report import report
from harness.cli.runs import ablate, evaluate, run
from harness.cli.schema import schema
from harness.cli.search import search
from harness.cli.shared import Group
from harness.cli.tables import curves, describe, leaderboard, list_, plugins


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="video-text-harness")
def main() -> None:
    """Train, score and compare text-video methods.

    `harness run --method NAME --dataset NAME` trains a method and scores it; `harness list` shows
    what there is, `harness describe NAME` more of it.
    """


for command in (
    run,
    ablate,
    prove,
    evaluate,
    probe,
    export,
    search,
    data,
    caption,
    bench,
    list_,
    describe,
    plugins,
    new,
    schema,
    check,
    import_scores,
    leaderboard,
    compare,
    audit,
    curves,
    report,
):
    main.add_command(command)

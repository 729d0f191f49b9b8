"""`harness probe`: does a model see time?"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import CLIPS, PLACES, SCORING


@click.command()
@click.argument("folder", type=Path, metavar="RUN")
@click.option("--dataset", default="", metavar="NAME", help="Another data set that the run was evaluated on.")
@click.option("--task", default="", metavar="NAME", help="Another task that it was evaluated on.")
@CLIPS
@SCORING
@PLACES
def probe(folder, leaderboards, runs, workers, as_json, **asked) -> None:
    """Score a finished run with the test clips' frames shuffled, reversed, and the middle one alone.

    The scores are added to the run's record. Of the clip's middle frame as many copies are given as the
    clip had frames. First the run is scored as it was, and refused if that gives other counts. With
    options the record is that of `harness evaluate RUN` with the same options.
    """
    from harness.engine.execute import default_workers
    from harness.engine.probe import probe_run
    from harness.engine.run import Places
    from harness.plugins import registry
    from harness.results.probes import probe_table
    from harness.results.record_file import dumps

    workers = default_workers() if workers is None else workers
    record = probe_run(folder, asked, registry(), Places(runs, leaderboards), workers)
    click.echo(dumps(record) if as_json else probe_table([record]), nl=not as_json)

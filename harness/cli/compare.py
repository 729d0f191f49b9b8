"""`harness compare`: runs against a first one, query by query."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import FOLDER


@click.command()
@click.argument("first", metavar="A")
@click.argument("others", nargs=-1, required=True, metavar="B [C ...]")
@click.option(
    "--dataset", default="", metavar="NAME", help="Of a method named, take the results on this data set."
)
@click.option("--task", default="", metavar="NAME", help="Of a method named, take the results of this task.")
@click.option(
    "--direction",
    type=click.Choice(["both", "t2v", "v2t"]),
    default="both",
    show_default=True,
    help="Text to video, video to text, or both.",
)
@click.option(
    "--leaderboards",
    type=FOLDER,
    default=Path("leaderboards"),
    show_default=True,
    metavar="DIR",
    help="Where the records of a method named are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def compare(first, others, dataset, task, direction, leaderboards, as_json) -> None:
    """Is B better than A? Paired differences with intervals and p-values.

    A and each of the others are a record file, a run folder, METHOD (all of its seeds) or METHOD:SEED.
    They must have been asked the same queries under the same rules.
    """
    from harness.results.compare import to_json
    from harness.results.compare_table import report
    from harness.results.digest import readable_json
    from harness.results.record import DIRECTIONS
    from harness.results.sides import Finder

    finder = Finder(leaderboards, dataset, task)
    sides = [finder.find(given) for given in (first, *others)]
    directions = DIRECTIONS if direction == "both" else (direction,)
    if as_json:
        click.echo(readable_json(to_json(sides, directions)), nl=False)
    else:
        click.echo(report(sides, directions))

"""`harness compare`: runs against a first one, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.shared import AS_JSON, FOLDER, PAGE, leaderboards_option
from harness.errors import HarnessError


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
@leaderboards_option("Where the records of a method named are.")
@click.option(
    "--atlas",
    type=PAGE,
    default=None,
    metavar="FILE",
    help="Of two run folders, also show in a page the queries that only one of them solves.",
)
@click.option(
    "--data-root",
    type=FOLDER,
    default=None,
    metavar="DIR",
    help="For --atlas: where the videos are, if not where the runs found them.",
)
@AS_JSON
def compare(first, others, dataset, task, direction, leaderboards, atlas, data_root, as_json) -> None:
    """Is B better than A? Paired differences with intervals and p-values.

    A and each of the others are a record file, a run folder, METHOD (all of its seeds) or METHOD:SEED.
    They must have been asked the same queries under the same rules.
    """
    from harness.results.compare import to_json
    from harness.results.compare_table import report
    from harness.results.digest import readable_json
    from harness.results.record import DIRECTIONS
    from harness.results.sides import Finder

    if atlas is not None:
        check_atlas(first, others)
    elif data_root is not None:
        raise HarnessError("--data-root is for the pictures of an atlas", "add --atlas FILE, or leave it out")
    finder = Finder(leaderboards, dataset, task)
    sides = [finder.find(given) for given in (first, *others)]
    directions = DIRECTIONS if direction == "both" else (direction,)
    shown = readable_json(to_json(sides, directions)) if as_json else report(sides, directions)
    if atlas is not None:  # before anything is shown, as it may be refused
        write_atlas(atlas, Path(first), Path(others[0]), str(data_root or ""))
    click.echo(shown, nl=not as_json)


def check_atlas(first: str, others: Sequence[str]) -> None:
    """An atlas is of two run folders: a record knows ranks, not what was retrieved."""
    if len(others) != 1:
        raise HarnessError(f"an atlas is of two runs, not of {1 + len(others)}", "give A and one B")
    for given in (first, *others):
        if not Path(given).is_dir():
            raise HarnessError(
                f"{given} is no run folder, and a record alone does not say what was retrieved",
                "give the folder of the run, which holds record.json and retrieved.json",
            )


def write_atlas(path: Path, first: Path, other: Path, data_root: str) -> None:
    """Write the page of two run folders; the videos are those of the first one, else of the other."""
    from harness.engine.progress import say
    from harness.plugins import registry
    from harness.report.atlas import atlas, check_sides
    from harness.report.folder import open_folder, pictures_of
    from harness.report.page import write_page

    a, b = open_folder(first), open_folder(other)
    check_sides(a, b)
    pictures, without = pictures_of(a, data_root, registry())
    if without:
        pictures, without = pictures_of(b, data_root, registry())
    write_page(path, atlas(a, b, pictures, without))
    say(f"wrote {path}" + (f" without pictures: {without}" if without else ""))

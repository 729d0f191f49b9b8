"""What there is and what came out: `list`, `describe`, `plugins`, `leaderboard`, `curves`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.shared import FOLDER, leaderboards_option
from harness.errors import HarnessError


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
def list_(kind: str | None) -> None:
    """List methods, datasets, backbones and every other kind of component."""
    from harness.listing import listing
    from harness.plugins import registry

    click.echo(listing(registry(), kind))


@click.command()
@click.argument("name")
@click.option("--dataset", default="", metavar="NAME", help="Resolve a method's recipe for this data set.")
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
def describe(name: str, dataset: str, settings: tuple[str, ...]) -> None:
    """Everything about one component; for a method, its resolved recipe and where each value is from."""
    from harness.listing import description
    from harness.plugins import registry

    click.echo(description(registry(), name, dataset, settings))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print all of it, with the components, as JSON.")
def plugins(as_json: bool) -> None:
    """The installed plugins, and what is wrong with those that do not load.

    \b
    HARNESS_PLUGINS=PATH:MODULE   loads more: .py files, package folders, modules
    HARNESS_DISABLE_PLUGINS=NAME  leaves plugins out
    HARNESS_TRACE_PLUGINS=1       shows on standard error what is loaded and called, with times
    """
    from harness.listing import plugin_listing, plugin_table
    from harness.plugins import registry
    from harness.results.digest import readable_json

    found = registry()
    click.echo(readable_json(plugin_table(found)) if as_json else plugin_listing(found), nl=not as_json)


@click.command()
@leaderboards_option("Where records and tables are.")
@click.option(
    "--check", is_flag=True, help="Change nothing; fail when a table does not follow from its records."
)
@click.option(
    "--html",
    type=FOLDER,
    is_flag=False,
    flag_value="site",
    default=None,
    metavar="[DIR]",
    help="Also write the tables as web pages that sort by a click, into DIR, or else into site.",
)
def leaderboard(leaderboards: Path, check: bool, html: Path | None) -> None:
    """Copy the published results of the installed plugins, and regenerate all tables."""
    from harness.plugins import registry
    from harness.results import leaderboard as tables
    from harness.results import published

    if not leaderboards.is_dir():
        raise HarnessError(
            f"no leaderboards in {leaderboards}", "pass --leaderboards DIR, or run a method first"
        )
    if check and html is not None:
        raise HarnessError("--check changes nothing and --html writes pages", "give one of them")
    if check:
        problems = tables.check(leaderboards)
        for problem in problems:
            click.echo(problem, err=True)
        if problems:
            sys.exit(1)
        click.echo("every table follows from its records")
        return
    for path in [*published.export(registry(), leaderboards), *tables.write_all(leaderboards)]:
        click.echo(f"wrote {path}")
    if html is not None:
        from harness.report.site import write_site

        pages = {path.name: text for path, text in tables.regenerate(leaderboards).items()}
        written = write_site(html, pages)
        click.echo(f"wrote {len(written)} files; open {html / 'index.html'}")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="[LABEL=]RUN ...")
@click.option(
    "--value",
    type=click.Choice(["loss", "grad_norm", "lr"]),
    default="loss",
    show_default=True,
    help="What is drawn.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("curves.svg"),
    show_default=True,
    metavar="FILE",
    help="Where the SVG goes.",
)
@click.option(
    "--mean-of",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Steps that a point is the mean of. Default: a fortieth of the longest run.",
)
@click.option(
    "--title", default="", metavar="TEXT", help="Title of the picture, for readers who cannot see it."
)
def curves(runs: tuple[str, ...], value: str, picture: Path, mean_of: int, title: str) -> None:
    """Draw the training curves of runs, over their steps, into one picture."""
    from harness.results import curves as drawing
    from harness.results.atomic import write_atomically

    found = [drawing.read_curve(run, value) for run in runs]
    write_atomically(picture, drawing.picture(found, value, title, mean_of), "give another --picture")
    click.echo(drawing.summary(found, value))
    click.echo(f"wrote {picture}")

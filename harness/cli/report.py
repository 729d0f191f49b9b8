"""`harness report`: a run as one page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import FOLDER, PAGE


@click.command()
@click.argument("run", type=Path, metavar="RUN")
@click.option(
    "--out", type=PAGE, default=None, metavar="FILE", help="Where the page goes. Default: RUN/report.html."
)
@click.option("--data-root", type=FOLDER, default=None, metavar="DIR", help="Where the videos are, if not where the run found them.")  # fmt: skip
def report(run: Path, out: Path | None, data_root: Path | None) -> None:
    """Make one HTML page of a run folder: scores, ranks, learning curves, and the hardest queries with
    pictures of what was retrieved.

    The page needs no network and no other file.
    """
    from harness.plugins import registry
    from harness.report.folder import open_folder, pictures_of
    from harness.report.page import write_page
    from harness.report.run_page import run_page

    opened = open_folder(run)
    pictures, without = pictures_of(opened, str(data_root or ""), registry())
    path = out or run / "report.html"
    write_page(path, run_page(opened, pictures, without))
    click.echo(f"wrote {path}" + (f" without pictures: {without}" if without else ""))

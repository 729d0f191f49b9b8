"""What several commands share: options, and how an error of the user's is shown."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import HarnessError


class Group(click.Group):
    """Turns a :class:`HarnessError` of any command into one line and exit code 2."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error.message}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            ctx.exit(2)


def options_of(*options):
    def decorate(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


#: A folder that need not exist yet; a file in its place is refused before any work.
FOLDER = click.Path(file_okay=False, path_type=Path)

#: A file that a page is written to.
PAGE = click.Path(dir_okay=False, path_type=Path)


def leaderboards_option(what: str):
    """``--leaderboards``; ``what`` says what the command does with the folder."""
    return click.option(
        "--leaderboards",
        type=FOLDER,
        default=Path("leaderboards"),
        show_default=True,
        metavar="DIR",
        help=what,
    )


AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output."
)

PLACES = options_of(
    leaderboards_option("Where records and tables go."),
    click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, metavar="DIR", help="Where run folders (plan, log, checkpoint) go."),
    click.option("--workers", type=click.IntRange(min=0), default=None, metavar="N", help="Worker processes under Ray; 0 runs in this process. Default: one per GPU, 0 with one GPU or none."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else, on standard output."),
)  # fmt: skip

#: What decides which clips are read, and how.
CLIPS = options_of(
    click.option("--data-root", "data_roots", multiple=True, metavar="[NAME=]DIR", help="Folder of the data set, with its name for another one that a stage trains on. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--annotations", default="", metavar="DIR", help="Folder of the annotation files, where they lie apart from the videos."),
    click.option("--backbone", default="", metavar="NAME", help="Another image-text tower."),
    click.option("--weights", default="", metavar="FILE", help="Local weights for the backbone."),
    click.option("--protocol", default="", metavar="NAME", help="Another protocol of the data set."),
    click.option("--recipe", "recipes", multiple=True, metavar="FILE|NAME", help="A recipe laid over the method's own: a file, or one of its variants (`harness describe METHOD`); may be given often."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change one recipe value; may be given often."),
)  # fmt: skip

RECIPE = options_of(
    CLIPS,
    click.option("--task", default="retrieval", show_default=True, metavar="NAME", help="What to score."),
    click.option("--cache/--no-cache", "use_cache", default=True, show_default=True, help="Keep decoded frames on disk."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."),
)  # fmt: skip

#: How test scores are counted.
SCORING = options_of(
    click.option("--post", "postprocess", default="", metavar="NAME", help="Post-processing of test scores."),
    click.option("--allow-missing", type=click.Choice(["worst", "drop"]), help="What becomes of test clips that cannot be read: the worst rank (default), or out of the test, which puts the row into a table of its own."),
)  # fmt: skip

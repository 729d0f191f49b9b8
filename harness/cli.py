"""The command line. Commands only: everything heavy is imported inside them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.errors import HarnessError


class _Group(click.Group):
    """Turns a :class:`HarnessError` of any command into one line and exit code 2."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error.message}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="video-text-harness")
def main() -> None:
    """Train, score and compare text-video methods.

    `harness run --method NAME --dataset NAME` trains a method and scores it; `harness list` shows
    what there is, `harness describe NAME` more of it.
    """


def _options(*options):
    def decorate(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


#: A folder that need not exist yet; a file in its place is refused before any work.
_FOLDER = click.Path(file_okay=False, path_type=Path)

_PLACES = _options(
    click.option("--leaderboards", type=_FOLDER, default=Path("leaderboards"), show_default=True, metavar="DIR", help="Where records and tables go."),
    click.option("--runs", type=_FOLDER, default=Path("runs"), show_default=True, metavar="DIR", help="Where run folders (plan, log, checkpoint) go."),
    click.option("--workers", type=click.IntRange(min=0), default=None, metavar="N", help="Worker processes under Ray; 0 runs in this process. Default: one per GPU, 0 with one GPU or none."),
    click.option("--json", "as_json", is_flag=True, help="Print the record, and nothing else, on standard output."),
)  # fmt: skip

_RECIPE = _options(
    click.option("--data-root", metavar="DIR", help="Folder of the data set. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--backbone", default="", metavar="NAME", help="Another image-text tower."),
    click.option("--weights", default="", metavar="FILE", help="Local weights for the backbone."),
    click.option("--protocol", default="", metavar="NAME", help="Another protocol of the data set."),
    click.option("--task", default="retrieval", show_default=True, metavar="NAME", help="What to score."),
    click.option("--recipe", "recipe_file", default="", metavar="FILE", help="A recipe laid over the method's own."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change one recipe value; may be given often."),
    click.option("--cache/--no-cache", "use_cache", default=True, show_default=True, help="Keep decoded frames on disk."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."),
)  # fmt: skip


@main.command()
@click.option("--method", required=True, metavar="NAME", help="What to train; see `harness list methods`.")
@click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    help="What to train and score on; see `harness list datasets`.",
)
@_RECIPE
@click.option("--post", "postprocess", default="", metavar="NAME", help="Post-processing of test scores.")
@_PLACES
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also keep a checkpoint every N steps (always one per epoch).",
)
@click.option("--dry-run", is_flag=True, help="Show plan, work and cost; train nothing.")
def run(leaderboards, runs, workers, as_json, resume, checkpoint_every, dry_run, **asked) -> None:
    """Train a method, score it, record it, refresh the leaderboard."""
    from harness.plan.plan import Request, build_plan
    from harness.plugins import registry

    plan, layers = build_plan(Request(**asked), registry())
    if dry_run:
        from harness.engine.dry_run import preview

        click.echo(preview(plan, layers, registry()))
        return
    from harness.engine import run as engine
    from harness.engine.execute import default_workers

    record = engine.run(
        plan,
        registry(),
        engine.Places(runs, leaderboards),
        workers=default_workers() if workers is None else workers,
        resume=resume,
        checkpoint_every=checkpoint_every,
    )
    _show(record, as_json)


@main.command()
@click.argument("checkpoint", type=Path, metavar="RUN|FILE")
@click.option("--dataset", required=True, metavar="NAME", help="What to score on.")
@click.option(
    "--method",
    default="",
    metavar="NAME",
    help="The method of a checkpoint FILE (a run folder knows its own).",
)
@_RECIPE
@click.option("--post", "postprocess", default="", metavar="NAME", help="Post-processing of test scores.")
@_PLACES
def evaluate(checkpoint, leaderboards, runs, workers, as_json, method, **asked) -> None:
    """Score an existing checkpoint; it gets a record of its own."""
    from harness.engine.evaluate import evaluate_checkpoint
    from harness.engine.execute import default_workers
    from harness.engine.run import Places
    from harness.plugins import registry

    record = evaluate_checkpoint(
        checkpoint,
        method,
        asked,
        registry(),
        Places(runs, leaderboards),
        default_workers() if workers is None else workers,
    )
    _show(record, as_json)


@main.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
def list_(kind: str | None) -> None:
    """List methods, datasets, backbones and every other kind of component."""
    from harness.listing import listing
    from harness.plugins import registry

    click.echo(listing(registry(), kind))


@main.command()
@click.argument("name")
@click.option("--dataset", default="", metavar="NAME", help="Resolve a method's recipe for this data set.")
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
def describe(name: str, dataset: str, settings: tuple[str, ...]) -> None:
    """Everything about one component; for a method, its resolved recipe and where each value is from."""
    from harness.listing import description
    from harness.plugins import registry

    click.echo(description(registry(), name, dataset, settings))


@main.command()
def plugins() -> None:
    """The installed plugins, and what is wrong with those that do not load."""
    from harness.listing import plugin_listing
    from harness.plugins import registry

    click.echo(plugin_listing(registry()))


@main.command()
@click.option(
    "--leaderboards",
    type=_FOLDER,
    default=Path("leaderboards"),
    show_default=True,
    metavar="DIR",
    help="Where records and tables are.",
)
@click.option(
    "--check", is_flag=True, help="Change nothing; fail when a table does not follow from its records."
)
def leaderboard(leaderboards: Path, check: bool) -> None:
    """Regenerate all tables from the records."""
    from harness.results import leaderboard as tables

    if not leaderboards.is_dir():
        raise HarnessError(
            f"no leaderboards in {leaderboards}", "pass --leaderboards DIR, or run a method first"
        )
    if check:
        problems = tables.check(leaderboards)
        for problem in problems:
            click.echo(problem, err=True)
        if problems:
            sys.exit(1)
        click.echo("every table follows from its records")
        return
    for path in tables.write_all(leaderboards):
        click.echo(f"wrote {path}")


def _show(record, as_json: bool) -> None:
    from harness.results import table
    from harness.results.record import dumps

    click.echo(dumps(record) if as_json else table.summary(record), nl=not as_json)

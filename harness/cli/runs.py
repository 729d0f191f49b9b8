"""`harness run`, `harness ablate` and `harness evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import PLACES, RECIPE, SCORING, options_of

_MICRO_BATCH = click.option(
    "--micro-batch",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Encode so many samples at once in training, in the memory of so many, with the gradient of the whole batch.",
)


_PARALLEL = options_of(
    click.option("--parallel", type=click.IntRange(min=1), default=None, metavar="N", help="Run so many cells of a grid at once, each a process that Ray places. Default: what there is room for on a Ray cluster or several GPUs, else one after the other."),
    click.option("--resources", default="", metavar="cpu=1,gpu=1", help="What a cell of a grid takes of a Ray node. Default: a GPU, or a core where there is none."),
    click.option("--address", default="", metavar="ADDR", help="Run the cells of a grid on this Ray cluster (else RAY_ADDRESS). --runs and --leaderboards must lie where all of its nodes have them."),
)  # fmt: skip


@click.command()
@click.option("--method", required=True, metavar="A[,B]", help="What to train; see `harness list methods`.")
@click.option(
    "--dataset",
    required=True,
    metavar="X[,Y]",
    help="What to train and score on; see `harness list datasets`.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="A.B=V,V",
    help="Run with each of these values of a recipe value; given often, with all combinations. With several methods, data sets, values or seeds, runs with a record in their run folder are not made again and interrupted ones go on.",
)
@click.option(
    "--budget",
    default="",
    metavar="frames=N|time=T",
    help="Train until so many frames were seen (2M) or so much time has passed (30m), whatever the recipe's epochs. Runs by time are not reproducible to the bit.",
)
@_PARALLEL
@RECIPE
@SCORING
@PLACES
@click.option(
    "--init-from",
    default="",
    metavar="FILE",
    help="Start the whole model from a file: another run's model.safetensors, or a checkpoint of a known format.",
)
@click.option(
    "--zero-shot",
    is_flag=True,
    help="Train on nothing of the data set: stages on other data stay, the rest is left out.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the run folder's checkpoint. The runs of a grid do so without being asked.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also keep a checkpoint every N steps (always one per epoch).",
)
@_MICRO_BATCH
@click.option(
    "--train-fraction",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=None,
    metavar="F",
    help="Train on this share of the data set's clips, with as many steps as on all of them.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run with so many seeds, from --seed on, and show the mean.",
)
@click.option(
    "--probes",
    is_flag=True,
    help="Also score it with frames shuffled, reversed, and the middle one alone, as `harness probe`.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show plan, work and cost, of a grid what there is of each run; train nothing.",
)
def run(
    leaderboards,
    runs,
    workers,
    as_json,
    resume,
    checkpoint_every,
    micro_batch,
    seeds,
    probes,
    dry_run,
    **asked,
) -> None:
    """Train a method, score it, record it, refresh the leaderboard.

    Of several methods, data sets, values or seeds every combination is a run, in a process of its own.
    """
    from harness.plan import grid
    from harness.plan.plan import Request, build_plan
    from harness.plugins import registry

    methods = grid.names_of(asked.pop("method"), "methods", registry())
    datasets = grid.names_of(asked.pop("dataset"), "datasets", registry())
    axes = [grid.axis_of(text) for text in asked.pop("grid")]
    place = {name: asked.pop(name) for name in ("parallel", "resources", "address")}
    request = Request(method=methods[0], dataset=datasets[0], **asked)
    how = {"micro_batch": micro_batch or 0, "checkpoint_every": checkpoint_every, "probes": probes}
    if axes or len(methods) * len(datasets) * seeds > 1 or any(place.values()):
        cells = grid.cells_of(request, methods, datasets, axes, seeds, registry())
        if dry_run:
            _preview(cells, runs, leaderboards, probes)
        else:
            made = fill(cells, runs, leaderboards, workers, how, **place)
            _show_all(*made, as_json)
        return
    plan, layers = build_plan(request, registry())
    from harness.engine.execute import default_workers

    workers = default_workers() if workers is None else workers
    if dry_run:
        from harness.engine.dry_run import preview

        click.echo(preview(plan, layers, registry(), workers))
        return
    from harness.engine import run as engine

    where = engine.Places(runs, leaderboards)
    _show(engine.run(plan, registry(), where, workers=workers, resume=resume, **how), as_json)


@click.command()
@click.argument("method", metavar="METHOD")
@click.argument("name", metavar="ABLATION")
@click.option("--dataset", required=True, metavar="NAME", help="What to train and score on.")
@RECIPE
@SCORING
@PLACES
@_PARALLEL
@_MICRO_BATCH
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run each part with so many seeds, from --seed on, and show means and differences.",
)
def ablate(
    leaderboards, runs, workers, as_json, name, micro_batch, seeds, parallel, resources, address, **asked
) -> None:
    """Run a method once for each part of an ablation (`harness describe METHOD` names them).

    What has a record in its run folder is not run again, and what was interrupted goes on.
    """
    from harness.engine import ablation
    from harness.plan.plan import Request
    from harness.plugins import registry
    from harness.results.record_file import dumps

    plans = ablation.plans_of(Request(**asked), name, registry(), seeds)
    entries, filled = fill(
        plans, runs, leaderboards, workers, {"micro_batch": micro_batch or 0}, parallel, resources, address
    )
    if as_json:
        click.echo("".join(dumps(made.record) for made in filled.made.values()), nl=False)
    elif not filled.failed:
        click.echo(ablation.summary(ablation.parts_made(entries, filled)))
    _end_with(filled)


@click.command()
@click.argument("checkpoint", type=Path, metavar="RUN|FILE")
@click.option("--dataset", required=True, metavar="NAME", help="What to score on.")
@click.option(
    "--method",
    default="",
    metavar="NAME",
    help="The method of a checkpoint FILE (a run folder knows its own).",
)
@RECIPE
@SCORING
@PLACES
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


def fill(cells, runs, leaderboards, workers, how, parallel=None, resources="", address=""):
    """Make the runs of a grid that are not made yet: what there was of each cell, and what came of it."""
    from harness.engine import grid
    from harness.engine.execute_grid import needs_of, placed
    from harness.engine.run import Places
    from harness.plugins import registry

    where, needs = Places(runs, leaderboards), needs_of(resources)
    entries = grid.survey(cells, registry(), where, make=True, probes=how.get("probes", False))
    with placed(parallel, address, needs, workers) as (placement, count, cluster):
        filled = grid.fill(entries, where, grid.How(workers=count, address=cluster, **how), placement)
    return entries, filled


def _preview(cells, runs, leaderboards, probes) -> None:
    from harness.engine import grid
    from harness.engine.run import Places
    from harness.plugins import registry

    where = Places(runs, leaderboards)
    click.echo(grid.plan_table(grid.survey(cells, registry(), where, make=False, probes=probes)))


def _show_all(entries, filled, as_json: bool) -> None:
    """The means of several seeds, with their spread, or every record; what failed, and exit code 1 if any."""
    from harness.engine import grid
    from harness.results.record_file import dumps

    if as_json:
        click.echo("".join(dumps(made.record) for made in filled.made.values()), nl=False)
    else:
        click.echo(grid.table(entries, filled))
        for row, records in grid.rows_made(entries, filled).items():
            _show_probes(records, row)
    _end_with(filled)


def _end_with(filled) -> None:
    if filled.failed:
        from harness.engine import grid

        click.echo(grid.failures(filled), err=True)
        click.get_current_context().exit(1)


def _show(record, as_json: bool) -> None:
    from harness.results import table
    from harness.results.record_file import dumps

    click.echo(dumps(record) if as_json else table.summary(record), nl=not as_json)
    if not as_json:
        _show_probes([record])


def _show_probes(records, row: str = "") -> None:
    """The table of the probes, where all of the records have them."""
    from harness.results.probes import probe_table

    if records and all(record.probes for record in records):
        click.echo(f"\n{row}\n\n{probe_table(records)}" if row else f"\n{probe_table(records)}")

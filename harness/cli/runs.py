"""`harness run`, `harness ablate` and `harness evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import PLACES, RECIPE, SCORING

_MICRO_BATCH = click.option(
    "--micro-batch",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Encode so many samples at once in training, in the memory of so many, with the gradient of the whole batch.",
)


@click.command()
@click.option("--method", required=True, metavar="NAME", help="What to train; see `harness list methods`.")
@click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    help="What to train and score on; see `harness list datasets`.",
)
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
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
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
    help="Train on this share of the clips, with as many steps as on all of them.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run with so many seeds, from --seed on, and show the mean. Of several, one with a record in its run folder is not run again.",
)
@click.option(
    "--probes",
    is_flag=True,
    help="Also score it with frames shuffled, reversed, and the middle one alone, as `harness probe`.",
)
@click.option("--dry-run", is_flag=True, help="Show plan, work and cost; train nothing.")
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
    """Train a method, score it, record it, refresh the leaderboard."""
    from dataclasses import replace

    from harness.plan.plan import Request, build_plan
    from harness.plugins import registry

    request = Request(**asked)
    plan, layers = build_plan(request, registry())
    from harness.engine.execute import default_workers

    workers = default_workers() if workers is None else workers
    if dry_run:
        from harness.engine.dry_run import preview

        click.echo(preview(plan, layers, registry(), workers))
        if seeds > 1:
            last = request.seed + seeds - 1
            click.echo(f"{seeds} such runs, with the seeds {request.seed} to {last}, one after the other")
        return
    from harness.engine import run as engine

    where = engine.Places(runs, leaderboards)
    how = {"workers": workers, "resume": resume, "checkpoint_every": checkpoint_every}
    how |= {"micro_batch": micro_batch or 0, "probes": probes}
    if seeds == 1:
        _show(engine.run(plan, registry(), where, **how), as_json)
        return
    from harness.engine import several

    plans = {
        f"seed {seed}": build_plan(replace(request, seed=seed), registry())[0]
        for seed in range(request.seed, request.seed + seeds)
    }
    made = several.run_each(plans, registry(), where, what=plan.method, **how)
    _show_all(plan.method, list(made.values()), as_json)


@click.command()
@click.argument("method", metavar="METHOD")
@click.argument("name", metavar="ABLATION")
@click.option("--dataset", required=True, metavar="NAME", help="What to train and score on.")
@RECIPE
@SCORING
@PLACES
@_MICRO_BATCH
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run each part with so many seeds, from --seed on, and show means and differences.",
)
def ablate(leaderboards, runs, workers, as_json, name, micro_batch, seeds, **asked) -> None:
    """Run a method once for each part of an ablation (`harness describe METHOD` names them).

    What has a record in its run folder is not run again.
    """
    from harness.engine import ablation
    from harness.engine.execute import default_workers
    from harness.engine.run import Places
    from harness.plan.plan import Request
    from harness.plugins import registry
    from harness.results.record import dumps

    cells = ablation.ablate(
        Request(**asked),
        name,
        registry(),
        Places(runs, leaderboards),
        workers=default_workers() if workers is None else workers,
        micro_batch=micro_batch or 0,
        seeds=seeds,
    )
    if as_json:
        click.echo("".join(dumps(record) for cell in cells for record in cell.records), nl=False)
    else:
        click.echo(ablation.summary(cells))


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


def _show_all(method: str, made, as_json: bool) -> None:
    """The means of several seeds, with their spread, or every record."""
    from harness.engine import ablation
    from harness.results.record import dumps

    if as_json:
        click.echo("".join(dumps(one.record) for one in made), nl=False)
    else:
        click.echo(ablation.summary([ablation.cell_of(method, made)]))
        _show_probes([one.record for one in made])


def _show(record, as_json: bool) -> None:
    from harness.results import table
    from harness.results.record import dumps

    click.echo(dumps(record) if as_json else table.summary(record), nl=not as_json)
    if not as_json:
        _show_probes([record])


def _show_probes(records) -> None:
    """The table of the probes, where all of the records have them."""
    from harness.results.probes import probe_table

    if all(record.probes for record in records):
        click.echo(f"\n{probe_table(records)}")

"""`harness prove`: a method's published figure, measured again."""

from __future__ import annotations

import click

from harness.cli.runs import fill
from harness.cli.shared import PLACES, RECIPE
from harness.errors import HarnessError


@click.command()
@click.argument("method", metavar="METHOD")
@click.option("--dataset", required=True, metavar="NAME", help="What to train and score on.")
@click.option("--row", default="", metavar="SET/NAME", help="Which published row; --dry-run names them. Default: the one nearest to the method's own recipe.")  # fmt: skip
@RECIPE
@PLACES
@click.option("--init-from", default="", metavar="FILE", help="Start the whole model from a file, such as a post-pretrained checkpoint.")  # fmt: skip
@click.option("--micro-batch", type=click.IntRange(min=1), default=None, metavar="N", help="Encode so many samples at once in training, with the gradient of the whole batch.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=2), default=3, show_default=True, metavar="N", help="So many seeds, from --seed on. One with a record in its run folder is not run again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the published row, the recipe that repeats it and what differs; train nothing.")  # fmt: skip
@click.pass_context
def prove(context, method, row, leaderboards, runs, workers, as_json, micro_batch, seeds, dry_run, **asked):
    """Train METHOD as it was published, and say whether its figure comes out.

    Exit code 0 where it does (within the spread of the seeds, or above), 1 where it does not.
    """
    from harness.engine import grid
    from harness.engine import prove as engine
    from harness.plan.plan import Request
    from harness.plugins import registry
    from harness.results.digest import readable_json
    from harness.results.verdict import report, to_json

    proof = engine.plan_proof(Request(method=method, **asked), row, seeds, registry())
    if dry_run:
        click.echo(engine.preview(proof))
        return
    entries, filled = fill(
        engine.cells_of(proof, registry()), runs, leaderboards, workers, {"micro_batch": micro_batch or 0}
    )
    if filled.failed:
        raise HarnessError(grid.failures(filled), "there is no verdict without them; give the command again")
    verdict = engine.verdict_of(proof, grid.rows_made(entries, filled)[proof.entry.name])
    click.echo(readable_json(to_json(verdict)) if as_json else report(verdict), nl=not as_json)
    context.exit(0 if verdict.upheld else 1)

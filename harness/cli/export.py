"""`harness export`: a finished model as a file that other code reads."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import options_of

_EXPORT = options_of(
    click.option("--to", default="", metavar="FORMAT", help="Whose names; see `harness list checkpoint-formats`. Default: the only one that takes the model."),
    click.option("--method", default="", metavar="NAME", help="The method of a checkpoint FILE (a run folder knows its own)."),
    click.option("--backbone", default="", metavar="NAME", help="The image-text tower of a checkpoint FILE, where it is not the method's own."),
    click.option("--recipe", "recipes", multiple=True, metavar="FILE|NAME", help="A recipe laid over the model's own: a file, or a variant of its method; may be given often."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change one recipe value; may be given often."),
    click.option("--force", is_flag=True, help="Replace OUT where it exists."),
)  # fmt: skip


@click.command()
@click.argument("checkpoint", type=Path, metavar="RUN|FILE")
@click.argument("out", type=Path, metavar="OUT")
@_EXPORT
def export(checkpoint, out, to, method, backbone, recipes, settings, force) -> None:
    """Write a finished model under other code's names.

    OUT is a safetensors file where its name ends so, else a torch file with a bare state dict.
    """
    from harness.engine import export as engine
    from harness.engine.finished import find_finished
    from harness.plan.plan import Request
    from harness.plugins import registry

    engine.check_out(out, force)
    finished = find_finished(checkpoint, method, registry())
    request = Request(
        method=finished.method, dataset="", backbone=backbone, recipes=recipes, settings=settings
    )
    recipe = finished.recipe(request, registry())
    done = engine.export(finished, recipe, registry(), out, to=to)
    click.echo(f"{done.path}: {done.format}, {done.tensors} tensors, {done.size} bytes, sha256 {done.sha256}")

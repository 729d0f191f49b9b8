"""`harness export`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("given", type=Path, metavar="RUN|FILE")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT")
@click.option(
    "--to",
    "wanted",
    default="",
    metavar="FORMAT",
    help="The format; see `harness list checkpoint-formats`. Default: the only one that takes the model.",
)
@click.option("--method", default="", metavar="NAME", help="The method of a checkpoint FILE.")
@click.option("--backbone", default="", metavar="NAME", help="The backbone of a checkpoint FILE.")
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
@click.option("--force", is_flag=True, help="Replace OUT.")
def export(given: Path, out: Path, wanted: str, method: str, backbone: str, settings, force: bool) -> None:
    """Write a finished model under the names of other code: safetensors by suffix, else a torch file."""
    from harness.engine.export import export as write
    from harness.engine.finished import find_finished
    from harness.plan.plan import Request
    from harness.plugins import registry

    finished = find_finished(given, method, registry())
    request = Request(method=finished.method, dataset="", backbone=backbone, settings=settings)
    recipe = finished.recipe(request, registry())
    done = write(finished, recipe, wanted, out, registry(), force)
    click.echo(
        f"wrote {done.file} ({done.format}): {done.tensors} tensors, {done.bytes:,} bytes, sha256 {done.sha256}"
    )

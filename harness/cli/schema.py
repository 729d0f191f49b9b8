"""`harness schema`: what may stand in a recipe, for editors."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print a JSON Schema of recipes, with the components of the installed plugins.

    Save it beside a recipe and begin that with `# yaml-language-server: $schema=recipe.schema.json`.
    """
    from harness.plan.json_schema import recipe_schema
    from harness.plugins import registry
    from harness.results.digest import readable_json

    click.echo(readable_json(recipe_schema(registry())), nl=False)

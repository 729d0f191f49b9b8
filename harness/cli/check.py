"""`harness check`: does a plugin keep its promises?"""

from __future__ import annotations

import click


@click.command()
@click.argument("name", metavar="PLUGIN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each check.")
def check(name: str, as_json: bool) -> None:
    """Try everything that a plugin declares, on tiny inputs. PLUGIN is a name of `harness plugins`, a
    distribution, or one component.

    Ends with 1 when anything failed.
    """
    import msgspec

    from harness.plugins import registry
    from harness.testing import report
    from harness.testing.kit import examine, subjects

    failed = False

    def outcomes():
        nonlocal failed
        for subject in subjects(registry(), name):
            for outcome in examine(subject):
                failed |= outcome.status == "failed"
                yield outcome

    shown = (msgspec.json.encode(o).decode() for o in outcomes()) if as_json else report.lines(outcomes())
    for line in shown:
        click.echo(line)
    if failed:
        click.get_current_context().exit(1)

"""`harness import-scores`: scores that were made elsewhere, in the tables of this harness."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import leaderboards_option, options_of
from harness.errors import HarnessError

#: Which ``--set`` goes to the post-processing; all others are options of the data set.
_POST = "evaluation.postprocess."

_ASKED = options_of(
    click.option("--dataset", required=True, metavar="NAME", help="What was scored; see `harness list datasets`."),
    click.option("--method", required=True, metavar="NAME", help="Whose scores they are: the row's name. It need not be installed."),
    click.option("--protocol", default="", metavar="NAME", help="Another protocol of the data set."),
    click.option("--data-root", metavar="DIR", help="Folder of the data set; its annotation files are enough. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--annotations", default="", metavar="DIR", help="Folder of the annotation files, where they lie apart from the videos."),
    click.option("--one-text-per-video", is_flag=True, help="Without the data set: row i is the one text of column i. The row is marked as not verified."),
    click.option("--direction", type=click.Choice(["text_rows", "video_rows"]), default="text_rows", show_default=True, help="What the rows of FILE are."),
    click.option("--post", "postprocess", default="", metavar="NAME", help="Post-processing to apply to the scores."),
    click.option("--ties", type=click.Choice(["average", "optimistic", "pessimistic", "average_ce", "legacy"]), default="average", show_default=True, help="The rank of a query whose score ties. legacy prints what widely copied code would, and records nothing."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change an option of the post-processing (evaluation.postprocess.NAME=VALUE) or of the data set (data.options.NAME=VALUE)."),
)  # fmt: skip

_STATED = options_of(
    click.option("--train-split", default="unknown", show_default=True, metavar="NAME", help="What was trained on: a split of the data set, DATASET/SPLIT of another one, or none. It decides the section of the table."),
    click.option("--selection", type=click.Choice(["last", "val", "test", "unknown"]), default="unknown", show_default=True, help="How the epoch was chosen."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which run of the method; imports that differ in nothing else are one row."),
    click.option("--backbone", default="", metavar="TEXT", help="The image-text tower, for its column."),
    click.option("--pretraining", default="", metavar="TEXT", help="What the backbone was trained on, for its column."),
    click.option("--frames", type=click.IntRange(min=1), default=None, metavar="N", help="Frames of a clip, for its column."),
    click.option("--note", default="", metavar="TEXT", help="A footnote to the row."),
    leaderboards_option("Where records and tables go."),
    click.option("--json", "as_json", is_flag=True, help="Print the record, and nothing else, on standard output."),
)  # fmt: skip


@click.command("import-scores")
@click.argument("file", type=click.Path(path_type=Path))
@_ASKED
@_STATED
def import_scores(
    file, dataset, protocol, data_root, annotations, one_text_per_video, direction, postprocess, ties, settings,
    leaderboards, as_json, **stated,
) -> None:  # fmt: skip
    """Make a record of a matrix of similarities, and refresh the leaderboard.

    FILE (.npy, .npz, .csv, .txt) holds scores as a model gives them, higher is better: a row for each
    text of the protocol and a column for each clip, in the order of the annotation file. All figures are
    counted from it; what else the row says is what the options say, and it is marked as imported.
    Minus infinity stands for a pair that was masked: it is below every number, and masked pairs tie.
    NaN and plus infinity are refused.
    """
    from harness.engine.progress import say
    from harness.plan.protocols import protocol_for
    from harness.plugins import registry
    from harness.results import imported, leaderboard, table
    from harness.results.record_file import dumps, refuse_unwritable

    spec, _ = registry().find("datasets", dataset)
    asked = protocol_for(spec, "retrieval", protocol, registry())
    imported.check_train_split(stated["train_split"], spec)
    post = _post_of(postprocess, [s for s in settings if s.strip().startswith(_POST)], registry())
    others = [s for s in settings if not s.strip().startswith(_POST)]
    if one_text_per_video and (data_root or annotations or others):
        raise HarnessError(
            "--one-text-per-video is for scores whose data set is not at hand",
            "leave it out, or --data-root, --annotations and --set data.options",
        )
    scores = imported.read_scores(file, direction == "video_rows")
    if one_text_per_video:
        layout = imported.one_text_per_video(asked, scores)
    else:
        layout = imported.layout_of(_opened(spec.name, data_root, annotations, others), asked)
    if ties == "legacy":
        _show_legacy(imported.legacy_figures(scores, layout, post, registry()), len(layout.gold), as_json)
        return
    record = imported.record_of(scores, layout, imported.Stated(ties=ties, **stated), spec, post, registry())
    refuse_unwritable(leaderboards)  # a record without its pages would be half of it
    path = imported.keep(record, leaderboards)
    leaderboard.write_all(leaderboards)
    say(f"record: {path}")
    click.echo(dumps(record) if as_json else table.summary(record), nl=not as_json)


def _opened(dataset: str, data_root: str | None, annotations: str, settings: list[str]):
    """The data set, for its texts alone: a generated one has them without its clips."""
    from harness.plan.opening import open_named
    from harness.plugins import registry

    try:
        return open_named(
            dataset, registry(), data_root=data_root, annotations=annotations, settings=settings
        ).dataset
    except HarnessError as error:
        if data_root or annotations:
            raise
        hint = "where row i is the one text of column i, --one-text-per-video does without the data set"
        raise HarnessError(error.message, f"{error.hint}; {hint}") from error


def _post_of(name: str, settings: list[str], components) -> dict:
    """The post-processing as a recipe would have it."""
    from harness.plan.recipe import Layers, resolve_component

    layers = Layers()
    path = ("evaluation", "postprocess")
    layers.lay({"evaluation": {"postprocess": {"name": name or "none"}}}, {(*path, "name"): "--post"})
    for setting in settings:
        layers.set(setting)
    value = layers.values["evaluation"]["postprocess"]
    return resolve_component(value, "postprocessors", path, layers, components)


def _show_legacy(figures: dict[str, dict[str, float]], queries: int, as_json: bool) -> None:
    """What the copied code prints, and how many samples it made of the queries."""
    import json

    from harness.engine.progress import say
    from harness.results.record import FIGURES
    from harness.results.table import markdown_table

    counted = {direction: int(found["n"]) for direction, found in figures.items()}
    told = ", ".join(f"{n} in {direction}" for direction, n in counted.items())
    say(
        f"warning: the legacy metric counts every tied place as one more sample: {told}, of {queries} queries; "
        "its figures are for comparison with old logs and are not recorded"
    )
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    body = [
        [direction, str(counted[direction]), *(f"{found[name]:.2f}" for name in FIGURES)]
        for direction, found in figures.items()
    ]
    click.echo(markdown_table(["", "n", *FIGURES], body))

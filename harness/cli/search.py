"""`harness search`: rank a folder of videos by a sentence."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import AS_JSON, options_of

#: So many damaged files are named one by one.
NAMED = 20

_SEARCH = options_of(
    click.option("--checkpoint", type=Path, required=True, metavar="RUN|FILE", help="A run folder, or a checkpoint file."),
    click.option("--data-root", type=Path, required=True, metavar="DIR", help="Folder whose videos are searched, with all folders in it."),
    click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="How many videos to show for a sentence."),
    click.option("--picture", type=Path, default=None, metavar="FILE", help="Also draw frames of the videos found, into a .png or .jpg."),
    click.option("--method", default="", metavar="NAME", help="The method of a checkpoint FILE (a run folder knows its own)."),
    click.option("--backbone", default="", metavar="NAME", help="The image-text tower of a checkpoint FILE, where it is not the method's own."),
    click.option("--recipe", "recipes", multiple=True, metavar="FILE|NAME", help="A recipe laid over the model's own: a file, or a variant of its method; may be given often."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change one recipe value; may be given often."),
    click.option("--cache/--no-cache", "use_cache", default=True, show_default=True, help="Keep decoded frames on disk."),
    AS_JSON,
)  # fmt: skip


@click.command()
@click.argument("sentences", nargs=-1, required=True, metavar="SENTENCE...")
@_SEARCH
def search(
    sentences,
    checkpoint,
    data_root,
    top,
    picture,
    method,
    backbone,
    recipes,
    settings,
    use_cache,
    as_json,
) -> None:
    """Rank the videos of a folder by a sentence, with a trained model.

    It may be any folder: no data set, no list and no caption is needed.
    """
    from harness.engine import contact_sheet
    from harness.engine import search as engine
    from harness.engine.finished import find_finished
    from harness.engine.progress import say
    from harness.plan.plan import Request
    from harness.plugins import registry

    if picture is not None:
        contact_sheet.check_picture(picture)
    finished = find_finished(checkpoint, method, registry())
    request = Request(
        method=finished.method, dataset="", backbone=backbone, recipes=recipes, settings=settings
    )
    recipe = finished.recipe(request, registry())
    found = engine.search(
        finished, recipe, registry(), data_root.expanduser(), sentences, top=top, use_cache=use_cache
    )
    for name, reason in list(found.unreadable.items())[:NAMED]:
        say(f"left out: {engine.on_one_line(name)}: {reason}")
    if len(found.unreadable) > NAMED:
        say(f"left out: {len(found.unreadable) - NAMED} more, which --json names")
    if picture is not None:
        contact_sheet.write_contact_sheet(picture, found)
        say(f"picture: {picture}")
    click.echo(_json(found) if as_json else _tables(found))


def _tables(found) -> str:
    """A table for each sentence, under it."""
    from tabulate import tabulate

    from harness.engine.search import on_one_line

    parts = []
    for ranking in found.rankings:
        rows = [
            [hit.rank, f"{hit.score:.4f}", on_one_line(hit.file), f"{hit.length_s:.1f}"]
            for hit in ranking.hits
        ]
        table = tabulate(
            rows,
            ["rank", "score", "file", "length (s)"],
            colalign=("right", "right", "left", "right"),
            disable_numparse=True,
        )
        parts.append(f"{ranking.sentence}   ({len(rows)} of {found.videos} videos)\n\n{table}")
    return "\n\n".join(parts)


def _json(found) -> str:
    import msgspec

    from harness.engine.search import shown

    searches = [
        {
            "sentence": ranking.sentence,
            "hits": [
                {"rank": hit.rank, "score": hit.score, "file": shown(hit.file), "length_s": hit.length_s}
                for hit in ranking.hits
            ],
        }
        for ranking in found.rankings
    ]
    values = {
        "folder": shown(str(found.folder)),
        "videos": found.videos,
        "unreadable": found.unreadable,
        "searches": searches,
    }
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode()

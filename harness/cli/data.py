"""`harness data`: look at a data set, prepare it, convert it, make a miniature of it."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import AS_JSON, CLIPS, FOLDER, options_of

_ROOT = options_of(
    click.option("--data-root", metavar="DIR", help="Folder of the data set. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--annotations", default="", metavar="DIR", help="Folder of the annotation files, where they lie apart from the videos."),
)  # fmt: skip


@click.group()
def data() -> None:
    """Look at a data set, prepare it, convert it, or make a miniature of it."""


_SET = click.option("--set", "settings", multiple=True, metavar="data.options.NAME=VALUE", help="Change an option of the data set, as for `harness run`.")  # fmt: skip


@data.command()
@click.argument("dataset")
@_ROOT
@_SET
@click.option("--protocol", default="", metavar="NAME", help="Only the splits of this protocol.")
@click.option(
    "--decode/--no-decode",
    default=True,
    show_default=True,
    help="Decode every frame of every file to its end. That is stricter than a run, which asks for a few frames of each clip.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON with all names, and nothing else, on standard output."
)
def check(dataset, data_root, annotations, settings, protocol, decode, as_json) -> None:  # fmt: skip
    """What of a data set is there, sound, doubled or shared between splits.

    Ends with exit code 1 when a protocol's test clips are not all there and sound, when they are fewer
    than it states, when some of them are training clips of the same protocol, and when no protocol has
    its annotation files; with 2 when nothing could be read. Single protocols without annotation files
    are named and do not count. A miniature is reported as incomplete, which it is.
    """
    import os
    import sys

    from harness.data.inspection import inspect
    from harness.engine.progress import meters
    from harness.plan.opening import open_named
    from harness.plan.protocols import find_protocol
    from harness.plugins import registry

    opened = open_named(dataset, registry(), data_root=data_root, annotations=annotations, settings=settings)
    splits, protocols = opened.dataset.splits(), opened.spec.protocols
    if protocol:
        protocols = (find_protocol(opened.spec, protocol),)
        opened.dataset.clips(protocols[0].test)  # says which files were looked for, if they are not there
        splits = [name for name in splits if name in (protocols[0].train, protocols[0].test)]
    with meters() as progress:
        if opened.spec.generated:
            opened.dataset.prepare(progress)
        found = inspect(
            opened.dataset,
            splits,
            protocols,
            decode=decode,
            threads=os.cpu_count() or 1,
            progress=progress,
        )
    click.echo(_inspection(opened, found, as_json))
    if not found.splits:
        sys.exit(2)
    sys.exit(0 if found.sound else 1)


@data.command()
@click.argument("dataset")
@click.argument("folder", type=FOLDER, metavar="DIR")
@_ROOT
@_SET
@click.option(
    "--to",
    "form",
    type=click.Choice(["jsonl", "json"]),
    required=True,
    help="jsonl: a line {clip_id, text} for each clip, as CLIP-ViP reads it. json: {file name: [texts]}, as mmaction2 does.",
)
def convert(dataset, folder, data_root, annotations, settings, form) -> None:  # fmt: skip
    """Write the annotations of a data set in a form that other code reads.

    Each split whose annotation files are there becomes a file in DIR, under the name by which that
    code knows it. Nothing is replaced. Ends with exit code 1 when the files of a split were of no use.
    """
    import sys

    from harness.data.convert import convert as write
    from harness.engine.progress import say
    from harness.plan.opening import open_named
    from harness.plugins import registry

    opened = open_named(dataset, registry(), data_root=data_root, annotations=annotations, settings=settings)
    done = write(opened.dataset, form, folder)
    for file in done.files:
        click.echo(f"{file.split}: {file.clips} clips, {file.texts} texts: {file.path}")
    for split, reason in done.unreadable.items():
        say(f"{split} is not written: {reason}")
    sys.exit(1 if done.unreadable else 0)


def _inspection(opened, found, as_json: bool) -> str:
    from harness.data.inspection.table import summary
    from harness.results.digest import readable_json

    if not as_json:
        return summary(f"{opened.spec.name} in {opened.root}", found)
    import msgspec

    whole = {"dataset": opened.spec.name, "root": str(opened.root), "sound": found.sound}
    return readable_json(whole | msgspec.to_builtins(found)).rstrip("\n")


@data.command()
@click.argument("dataset")
@click.option(
    "--method",
    required=True,
    metavar="NAME",
    help="Whose clips: frames, sampling and picture size are the method's.",
)
@CLIPS
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Processes that decode. Default: one per core.",
)
def prepare(jobs, **asked) -> None:
    """Decode a data set's clips ahead of a run, with all cores, into the frame cache.

    Takes the options of the run that decide what it reads. What is there is checked, and decoded again
    where the disk has damaged it. May be interrupted and started again, and several may work at once.
    """
    import os

    from harness.engine import prepare as engine
    from harness.plan.plan import Request, build_plan
    from harness.plugins import registry

    plan, _ = build_plan(Request(**asked), registry())
    click.echo(engine.summary(engine.prepare(plan, registry(), jobs or os.cpu_count() or 1)))


_GAP = options_of(
    click.option("--data-root", "roots", multiple=True, metavar="[NAME=]DIR", help="Folder of the data set, with its name where two are compared; annotation files are enough. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--backbone", default="", metavar="NAME", help="The text tower. Default: OpenAI's CLIP ViT-B/32."),
    click.option("--weights", default="", metavar="FILE", help="Local weights for the backbone."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change an option of the tower, such as model.backbone.pretrained."),
    click.option("--samples", type=click.IntRange(min=2), default=1000, show_default=True, metavar="N", help="Texts drawn from each side."),
    click.option("--draws", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="How often they are drawn and clustered."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."),
    AS_JSON,
)  # fmt: skip


@data.command()
@click.argument("a")
@click.argument("b")
@_GAP
def gap(a, b, roots, backbone, weights, settings, samples, draws, seed, as_json) -> None:
    """How far apart the languages of two sources of text are.

    A and B are DATASET[/SPLIT[/SOURCE]], a file of captions (json, jsonl, csv, tsv, pkl), or a text
    file with one sentence in a line. Their text features are parted into two clusters; the normalised
    mutual information between cluster and source is the gap, from 0 (one language) to 1 (two).
    """
    from harness.engine import gap as engine
    from harness.plugins import registry

    sources = engine.open_sources((a, b), roots, registry())
    tower = engine.build_tower(backbone, weights, settings, seed, registry())
    first, second = (source.texts for source in sources)
    encode = engine.text_encoder(tower)
    found = engine.measure(first, second, encode, samples=samples, draws=draws, seed=seed)
    click.echo(engine.to_json(sources, tower, found) if as_json else engine.summary(sources, tower, found))


@data.command()
@click.argument("dataset")
@click.argument("folder", type=FOLDER, metavar="DIR")
def sample(dataset: str, folder: Path) -> None:
    """Write a miniature of a data set: its owner's files and layout, real clips, invented texts.

    It can be trained and scored on. `harness data check` reports it as incomplete, for its test set is
    smaller than the published one.
    """
    import shlex

    from harness.data.writing import whole_folder
    from harness.errors import HarnessError
    from harness.plugins import load_factory, registry

    spec, plugin = registry().find("datasets", dataset)
    if not spec.sample:
        able = [other.name for other, _ in registry().specs("datasets") if other.sample]
        raise HarnessError(
            f"the data set {spec.name} has no sample", f"those that have one: {', '.join(able) or 'none'}"
        )
    write_sample = load_factory(spec.sample, plugin)
    with whole_folder(folder) as draft:
        write_sample(draft)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    click.echo(f"{len(files)} files, {size / 1e3:.0f} kB in {folder}. To train and score on them:")
    click.echo(f"harness run --method NAME --dataset {spec.name} --data-root {shlex.quote(str(folder))}")

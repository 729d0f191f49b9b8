"""`harness bench`: how fast the parts are, as ratios measured side by side in one run."""

from __future__ import annotations

import sys

import click


@click.group()
def bench() -> None:
    """Measure a part of the harness against a reference, in one run."""


@bench.command()
@click.option(
    "--clips",
    type=click.IntRange(min=32),
    default=128,
    show_default=True,
    metavar="N",
    help="Clips in the cache, 1.8 MB each.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1, max=32),
    default=32,
    show_default=True,
    metavar="N",
    help="Clips in a batch.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How often every clip is read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def data(clips: int, batch_size: int, rounds: int, as_json: bool) -> None:
    """Clips from a warm frame cache to a batch, against copying the same bytes, on one core."""
    from harness import places
    from harness.bench import data as measurement

    result = measurement.measure(places.cache_root(), clips, batch_size, rounds)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


@bench.command("annotations")
@click.option(
    "--film-clips",
    type=click.IntRange(min=8),
    default=120_000,
    show_default=True,
    metavar="N",
    help="Clips in folders of films, described in tab-separated lines.",
)
@click.option(
    "--videos",
    type=click.IntRange(min=8),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Videos in one folder, described by paragraphs in JSON.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="How often each is opened.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def opening(film_clips: int, videos: int, rounds: int, as_json: bool) -> None:
    """Opening a data set of many clips, and how the time grows with their number."""
    from harness import places
    from harness.bench import annotations as measurement

    result = measurement.measure(places.cache_root(), film_clips, videos, rounds)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


@bench.command()
@click.option(
    "--turns",
    type=click.IntRange(min=1),
    default=9,
    show_default=True,
    metavar="N",
    help="How often every way reads every clip.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def decode(turns: int, as_json: bool) -> None:
    """Clips decoded to a model's frames, against PyAV from the start and ffmpeg where it is found.

    Three synthetic clips (15 s 320x240, 30 s and 120 s 640x360) are made once, in about a minute, and
    kept in the cache folder. They have a key frame every 2 to 4 s, as edited web video does: the further
    apart key frames lie, the less is gained by leaving frames out.
    """
    from harness import places
    from harness.bench import decode as measurement

    rows = measurement.measure(places.cache_root() / "bench", turns)
    click.echo(measurement.to_json(rows) if as_json else measurement.summary(rows))


@bench.command("eval")
@click.option(
    "--temporal",
    "modules",
    multiple=True,
    metavar="NAME",
    help="A temporal module to measure; may be given often. Default: all that need no visual tower.",
)
@click.option(
    "--backbone",
    default="ViT-B-32-quickgelu",
    show_default=True,
    metavar="NAME",
    help="The tower whose text layers and width are taken, with random weights.",
)
@click.option(
    "--texts", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="Queries."
)
@click.option(
    "--clips", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="The gallery."
)
@click.option(
    "--pair-side",
    type=click.IntRange(min=1),
    default=150,
    show_default=True,
    metavar="N",
    help="Of a module that scores pair by pair, time N x N pairs.",
)
@click.option("--all-tiles", is_flag=True, help="Time every tile of the reference's loop: minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def scoring(modules, backbone, texts, clips, pair_side, all_tiles, as_json) -> None:
    """Scoring texts against clips, each clip's head run once, against once for every tile of 16 x 16.

    A reference that keeps frame features runs a temporal module again for every tile. The head alone is
    measured, on random features of 12 frames; no picture is read and no tower run.
    """
    from harness.bench import eval as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), backbone, modules, texts, clips, pair_side, all_tiles)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


@bench.command("model")
@click.option(
    "--temporal",
    metavar="NAME",
    help="The temporal module whose attention is measured. Default: the first that attends to a clip.",
)
@click.option(
    "--backbone",
    "backbones",
    multiple=True,
    default=("ViT-B-32", "ViT-B-16"),
    show_default=True,
    metavar="NAME",
    help="A tower, with random weights; may be given often.",
)
@click.option(
    "--frames",
    default="12,32",
    show_default=True,
    metavar="N,...",
    callback=lambda _context, _option, given: _counts(given),
    help="Frames of the clip.",
)
@click.option(
    "--what",
    default="attention,block",
    show_default=True,
    metavar="KIND,...",
    callback=lambda _context, _option, given: _kinds(given),
    help="Attention alone, whole blocks, or both.",
)
@click.option(
    "--turns",
    type=click.IntRange(min=1),
    default=9,
    show_default=True,
    metavar="N",
    help="How often each is timed; fewer, but 3 at least, where a turn takes long.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def attention(temporal, backbones, frames, what, turns, as_json) -> None:
    """Attention over a clip, forward and backward, against full, masked and unfused attention.

    Time and peak memory of attention alone and of whole blocks, on random tokens. Without a GPU the
    larger sizes take minutes; --backbone and --frames choose fewer.
    """
    from harness.bench import model as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), temporal, backbones, frames, what, turns)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


def _counts(given: str) -> list[int]:
    counts = [int(part) if part.strip().isdecimal() else 0 for part in given.split(",")]
    if min(counts) < 1:
        raise click.BadParameter(f"'{given}' is no list of frame counts, write for example 12,32")
    return list(dict.fromkeys(counts))


def _kinds(given: str) -> list[str]:
    kinds = [part.strip() for part in given.split(",")]
    if not set(kinds) <= {"attention", "block"}:
        raise click.BadParameter(f"'{given}' is not attention, block or attention,block")
    return list(dict.fromkeys(kinds))


@bench.command("step")
@click.argument("method", metavar="METHOD")
@click.option(
    "--backbone", default="", metavar="NAME", help="Another image-text tower; its weights are random."
)
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
@click.option(
    "--batch",
    type=click.IntRange(min=2),
    default=64,
    show_default=True,
    metavar="N",
    help="Samples of the batch.",
)
@click.option(
    "--micro-batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    metavar="N",
    help="Samples that are encoded at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def step(method, backbone, settings, batch, micro_batch, as_json) -> None:
    """A training step of a whole batch, and of the same batch a few samples at a time.

    Time, peak memory, and how far losses and gradients differ, on random clips and texts.
    """
    from harness.bench import step as measurement

    result = measurement.measure(method, settings, backbone, batch, micro_batch)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


@bench.command("generate")
@click.argument("method", metavar="[METHOD]", required=False)
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
@click.option(
    "--layers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Layers of what writes (model.temporal.layers); 0: as many as the recipe has.",
)
@click.option(
    "--clips", type=click.IntRange(min=1), default=4, show_default=True, metavar="N", help="Clips at once."
)
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="N",
    help="Tokens of each text.",
)
@click.option(
    "--beams",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Texts about each clip; one is greedy search.",
)
@click.option(
    "--turns",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="How often each way is timed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def generate(method, settings, layers, clips, tokens, beams, turns, as_json) -> None:
    """Writing with keys and values kept from token to token, and without.

    The writing part of METHOD (default: the first that writes) at its recipe's sizes, before a random
    memory; the towers are not run. Ends with exit code 1 when the ways do not write the same ids.
    """
    from harness.bench import generate as measurement

    result = measurement.measure(method, settings, layers, clips, tokens, beams, turns)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))
    sys.exit(0 if result.same else 1)


@bench.command("leaderboard")
@click.option(
    "--records",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    help="Result records.",
)
@click.option(
    "--queries",
    type=click.IntRange(min=10),
    default=5000,
    show_default=True,
    metavar="N",
    help="Queries of each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
def leaderboard(records, queries, as_json) -> None:
    """All tables and the audit, from many records with random ranks that are made for the purpose."""
    from harness import places
    from harness.bench import leaderboard as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), places.cache_root(), records, queries)
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))

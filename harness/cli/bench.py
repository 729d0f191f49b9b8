"""`harness bench`: how fast the parts are, as ratios measured side by side in one run."""

from __future__ import annotations

import sys
from types import ModuleType

import click

from harness.cli.shared import AS_JSON


@click.group()
def bench() -> None:
    """Measure a part of the harness against a reference, in one run."""


def _count(name: str, default: int, what: str, *, least: int = 1, most: int | None = None):
    """An option that is a whole number."""
    kind = click.IntRange(min=least, max=most)
    return click.option(name, type=kind, default=default, show_default=True, metavar="N", help=what)


def _print(measurement: ModuleType, result: object, as_json: bool) -> None:
    click.echo(measurement.to_json(result) if as_json else measurement.summary(result))


@bench.command()
@_count("--clips", 128, "Clips in the cache, 1.8 MB each.", least=32)
@_count("--batch-size", 32, "Clips in a batch.", most=32)
@_count("--rounds", 10, "How often every clip is read.")
@AS_JSON
def data(clips: int, batch_size: int, rounds: int, as_json: bool) -> None:
    """Clips from a warm frame cache to a batch, against copying the same bytes, on one core."""
    from harness import places
    from harness.bench import data as measurement

    result = measurement.measure(places.cache_root(), clips, batch_size, rounds)
    _print(measurement, result, as_json)


@bench.command("annotations")
@_count("--film-clips", 120_000, "Clips in folders of films, described in tab-separated lines.", least=8)
@_count("--videos", 20_000, "Videos in one folder, described by paragraphs in JSON.", least=8)
@_count("--rounds", 3, "How often each is opened.")
@AS_JSON
def opening(film_clips: int, videos: int, rounds: int, as_json: bool) -> None:
    """Opening a data set of many clips, and how the time grows with their number."""
    from harness import places
    from harness.bench import annotations as measurement

    result = measurement.measure(places.cache_root(), film_clips, videos, rounds)
    _print(measurement, result, as_json)


@bench.command()
@_count("--turns", 9, "How often every way reads every clip.")
@AS_JSON
def decode(turns: int, as_json: bool) -> None:
    """Clips decoded to a model's frames, against PyAV from the start and ffmpeg where it is found.

    Three synthetic clips (15 s 320x240, 30 s and 120 s 640x360) are made once, in about a minute, and
    kept in the cache folder. They have a key frame every 2 to 4 s, as edited web video does: the further
    apart key frames lie, the less is gained by leaving frames out.
    """
    from harness import places
    from harness.bench import decode as measurement

    rows = measurement.measure(places.cache_root() / "bench", turns)
    _print(measurement, rows, as_json)


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
@_count("--texts", 1000, "Queries.")
@_count("--clips", 1000, "The gallery.")
@_count("--pair-side", 150, "Of a module that scores pair by pair, time N x N pairs.")
@click.option("--all-tiles", is_flag=True, help="Time every tile of the reference's loop: minutes.")
@AS_JSON
def scoring(modules, backbone, texts, clips, pair_side, all_tiles, as_json) -> None:
    """Scoring texts against clips, each clip's head run once, against once for every tile of 16 x 16.

    A reference that keeps frame features runs a temporal module again for every tile. The head alone is
    measured, on random features of 12 frames; no picture is read and no tower run.
    """
    from harness.bench import eval as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), backbone, modules, texts, clips, pair_side, all_tiles)
    _print(measurement, result, as_json)


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
@_count("--turns", 9, "How often each is timed; fewer, but 3 at least, where a turn takes long.")
@AS_JSON
def attention(temporal, backbones, frames, what, turns, as_json) -> None:
    """Attention over a clip, forward and backward, against full, masked and unfused attention.

    Time and peak memory of attention alone and of whole blocks, on random tokens. Without a GPU the
    larger sizes take minutes; --backbone and --frames choose fewer.
    """
    from harness.bench import model as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), temporal, backbones, frames, what, turns)
    _print(measurement, result, as_json)


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
@_count("--batch", 64, "Samples of the batch.", least=2)
@_count("--micro-batch", 8, "Samples that are encoded at once.")
@AS_JSON
def step(method, backbone, settings, batch, micro_batch, as_json) -> None:
    """A training step of a whole batch, and of the same batch a few samples at a time.

    Time, peak memory, and how far losses and gradients differ, on random clips and texts.
    """
    from harness.bench import step as measurement

    result = measurement.measure(method, settings, backbone, batch, micro_batch)
    _print(measurement, result, as_json)


@bench.command("generate")
@click.argument("method", metavar="[METHOD]", required=False)
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="As for `harness run`.")
@_count(
    "--layers", 1, "Layers of what writes (model.temporal.layers); 0: as many as the recipe has.", least=0
)
@_count("--clips", 4, "Clips at once.")
@_count("--tokens", 30, "Tokens of each text.")
@_count("--beams", 3, "Texts about each clip, as captions are searched for; one is greedy search.")
@_count("--turns", 3, "How often each way is timed.")
@AS_JSON
def generate(method, settings, layers, clips, tokens, beams, turns, as_json) -> None:
    """Writing with keys and values kept from token to token, and without.

    The writing part of METHOD (default: the first that writes) at its recipe's sizes, before a random
    memory; the towers are not run. Ends with exit code 1 when the ways do not write the same ids.
    """
    from harness.bench import generate as measurement

    result = measurement.measure(method, settings, layers, clips, tokens, beams, turns)
    _print(measurement, result, as_json)
    sys.exit(0 if result.same else 1)


@bench.command("leaderboard")
@_count("--records", 200, "Result records.")
@_count("--queries", 5000, "Queries of each.", least=10)
@AS_JSON
def leaderboard(records, queries, as_json) -> None:
    """All tables and the audit, from many records with random ranks that are made for the purpose."""
    from harness import places
    from harness.bench import leaderboard as measurement
    from harness.plugins import registry

    result = measurement.measure(registry(), places.cache_root(), records, queries)
    _print(measurement, result, as_json)

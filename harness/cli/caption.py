"""`harness caption`: auxiliary captions for the clips of a data set."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import options_of

_CAPTION = options_of(
    click.option("--captioner", required=True, metavar="NAME", help="Who describes them; see `harness list captioners`."),
    click.option("--split", default="", metavar="NAME", help="Whose clips. Default: what the data set's default protocol trains on."),
    click.option("--out", type=Path, default=None, metavar="FILE", help="Where they go. Default: DATASET-SPLIT-captions.jsonl in this folder."),
    click.option("--force", is_flag=True, help="Replace the file where it exists."),
    click.option("--data-root", metavar="DIR", help="Folder of the data set. Else HARNESS_DATA/<dataset>, else the config file."),
    click.option("--annotations", default="", metavar="DIR", help="Folder of the annotation files, where they lie apart from the videos."),
    click.option("--weights", default="", metavar="FILE", help="Local weights for the captioner."),
    click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, metavar="N", help="Frames described at once."),
    click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change an option of the captioner (captioner.length=30) or of the data set (data.options.NAME=VALUE)."),
)  # fmt: skip


@click.command()
@click.argument("dataset")
@_CAPTION
def caption(
    dataset, captioner, split, out, force, data_root, annotations, weights, batch, settings
) -> None:  # fmt: skip
    """Describe the middle frame of every clip, for training with auxiliary captions.

    Clips that are missing or damaged are left out and counted. The file is written at the end, whole;
    a run takes it with `--set data.auxiliary.caption=FILE`.
    """
    import os

    from harness.engine import caption as engine
    from harness.plan.opening import open_named
    from harness.plugins import registry

    own = [setting for setting in settings if setting.strip().startswith("captioner.")]
    others = [setting for setting in settings if setting not in own]
    opened = open_named(dataset, registry(), data_root=data_root, annotations=annotations, settings=others)
    split = split or opened.spec.default_protocol.train
    out = out or Path(f"{opened.spec.name}-{split}-captions.jsonl")
    engine.check_out(out, force)
    value = engine.captioner_value(captioner, own, weights, registry())
    threads = os.cpu_count() or 1
    done = engine.caption_file(opened, split, out, value, registry(), batch=batch, threads=threads)
    click.echo(engine.summary(done, out))

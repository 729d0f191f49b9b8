"""Auxiliary captions of a data set's clips: `harness caption`.

CLIP-ViP (arXiv 2209.06430, section 4.3) has an image captioner describe the middle frame of each clip:
captioners of video learn from the very data sets that retrieval is tested on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.data import Clip, Dataset, write_captions
from harness.data.reader import ClipReader
from harness.data.sampling import Sampling
from harness.data.transform import Geometry
from harness.data.video import DamagedClip
from harness.engine.execute import here
from harness.engine.inputs import prefetched
from harness.engine.progress import meter, meters
from harness.engine.randomness import key
from harness.errors import HarnessError
from harness.models.assembly import build_captioner
from harness.models.captioner import Captioner
from harness.plan.opening import Opened
from harness.plan.recipe import Layers, resolve_component
from harness.plugins import Registry

#: Names of clips that are shown of a longer list.
_SHOWN = 5


class _Batch(NamedTuple):
    """Clips with their middle frames uint8 ``[B, 3, H, W]``, and the reason for each that has none."""

    clips: Sequence[Clip]
    frames: torch.Tensor | None
    damaged: Mapping[str, str]


@dataclass(frozen=True)
class Captioned:
    """``texts`` by clip; clips that were not found, whose files are damaged, and of which nothing was said."""

    texts: Mapping[str, str]
    missing: tuple[str, ...]
    damaged: Mapping[str, str]
    silent: tuple[str, ...]


def captioner_value(name: str, settings: Sequence[str], weights: str, registry: Registry) -> dict[str, Any]:
    """The captioner of that name with all its options; ``settings`` are ``captioner.NAME=VALUE``."""
    layers, path = Layers(), ("captioner",)
    layers.lay({"captioner": {"name": name}}, {path: "--captioner"})
    if weights:
        if not Path(weights).is_file():
            raise HarnessError(f"the weights file {weights} does not exist", "check --weights")
        layers.lay({"captioner": {"weights": weights}}, {(*path, "weights"): "--weights"})
    for assignment in settings:
        layers.set(assignment)
    return resolve_component(layers.values["captioner"], "captioners", path, layers, registry)


def caption(dataset: Dataset, split: str, captioner: Captioner, *, batch: int, threads: int) -> Captioned:
    """Describe every clip of a split that can be read, ``batch`` at once; ``threads`` decode."""
    clips = dataset.clips(split)
    found = [clip for clip in clips if clip.path is not None]
    missing = tuple(clip.id for clip in clips if clip.path is None)
    wanted, device = captioner.preprocess, here().device
    geometry = Geometry(wanted.size, wanted.fit, wanted.interpolation)
    reader = ClipReader(Sampling("middle", 1), geometry)
    texts: dict[str, str] = {}
    damaged: dict[str, str] = {}
    silent: list[str] = []
    with ThreadPoolExecutor(threads) as pool, meter("captions", len(found), unit="clips") as shown:
        jobs = [partial(_read, reader, pool, found[at : at + batch]) for at in range(0, len(found), batch)]
        done = 0
        for read in prefetched(jobs):
            damaged |= read.damaged
            with torch.inference_mode():
                said = captioner.caption(read.frames.to(device)) if read.frames is not None else []
            for clip, text in zip(read.clips, said, strict=True):
                if text.strip():
                    texts[clip.id] = " ".join(text.split())
                else:
                    silent.append(clip.id)
            done += len(read.clips) + len(read.damaged)
            shown.update(done)
    return Captioned(texts, missing, damaged, tuple(silent))


def _read(reader: ClipReader, pool: ThreadPoolExecutor, clips: Sequence[Clip]) -> _Batch:
    sound, frames, damaged = [], [], {}
    for clip, read in zip(clips, pool.map(partial(_middle, reader), clips), strict=True):
        if isinstance(read, DamagedClip):
            damaged[clip.id] = read.reason
        else:
            sound.append(clip)
            frames.append(read)
    return _Batch(sound, torch.from_numpy(np.stack(frames)) if frames else None, damaged)


def _middle(reader: ClipReader, clip: Clip) -> np.ndarray | DamagedClip:
    try:
        return reader.read(clip).frames[0]
    except DamagedClip as error:
        return error


def caption_file(
    opened: Opened,
    split: str,
    out: Path,
    value: Mapping[str, Any],
    registry: Registry,
    *,
    batch: int,
    threads: int,
) -> Captioned:
    """Caption a split and write ``out``, which appears as a whole at the end.

    ``value`` is :func:`captioner_value`'s. Raises HarnessError where no clip could be captioned.
    """
    if opened.spec.generated:
        with meters() as progress:
            opened.dataset.prepare(progress)
    opened.dataset.clips(split)  # says what is wrong with the split before weights are fetched
    torch.manual_seed(key(0, "initial weights"))
    captioner = build_captioner(value, registry).to(here().device).eval()
    done = caption(opened.dataset, split, captioner, batch=batch, threads=threads)
    if not done.texts:
        raise HarnessError(
            f"no clip of {opened.spec.name}/{split} has a caption: {'; '.join(_left_out(done)) or 'it has none'}",
            "`harness data check` says what is there and sound",
        )
    made_by = f"{value['name']}, {captioner.pretraining}"
    header = {"captioner": made_by, "dataset": opened.spec.name, "split": split}
    write_captions(out, done.texts.items(), header)
    return done


def check_out(out: Path, force: bool) -> None:
    """Refuse a place where no file can go, before any work is done for it."""
    if out.is_dir():
        raise HarnessError(f"{out} is a folder", "name a file with --out")
    if out.exists() and not force:
        raise HarnessError(f"{out} exists", "name another file with --out, or replace it with --force")


def summary(done: Captioned, out: Path) -> str:
    """What was written, what was left out and why, and what to do with the file."""
    lines = [f"{len(done.texts)} captions: {out}", *_left_out(done)]
    return "\n".join([*lines, f"to train with them: --set data.auxiliary.caption={shlex.quote(str(out))}"])


def _left_out(done: Captioned) -> list[str]:
    named = {
        "not found": dict.fromkeys(done.missing, ""),
        "damaged": {name: f" ({reason})" for name, reason in done.damaged.items()},
        "nothing said of": dict.fromkeys(done.silent, ""),
    }
    return [f"{len(clips)} clips {what}: {_few(clips)}" for what, clips in named.items() if clips]


def _few(clips: Mapping[str, str]) -> str:
    more = f", {len(clips) - _SHOWN} more" if len(clips) > _SHOWN else ""
    return ", ".join(f"{name}{reason}" for name, reason in list(clips.items())[:_SHOWN]) + more

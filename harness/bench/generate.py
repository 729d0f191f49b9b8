"""What is gained by keeping keys and values from one written token to the next.

The module of a method writes texts before a random memory of the size that its recipe's frames give: once
with nothing kept, once with the memory's keys and values, once with those of the text too
(:meth:`GenerativeModule.start`). All three write the same ids, or the result says so. The towers have no
weights: what they make is only asked for its shape. Whatever ends a text is passed over, so that every
text has the same length.

All take turns, so that whatever else the machine does slows each of them, and medians are compared. Beside
them stands the product of hidden states and word vectors alone, which none of them can save. Peak memory
is what one turn in a fresh process adds to module and memory; on a GPU, what its allocator counts.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from harness.bench import memory
from harness.bench.step import recipe_of
from harness.engine.execute import here
from harness.engine.progress import meter
from harness.errors import HarnessError
from harness.models import Backbone, BuildContext, GenerativeModule, VideoBatch, beam_search
from harness.models.assembly import build_backbone, make
from harness.plan.schema import Recipe
from harness.plugins import Registry, registry
from harness.results.table import NOTHING, markdown_table

#: What is kept, from all to nothing.
WAYS = ("all", "memory", "nothing")
#: An id that no vocabulary has: no text ends.
_NEVER = -1


@dataclass(frozen=True)
class Asked:
    """``clips`` are written about at once, ``beams`` texts each, ``tokens`` long; ``settings`` as for a run."""

    method: str
    settings: tuple[str, ...]
    clips: int
    tokens: int
    beams: int


@dataclass(frozen=True)
class Way:
    """Median seconds of a turn; megabytes at the peak, None where the system does not say; whether the
    written ids are those of the first way."""

    cache: str
    seconds: float
    peak_mb: float | None
    same: bool


@dataclass(frozen=True)
class Result:
    """``memory`` is tokens of a clip and their width; ``product_s`` the seconds of a turn's products with the
    vocabulary alone."""

    asked: Asked
    memory: tuple[int, int]
    vocabulary: int
    parameters: int
    device: str
    threads: int
    turns: int
    product_s: float
    ways: tuple[Way, ...]

    @property
    def same(self) -> bool:
        """Whether all ways wrote the same."""
        return all(way.same for way in self.ways)

    def over(self, way: Way) -> float:
        """Its time over that of the first, which keeps all."""
        return way.seconds / self.ways[0].seconds


class Work:
    """A module with random weights before random memories, equal in every process."""

    def __init__(self, asked: Asked) -> None:
        self.asked, device = asked, here().device
        recipe = recipe_of(asked.method, asked.settings, "")
        torch.manual_seed(0)
        self.module, shape = _writer(recipe, asked.method, registry(), device)
        random = torch.Generator().manual_seed(1)
        self.memory = torch.randn(asked.clips, *shape, generator=random).to(device)
        assert self.module.writes.vocabulary is not None
        self.vocabulary = self.module.writes.vocabulary.size

    @torch.inference_mode()
    def turn(self, cache: str, tokens: int, clips: int | None = None) -> tuple[float, Tensor]:
        """Seconds, and the ids ``[clips, tokens]`` of the best texts about the first ``clips`` (None: all)."""
        about = self.memory[:clips]
        began = _now()
        decoding = self.module.start(about, width=self.asked.beams, cache=cache)
        ids, _ = beam_search(decoding, len(about), self.asked.beams, tokens, _NEVER)
        return _now() - began, ids

    @torch.inference_mode()
    def products(self) -> float:
        """Seconds of as many products with a matrix of the vocabulary's size as a turn has tokens."""
        width = self.memory.shape[2]
        words = torch.zeros(self.vocabulary, width, device=self.memory.device)
        hidden = torch.zeros(self.asked.clips * self.asked.beams, width, device=self.memory.device)
        functional.linear(hidden, words)  # the first touch of the matrix is slower
        began = _now()
        for _ in range(self.asked.tokens):
            functional.linear(hidden, words)
        return _now() - began


def first_writer(registry: Registry) -> str:
    """The first method that writes; :class:`HarnessError` where none is installed."""
    for spec, _ in registry.specs("methods"):
        if "generate" in spec.offers:
            return spec.name
    raise HarnessError("no installed method writes", "install one that offers `generate`")


def measure(
    method: str | None, settings: Sequence[str], layers: int, clips: int, tokens: int, beams: int, turns: int
) -> Result:
    """``method`` None: the first that writes; ``layers`` of what writes, 0 for as many as the recipe has.

    Raises :class:`HarnessError` for a method that does not offer to write, or not so long a text.
    """
    spec, _ = registry().find("methods", method or first_writer(registry()))
    if "generate" not in spec.offers:
        able = [other.name for other, _ in registry().specs("methods") if "generate" in other.offers]
        raise HarnessError(
            f"method '{spec.name}' writes nothing", f"methods that do: {', '.join(able) or 'none installed'}"
        )
    cut = (f"model.temporal.layers={layers}",) if layers else ()
    asked = Asked(spec.name, (*cut, *settings), clips, tokens, beams)
    work = Work(asked)
    room = work.module.writes.context - 1
    if tokens > room:
        raise HarnessError(
            f"a text of {tokens} tokens is too long for '{spec.name}': it has room for {room} after the start token",
            f"--tokens {room}, or fewer",
        )
    for cache in WAYS:  # the first use of anything is slower
        work.turn(cache, min(tokens, 2))
    seconds: dict[str, list[float]] = {cache: [] for cache in WAYS}
    written: dict[str, Tensor] = {}
    products = []
    with meter("writing", turns * len(WAYS)) as shown:
        for turn in range(turns):
            products.append(work.products())
            for place, cache in enumerate(WAYS):
                took, written[cache] = work.turn(cache, tokens)
                seconds[cache].append(took)
                shown.update(turn * len(WAYS) + place + 1)
    ways = []
    with meter("peak memory", len(WAYS)) as shown:
        for place, cache in enumerate(WAYS):
            same = torch.equal(written[cache], written[WAYS[0]])
            ways.append(Way(cache, statistics.median(seconds[cache]), _peak(work, cache), same))
            shown.update(place + 1)
    return Result(
        asked=asked,
        memory=(work.memory.shape[1], work.memory.shape[2]),
        vocabulary=work.vocabulary,
        parameters=sum(p.numel() for p in work.module.parameters() if not p.is_meta),
        device=work.memory.device.type,
        threads=torch.get_num_threads(),
        turns=turns,
        product_s=statistics.median(products),
        ways=tuple(ways),
    )


def _writer(
    recipe: Recipe, method: str, registry: Registry, device: torch.device
) -> tuple[GenerativeModule, tuple[int, int]]:
    """The recipe's module beside towers without weights, and the size ``(K, W)`` of its memory of a clip."""

    def tower(value: Mapping[str, Any]) -> Backbone:
        with torch.device("meta"):
            return build_backbone(value, registry, load=False)

    backbone = tower(recipe.model.backbone)
    context = BuildContext(backbone, recipe.data.frames, recipe.data.text_length, tower, load=False)
    with device:
        module = make(recipe.model.temporal, "temporal modules", registry, context)
    if not isinstance(module, GenerativeModule):
        raise HarnessError(
            f"the temporal module '{recipe.model.temporal['name']}' of method '{method}' writes nothing",
            "choose a generative module",
        )
    module.eval()
    size, frames = backbone.preprocess.size, recipe.data.frames
    with torch.device("meta"), torch.inference_mode():
        pixels = torch.empty(1, frames, 3, size, size, dtype=torch.uint8)
        video = VideoBatch(("0",), pixels, torch.ones(1, frames, dtype=torch.bool), torch.zeros(1, frames))
        made = copy.deepcopy(module).to("meta").encode_with_memory(backbone, video)
    assert made.memory is not None
    return module, (made.memory.shape[1], made.memory.shape[2])


def _peak(work: Work, cache: str) -> float | None:
    if work.memory.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work.turn(cache, work.asked.tokens)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return peak_megabytes(work.asked, cache)


def peak_megabytes(asked: Asked, cache: str) -> float | None:
    """What one turn adds to the memory of a fresh process at its peak; None where the system does not
    say."""
    if not memory.is_told():
        return None
    code = "import sys; from harness.bench.generate import print_peak; print_peak(*sys.argv[1:])"
    # glibc otherwise keeps what was freed, and the peak would depend on how well the gaps are filled.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    command = [sys.executable, "-c", code, json.dumps(asdict(asked)), cache]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def print_peak(asked: str, cache: str) -> None:
    """In that process: writes once, and prints the megabytes by which the peak exceeds what was held before.
    Two tokens about one clip go first, for what any first use loads."""
    values = json.loads(asked)
    work = Work(Asked(**{**values, "settings": tuple(values["settings"])}))
    work.turn(cache, min(work.asked.tokens, 2), clips=1)
    memory.reset_peak()
    before = memory.resident_mb()
    work.turn(cache, work.asked.tokens)
    print(memory.peak_mb() - before)


def _now() -> float:
    if here().device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def to_json(result: Result) -> str:
    values = asdict(result) | {"same": result.same}
    texts = result.asked.clips * result.asked.beams
    for shown, way in zip(values["ways"], result.ways, strict=True):
        shown["time_ratio"] = result.over(way)
        shown["tokens_per_s"] = texts * result.asked.tokens / way.seconds
    return json.dumps(values, indent=2)


def summary(result: Result) -> str:
    """A line for each way, with its time over that of keeping all, and the share that none can save."""
    asked = result.asked
    tokens = asked.clips * asked.beams * asked.tokens
    rows = []
    for way in result.ways:
        shown = [way.cache, f"{way.seconds:.2f}", f"{tokens / way.seconds:,.1f}", f"{result.over(way):.2f}"]
        shown += [NOTHING if way.peak_mb is None else f"{way.peak_mb:,.0f}"]
        rows.append([*shown, f"{result.product_s / way.seconds:.0%}"])
    headers = ["kept", "seconds", "tokens/s", "x time", "MB at peak", "vocabulary"]
    beams = "greedy" if asked.beams == 1 else f"{asked.beams} beams"
    others = ", ".join(way.cache for way in result.ways if not way.same)
    notes = [
        f"{asked.method}{''.join(f', {setting}' for setting in asked.settings)}: {asked.clips} clips at once, "
        f"{asked.tokens} tokens, {beams}; memory {result.memory[0]:,} x {result.memory[1]}, vocabulary "
        f"{result.vocabulary:,}, {result.parameters / 1e6:.1f} M parameters",
        f"{result.device}, threads: {result.threads}; single precision, medians of {result.turns} turns; x: over "
        f"all; MB: gained by a turn; vocabulary: share of the {result.product_s:.2f} s of its products",
        "all write the same ids" if result.same else f"the ids DIFFER: {result.ways[0].cache}, {others}",
    ]
    return "\n\n".join([markdown_table(headers, rows), "\n".join(notes)])

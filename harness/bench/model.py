"""What a temporal module's attention inside the tower costs, against attention that does as much or more.

A module that runs blocks over a whole clip says how (:meth:`TemporalModule.attention`). On the same
random tokens, forward and backward, at batch 1 and in single precision, it is measured against

- ``full``: every token sees every token;
- ``dense mask``: who sees whom as one boolean mask of all tokens by all tokens;
- ``naive softmax``: the same mask on scores that are written out, as attention is before it is fused;

once alone and once in whole blocks (norms, projections, feed-forward), where the rest costs all of them
the same. All take turns, so that whatever else the machine does slows each of them, and medians are
compared. Peak memory is what a fresh process gains over holding model and inputs, where whatever is
freed is given back at once; on a GPU, what its allocator counts. What would not fit into the free memory is left out, and said.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from harness.bench import memory
from harness.bench.attention import BLOCKS, DENSE, FULL, NAIVE, What, Work
from harness.bench.stand_in import refuse_backbone
from harness.engine.execute import here
from harness.engine.progress import meter
from harness.errors import HarnessError
from harness.models import Attention, Backbone, BuildContext, ClipAttention, TemporalModule, full_attention
from harness.models.assembly import build_backbone, make
from harness.plugins import Registry, registry
from harness.results.table import NOTHING, markdown_table

TEXT_LENGTH = 32
#: Fewer turns are timed where more would take longer than this, but never fewer than LEAST_TURNS.
BUDGET_S, LEAST_TURNS = 60.0, 3
#: Share of the free memory that a measurement may take.
_SHARE = 0.8


@dataclass(frozen=True)
class Way:
    """One kind of attention. Seconds of a forward pass and of forward and backward together, medians;
    megabytes at the peak, None where the system does not say; ``difference``: the largest between its
    outputs and the module's, None where another result is expected."""

    name: str
    forward_s: float
    total_s: float
    peak_mb: float | None
    difference: float | None


@dataclass(frozen=True)
class Case:
    """One size. ``ways[0]`` is the module; ``left_out`` has the reason of each that was not measured."""

    what: What
    backbone: str
    frames: int
    tokens: int
    turns: int
    ways: tuple[Way, ...]
    left_out: dict[str, str]

    def over(self, name: str) -> tuple[float, float | None] | None:
        """Time and peak memory of the way ``name`` over the module's; None where it was left out."""
        own = self.ways[0]
        for way in self.ways:
            if way.name == name:
                known = way.peak_mb is not None and own.peak_mb
                return way.total_s / own.total_s, way.peak_mb / own.peak_mb if known else None
        return None


@dataclass(frozen=True)
class Result:
    """All cases of one run; ``blocks`` is how many a ``block`` case runs."""

    module: str
    device: str
    threads: int
    blocks: int
    cases: tuple[Case, ...]


def measure(
    registry: Registry,
    temporal: str | None,
    backbones: Sequence[str],
    frames: Sequence[int],
    what: Sequence[What],
    turns: int,
) -> Result:
    """A case for each backbone, number of frames and kind of work.

    ``temporal`` is a temporal module that says how it attends to a clip; None takes the first that is
    installed. Raises :class:`HarnessError` for one that does not, and where there is none.
    """
    name = _chosen(registry, temporal, backbones[0])
    cases = []
    for backbone_name in backbones:
        backbone = _backbone(registry, backbone_name)
        for count in frames:
            attention = _attention(registry, name, backbone, count)
            for kind in what:
                work = Work(kind, backbone, attention, count)
                cases.append(_case(work, name, backbone_name, count, turns))
    layers = min(BLOCKS, len(backbone.visual.blocks))
    return Result(name, here().device.type, torch.get_num_threads(), layers, tuple(cases))


def _case(work: Work, module: str, backbone: str, frames: int, turns: int) -> Case:
    ways, left_out = {}, {}
    for name in (module, FULL, DENSE, NAIVE):
        free, needs = _free_mb(), work.needs_mb(name)
        if free is not None and needs > _SHARE * free:
            left_out[name] = f"it needs about {needs:,.0f} MB, and {free:,.0f} MB are free"
        else:
            ways[name] = work.way(name)
    began, outputs = time.perf_counter(), {}
    for name, attend in ways.items():  # the first use of anything is slower
        output = work.turn(attend)[2]
        if name != FULL:
            outputs[name] = output
    differences = {name: float((output - outputs[module]).abs().max()) for name, output in outputs.items()}
    outputs.clear()
    fitting = int(BUDGET_S / (time.perf_counter() - began))
    turns = max(min(turns, LEAST_TURNS), min(turns, fitting))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with meter(f"{work.what}, {backbone}, {frames} frames", turns) as shown:
        for turn in range(turns):
            for name, attend in ways.items():
                seconds[name].append(work.turn(attend)[:2])
            shown.update(turn + 1)
    rows = []
    for name, attend in ways.items():
        forward, total = (statistics.median(column) for column in zip(*seconds[name], strict=True))
        peak = _peak(work, attend, name, module, backbone, frames)
        other = None if name == module else differences.get(name)
        rows.append(Way(name, forward, total, peak, other))
    return Case(work.what, backbone, frames, work.tokens, turns, tuple(rows), left_out)


def _peak(work: Work, attend: Attention, name: str, module: str, backbone: str, frames: int) -> float | None:
    if work.input.is_cuda:
        work.backbone.zero_grad()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work.turn(attend)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return peak_megabytes(work.what, backbone, frames, module, name)


def peak_megabytes(what: What, backbone: str, frames: int, module: str, name: str) -> float | None:
    """What one turn adds to the memory of a fresh process at its peak; None where the system does not
    say."""
    if not memory.is_told():
        return None
    code = "import sys; from harness.bench.model import print_peak; print_peak(*sys.argv[1:])"
    command = [sys.executable, "-c", code, what, backbone, str(frames), module, name]
    # glibc otherwise keeps what was freed, and the peak would depend on how well the gaps are filled.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def print_peak(what: What, backbone: str, frames: str, module: str, name: str) -> None:
    """In that process: takes a turn, and prints the megabytes by which the peak exceeds what was held
    before. A turn over one frame goes first, for what any first use loads."""
    tower = _backbone(registry(), backbone)
    for count in (1, int(frames)):
        work = Work(what, tower, _attention(registry(), module, tower, count), count)
        attend = work.way(name)
        tower.zero_grad()
        memory.reset_peak()
        before = memory.resident_mb()
        work.turn(attend)
    print(memory.peak_mb() - before)


def _backbone(registry: Registry, name: str) -> Backbone:
    torch.manual_seed(0)
    return build_backbone({"name": name}, registry, load=False).to(here().device)


def _attention(registry: Registry, name: str, backbone: Backbone, frames: int) -> ClipAttention | None:
    context = BuildContext(backbone, frames, TEXT_LENGTH, refuse_backbone)
    module: TemporalModule = make({"name": name}, "temporal modules", registry, context)
    return module.attention(frames)


def _chosen(registry: Registry, asked: str | None, backbone_name: str) -> str:
    """The module's own name, after a look at what it says."""
    backbone = _backbone(registry, backbone_name)
    if asked is not None:
        name = registry.find("temporal modules", asked)[0].name
        if _attention(registry, name, backbone, 1) is None:
            raise HarnessError(
                f"temporal module '{name}' leaves the tower's attention as it is",
                "measure a module that runs the tower over a whole clip, or leave --temporal out",
            )
        return name
    for spec, _ in registry.specs("temporal modules"):
        try:
            found = _attention(registry, spec.name, backbone, 1)
            if found is not None and found.attend is not full_attention:  # which is measured anyway
                return spec.name
        except HarnessError:
            continue  # it cannot be put on this backbone
    raise HarnessError(
        f"no installed temporal module attends to a whole clip inside {backbone_name}",
        'install one, or choose another --backbone; `harness list "temporal modules"` shows them',
    )


def _free_mb() -> float | None:
    if here().device.type == "cuda":
        return torch.cuda.mem_get_info()[0] / 2**20
    return memory.available_mb()


def to_json(result: Result) -> str:
    values = asdict(result)
    for shown, case in zip(values["cases"], result.cases, strict=True):
        for way in shown["ways"]:
            way["time_ratio"], way["memory_ratio"] = case.over(way["name"])
    return json.dumps(values, indent=2)


def summary(result: Result) -> str:
    """A line for each way of each case, with its time and memory over the module's."""
    headers = ["what", "backbone", "frames", "tokens", "attention", "forward (ms)", "both (ms)", "MB at peak"]
    headers += ["x time", "x memory"]
    body = []
    for case in result.cases:
        for way in case.ways:
            slower, larger = case.over(way.name)
            shown = [case.what, case.backbone, str(case.frames), f"{case.tokens:,}"]
            shown += [way.name, f"{way.forward_s * 1000:.1f}", f"{way.total_s * 1000:.1f}"]
            shown += [NOTHING if way.peak_mb is None else f"{way.peak_mb:,.0f}", f"{slower:.2f}"]
            body.append([*shown, NOTHING if larger is None else f"{larger:.2f}"])
    turns = sorted({case.turns for case in result.cases})
    spread = f"{turns[0]} turns" if len(turns) == 1 else f"{turns[0]} to {turns[-1]} turns"
    notes = [
        f"{result.device}, threads: {result.threads}; batch 1, single precision, medians of {spread}; a block "
        f"case runs {result.blocks} blocks; x: over {result.module}; MB: gained by a turn"
    ]
    masked = [way.difference for case in result.cases for way in case.ways if way.difference is not None]
    if masked:
        notes.append(f"largest difference between two ways to the same outputs: {max(masked):.1e}")
    for case in result.cases:
        for name, reason in case.left_out.items():
            notes.append(f"left out: {name}, {case.what}, {case.backbone}, {case.frames} frames: {reason}")
    return "\n\n".join([markdown_table(headers, body), "\n".join(notes)])

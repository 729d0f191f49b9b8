"""Scoring keeps within `evaluation.tile_memory_mb`, and gives the same scores however it is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_NEEDS_PROC = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="this system does not tell a process's peak"
)

#: In a process of its own: the resident memory that ``score_matrix`` adds at its peak, without the matrix,
#: in megabytes; how many pieces it makes; and the scores beside those of a single piece.
_PROGRAM = """
import json, sys
import torch
from harness.bench.stand_in import StandIn, refuse_backbone
from harness.engine.execute import here
from harness.engine.score import block_rows, score_matrix, tile_side
from harness.models import BuildContext, Features
from harness.models.assembly import VideoTextModel, build_backbone, make
from harness.plugins import registry

def kilobytes(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

name, frames, texts, clips, budget = sys.argv[1], *map(int, sys.argv[2:])
torch.manual_seed(0)
torch.set_num_threads(1)
tower = {"name": "ViT-B-32-quickgelu", "vision_layers": 1, "text_layers": 4}
stand_in = StandIn(build_backbone(tower, registry(), load=False), 1)
context = BuildContext(stand_in, frames, 32, refuse_backbone)
model = VideoTextModel(stand_in, make({"name": name}, "temporal modules", registry(), context)).eval()
with torch.no_grad():  # a last layer that starts near zero would hide rounding
    for parameter in model.temporal.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
vectors, tokens = torch.randn(texts, 512), torch.randn(clips, frames, 512)
said = Features(vectors[:, None], torch.ones(texts, 1, dtype=torch.bool), vectors)
shown = Features(tokens, torch.rand(clips, frames) < 0.9, tokens.mean(1))
score_matrix(model, said[:2], shown[:2], here(), budget)
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = kilobytes("VmRSS")
scores = score_matrix(model, said, shown, here(), budget)
added = (kilobytes("VmHWM") - before) / 1024 - scores.nbytes / 2**20
whole = score_matrix(model, said, shown, here(), 2**20)
size = tile_side(said, shown, budget) if model.temporal.pairwise else block_rows(said, shown, budget)
print(json.dumps([added, size, abs(scores - whole).max() / abs(whole).max()]))
"""


def _measured(*arguments: object) -> tuple[float, int, float]:
    """Megabytes added, texts of a tile or block, and the largest difference by the largest entry."""
    # Large blocks go back to the system when they are freed, so that what is resident is what is held.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


@_NEEDS_PROC
@pytest.mark.parametrize(("frames", "side", "budget"), [(12, 24, 256), (64, 12, 256), (12, 12, 48)])
def test_a_pairwise_head_keeps_within_its_budget(frames, side, budget):
    """Several tiles of a cross-encoder of 4 layers, 512 wide, add less resident memory than the budget
    to that before scoring, and give the scores of a single tile."""
    added, tile, difference = _measured("tight_transformer", frames, side, side, budget)
    assert 1 < tile < side and budget / 4 < added < budget
    assert difference <= 1e-5


@_NEEDS_PROC
def test_cached_vectors_keep_within_their_budget():
    """Blocks of a product of vectors add less than the budget, the matrix itself left out."""
    added, rows, difference = _measured("mean_pool", 1, 1500, 8000, 64)
    assert 1 < rows < 750 and 16 < added < 64
    assert difference <= 1e-5

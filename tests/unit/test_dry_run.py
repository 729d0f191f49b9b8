"""What a dry run says that scoring will take."""

from __future__ import annotations

import json
from itertools import count

import pytest
import torch

from harness.data import Clip
from harness.engine import dry_run
from harness.engine.training_data import share_of
from harness.models import Features


class Judge(torch.nn.Module):
    """Notes what it is given to score, as the model of a cross-encoder or of cached vectors."""

    def __init__(self, pairwise: bool) -> None:
        super().__init__()
        self.temporal, self.given = torch.nn.Module(), []
        self.temporal.pairwise = pairwise

    def score(self, text: Features, video: Features) -> torch.Tensor:
        self.given.append((len(text), len(video)))
        return torch.zeros(len(text), len(video))


@pytest.mark.parametrize(("pairwise", "piece"), [(True, (8, 8)), (False, (32, 1000))])
def test_all_pairs_are_projected_from_a_second_piece(monkeypatch, pairwise, piece):
    """A tile of pairs, or a block within the budget, is made twice; its time is scaled to all scores."""
    clock = count()
    monkeypatch.setattr(dry_run.time, "perf_counter", lambda: next(clock))
    vector = torch.zeros(1, 1, 64)
    one = Features(vector, torch.ones(1, 1, dtype=torch.bool), vector[0])
    judge = Judge(pairwise)
    seconds = dry_run._score_seconds(judge, one, one, (2000, 1000), 1)
    assert judge.given == [piece, piece]
    assert seconds == 2000 * 1000 / (piece[0] * piece[1])


@pytest.mark.parametrize(
    ("method", "workers", "said"),
    [
        ("clip4clip_tighttransf", 0, "about 3:20 on one "),
        ("clip4clip_tighttransf", 2, "about 1:40 on 2 workers, each on one "),
        ("clip4clip_meanp", 2, "about 3:20 on one "),
    ],
)
def test_workers_share_pairs_only(cli, workplace, small_shapes, monkeypatch, method, workers, said):
    """Two workers halve the time of a cross-encoder; cached vectors are multiplied by the first alone."""
    monkeypatch.setattr(dry_run, "_score_seconds", lambda *given: 200.0)
    done = cli("run", "--method", method, *small_shapes, "--workers", workers, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert f"scoring           192 x 192 pairs, {said}" in done.stdout


@pytest.mark.parametrize(
    ("share", "batch", "steps"),
    [(1.0, 8, 20), (0.5, 8, 20), (0.5, 128, 1)],  # 192 clips would be 24 steps of 8
)
def test_the_steps_shown_are_those_that_are_trained(cli, workplace, small_shapes, share, batch, steps):
    """Samples are those whose clip has every text that the loss reads, and of which a share is trained on; the
    steps are those of the whole set."""
    names = [f"train{i:05d}" for i in range(192)]
    described = {name for i, name in enumerate(names) if i % 6}
    lines = [json.dumps({"clip_id": name, "caption": "seen"}) + "\n" for name in sorted(described)]
    (workplace / "captions.jsonl").write_text("".join(lines))
    settings = (
        "train.loss={name: ocl_vs_vc}",
        "data.auxiliary.caption=captions.jsonl",
        f"data.train_fraction={share}",
        f"train.batch_size={batch}",
    )
    asked = [part for setting in settings for part in ("--set", setting)]
    done = cli("run", "--method", "clip_vip", *small_shapes, *asked, "--dry-run")
    assert done.exit_code == 0, done.stderr
    own = sum(clip.id in described for clip in share_of([Clip(name, None) for name in names], share))
    assert f"stage finetune    {own} samples, {steps} steps of {min(own, batch)}, about" in done.stdout

"""Two ranks that share a batch, with the reference's gather and with the exact one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clip4clip
import clip4clip_ranks
import pytest
from clip4clip import Case
from golden import read_json
from test_clip4clip_models import GRADIENT, LOSS, SMALLEST_GRADIENT

from harness.testing.crew import Crew


def _cases() -> list[Any]:
    found = []
    for path in clip4clip.listing().get("distributed", []):
        content = read_json(path)
        found += [
            pytest.param(path, content["world_size"], name, facts, id=f"clip4clip-distributed-{name}")
            for name, facts in content["cases"].items()
        ]
    return found or [pytest.param(None, 0, "", {}, id="clip4clip-distributed-none-found")]


@pytest.fixture(scope="module")
def crew(tmp_path_factory) -> Iterator[Crew]:
    sizes = [read_json(path)["world_size"] for path in clip4clip.listing().get("distributed", [])]
    made = Crew(max(sizes, default=1), tmp_path_factory.mktemp("crew"))
    yield made
    made.close()


def _model(path: Path | None, name: str) -> Case:
    assert path, f"no two-rank case in {clip4clip.FOLDER}"
    models = {found.stem: found for found in clip4clip.listing().get("model", [])}
    assert name in models, f"{path} is about {name}, which is not in {clip4clip.FOLDER}"
    return Case(models[name])


@pytest.mark.parametrize("path, world, name, facts", _cases())
def test_reference_gather(path, world, name, facts, crew) -> None:
    """Each rank's loss and gradient norms, and what their average is, as recorded; tight heads gather nothing."""
    case = _model(path, name)
    answers = crew.run(world, clip4clip_ranks.training_step, case.path, facts["per_rank_batch"], "reference")
    expected = dict(facts["ddp_averaged_grads"])
    for rank, (loss, own, averaged) in enumerate(answers):
        assert loss == pytest.approx(facts["loss_per_rank"][rank], rel=LOSS)
        local = facts["local_grad_norms_per_rank"][rank]
        unread = set(expected) - set(averaged)  # tables that nothing reads are no parameters of ours
        assert all(expected[key] is None for key in unread) and set(averaged) <= set(expected)
        for key, found in averaged.items():
            assert (found is None) == (expected[key] is None), key
            if found is None or expected[key]["norm"] <= SMALLEST_GRADIENT:
                continue
            assert own[key] == pytest.approx(local[key], rel=GRADIENT), key
            norm = expected[key]["norm"]
            assert found["norm"] == pytest.approx(norm, rel=GRADIENT), key
            assert found["first"] == pytest.approx(expected[key]["first"], abs=GRADIENT * norm), key


@pytest.mark.parametrize("path, world, name, facts", _cases())
def test_exact_gather(path, world, name, facts, crew) -> None:
    """With the exact gather every rank has the loss of one process on the whole batch, and its gradient."""
    case = _model(path, name)
    [alone] = crew.run(1, clip4clip_ranks.training_step, case.path, world * facts["per_rank_batch"], "exact")
    assert alone[0] == pytest.approx(facts["single_process_loss_on_the_whole_batch"], rel=LOSS)
    for loss, _, averaged in crew.run(
        world, clip4clip_ranks.training_step, case.path, facts["per_rank_batch"], "exact"
    ):
        assert loss == pytest.approx(alone[0], rel=LOSS)
        for key, found in averaged.items():
            if found is not None and alone[2][key]["norm"] > SMALLEST_GRADIENT:
                assert found["norm"] == pytest.approx(alone[2][key]["norm"], rel=GRADIENT), key

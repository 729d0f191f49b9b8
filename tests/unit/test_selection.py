"""Which epoch of a run is scored."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.engine import checkpoint
from harness.engine.inputs import samples
from harness.engine.train import Trainer
from harness.engine.worker import Job, work
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness.results.record import Metrics
from harness_standard.retrieval import Retrieval
from tests.support.parts import opened

ALONE = Workers(0, 1, torch.device("cpu"))


def _plan(*settings):
    request = Request(
        method="clip4clip_meanp",
        dataset="shapes",
        backbone="tiny",
        settings=(
            "data.options.train_clips=32",
            "train.batch_size=16",
            "train.epochs=3",
            "data.frames=2",
            *settings,
        ),
        use_cache=False,
    )
    return build_plan(request, registry())[0]


def test_the_best_epoch_is_kept_and_survives_a_restart(small_shapes, tmp_path):
    """Of three epochs judged 1, 3 and 2 the model of the second comes out, also where the run was
    stopped after the second and went on from its checkpoint."""
    plan = _plan()
    model, dataset, batches = opened(plan)
    usable = samples(dataset.clips("train"), dataset.captions("train"), "one_per_clip", {})
    scores, seen = [1.0, 3.0, 2.0], []

    def judge() -> float:
        if len(seen) == 2 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return scores[len(seen) - 1]

    def trainer():
        return Trainer(
            model, plan.recipe, {"finetune": usable}, batches, ALONE, registry(), 0, tmp_path, judge=judge
        )

    with pytest.raises(KeyboardInterrupt):
        trainer().run()
    progress = trainer().run()
    assert (progress.best_epoch, progress.best) == (2, 3.0) and len(seen) == 3
    assert all(torch.equal(value, seen[1][name]) for name, value in model.state_dict().items())
    assert (tmp_path / checkpoint.BEST).exists()


def test_the_last_epoch_is_judged_after_a_restart_too(small_shapes, tmp_path):
    """A run that was stopped while its last epoch was judged, right after a checkpoint of its last step,
    judges that epoch when it goes on."""
    plan = _plan()
    model, dataset, batches = opened(plan)
    usable = samples(dataset.clips("train"), dataset.captions("train"), "one_per_clip", {})
    judged: list[int] = []

    def judge() -> float:
        judged.append(len(judged))
        if len(judged) == 3:
            raise KeyboardInterrupt
        return float(len(judged))

    def trainer():
        return Trainer(
            *(model, plan.recipe, {"finetune": usable}, batches, ALONE, registry(), 0, tmp_path, 2),
            judge=judge,
        )

    with pytest.raises(KeyboardInterrupt):
        trainer().run()
    progress = trainer().run()
    assert (progress.best_epoch, progress.steps, len(judged)) == (3, 6, 4)


@pytest.mark.parametrize("selection", ["val", "test"])
def test_a_selected_epoch_is_scored(selection, small_shapes, tmp_path):
    """The outcome is that of the best epoch on the split that the recipe names."""
    plan = _plan(f"evaluation.selection={selection}", "data.val_split=test")
    outcome = work(Job(plan=plan, folder=str(tmp_path)), ALONE)
    assert 1 <= outcome.training.selected_epoch <= 3
    best = checkpoint.load_checkpoint(tmp_path)["progress"]["best"]
    assert isinstance(outcome.metrics, Metrics) and outcome.metrics.t2v["R@1"] == best


def test_what_a_result_notes_is_said_once(small_shapes, tmp_path, monkeypatch, capsys):
    """The notes of a run's own result are a line each; those of the epochs that are judged are not told."""
    evaluated, evaluate = [], Retrieval.evaluate

    def noting(self, evaluation):
        evaluated.append(evaluation)
        return replace(evaluate(self, evaluation), notes=("no such figure: no such program",))

    monkeypatch.setattr(Retrieval, "evaluate", noting)
    plan = _plan("evaluation.selection=test", "train.epochs=1")
    work(Job(plan=plan, folder=str(tmp_path)), ALONE)
    assert len(evaluated) == 2
    assert capsys.readouterr().err.count("retrieval: no such figure: no such program\n") == 1


def test_a_protocol_without_validation_split_says_so(small_shapes):
    """Selecting on a split that is not there is refused before any work, with what to set."""
    with pytest.raises(HarnessError) as caught:
        _plan("evaluation.selection=val")
    assert "shapes/test-192 has no validation split" in caught.value.message
    assert "data.val_split" in caught.value.hint

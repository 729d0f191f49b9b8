"""The number of workers changes nothing: not the gradient, not the losses, not the ranks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from harness.engine.run_data import open_prepared
from harness.plan.plan import Request, build_plan
from harness.plan.run_plan import RunPlan
from harness.plugins import registry
from harness.testing.crew import Crew
from tests.support import pairs, parts

#: Relative to the largest entry of each tensor.
TOLERANCE = 1e-8
STEPS = 5

METHODS = {
    "clip_vip": (),
    "omnisource": ("train.loss={name: ocl_vsc_fc}",),
    "pairwise": (f"model.temporal={{name: {pairs.NAME}}}",),
}
#: A small VLAB with cross-attentions of their own for both streams; no weight draws random numbers.
WRITER = (
    "model.temporal={dropout: 0.0, adapter_width: 8, hidden_size: 24, heads: 2, layers: 1, intermediate_size: 32,"
    " share_cross_attention: false}",
    "model.backbone={layers: 1, text_layers: 1}",
)
#: Losses of what is written, and all of the method's at once.
WRITTEN = ("vlab_all_tasks", "uni_lm", "answer")
#: 190 readable clips and 192 texts in batches of 40: no share is like another.
TEST_BATCH = "evaluation.batch_size=40"


@pytest.fixture(scope="module")
def crew(tmp_path_factory, shared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(shared_cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        members = Crew(3, tmp_path_factory.mktemp("meetings"))
    yield members
    members.close()


@pytest.fixture(autouse=True)
def _here(cached_here):
    pairs.register()


@pytest.fixture
def plan(cached_here):
    """Makes the plan of a method in fp64, with its clips on disk."""

    def make(method: str, *settings: str, data_root=None) -> RunPlan:
        chosen = ("train.precision=fp64", "train.clip_grad_norm=0")
        own = (*WRITER, f"train.loss={{name: {method}}}") if method in WRITTEN else METHODS[method]
        request = Request(
            method="vlab_l" if method in WRITTEN else "clip_vip",
            dataset="shapes",
            data_roots=(data_root,) if data_root else (),
            settings=(*chosen, *own, *settings),
        )
        made, _ = build_plan(request, registry())
        open_prepared(made, registry())
        return made

    return make


def _training(batch: int, clips: int) -> tuple[str, ...]:
    return (f"data.options.train_clips={clips}", f"train.batch_size={batch}", "train.epochs=1")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("batch", "world"), [(8, 2), (9, 2), (8, 3)])
def test_gradients_and_losses(crew, plan, tmp_path, method, batch, world):
    """First-step gradients of every parameter and five losses equal those of one process."""
    drawn = ("data.jitter=true", "data.candidates=12", "data.frame_order=shuffled")
    asked = plan(method, *_training(batch, batch * STEPS), *drawn)
    [(losses, gradients)] = crew.run(1, parts.train, asked, tmp_path / "one")
    shared, shared_gradients = crew.run(world, parts.train, asked, tmp_path / "many")[0]
    assert len(losses) == STEPS and len(set(losses)) == STEPS
    np.testing.assert_allclose(shared, losses, rtol=TOLERANCE, atol=0)
    assert shared_gradients.keys() == gradients.keys()
    assert any(name.startswith("temporal.") for name in gradients)
    assert any(name.startswith("backbone.clip.visual.") for name in gradients)
    for name, gradient in gradients.items():
        scale = gradient.abs().max().item()
        assert scale > 0, f"{name} is not trained"
        difference = (shared_gradients[name] - gradient).abs().max().item()
        assert difference <= TOLERANCE * scale, name


@pytest.mark.parametrize("method", METHODS)
def test_a_few_samples_at_a_time(crew, plan, tmp_path, method):
    """Two workers that encode two samples at once have the losses of one that encodes all nine."""
    asked = plan(method, *_training(9, 27))
    [(losses, _)] = crew.run(1, parts.train, asked, tmp_path / "one")
    shared, _ = crew.run(2, parts.train, asked, tmp_path / "many", 2)[0]
    np.testing.assert_allclose(shared, losses, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("loss", WRITTEN)
def test_losses_of_what_is_written(crew, plan, tmp_path, loss):
    """Three losses and all first gradients of two workers, whole and two samples at a time, are those of
    one: means over all words and answers of the batch, and the same words hidden."""
    asked = plan(loss, *_training(9, 27), "data.jitter=true", "data.candidates=12")
    [(losses, gradients)] = crew.run(1, parts.train, asked, tmp_path / "one")
    assert len(losses) == len(set(losses)) == 3
    largest = max(gradient.abs().max().item() for gradient in gradients.values())
    for micro_batch in (0, 2):
        folder = tmp_path / f"many-{micro_batch}"
        shared, shared_gradients = crew.run(2, parts.train, asked, folder, micro_batch)[0]
        np.testing.assert_allclose(shared, losses, rtol=TOLERANCE, atol=0)
        assert shared_gradients.keys() == gradients.keys()
        assert {
            "temporal.mlm_head.bias",
            "temporal.image_type",
            "temporal.frame_embedding",
        } <= gradients.keys()
        for name, gradient in gradients.items():
            # A key's bias, for one, has no gradient but rounding: attention does not see it.
            scale = max(gradient.abs().max().item(), 1e-6 * largest)
            difference = (shared_gradients[name] - gradient).abs().max().item()
            assert difference <= TOLERANCE * scale, name


@pytest.mark.parametrize("asked", [False, True])
def test_written_texts(crew, plan, tmp_path, asked):
    """Captions by beam search, and answers to three questions about each clip, are the same for one and
    two workers and for any batch size, with one clip missing."""
    texts = []
    for world, size in ((1, 5), (1, 3), (2, 3)):
        settings = ("data.options.train_clips=8", f"evaluation.batch_size={size}", "data.frames=2")
        found, *others = crew.run(world, parts.write, plan("uni_lm", *settings), asked, 11)
        assert others == [(None, found[1])] * (world - 1)
        texts.append(found)
    assert texts[0] == texts[1] == texts[2]
    written, unreadable = texts[0]
    assert len(written) == 10 and unreadable == {"test00003": "not found"}
    assert {len(each) for each in written.values()} == {3 if asked else 1}
    assert len({tuple(each) for each in written.values()}) > 1


def test_a_loss_with_parameters_in_a_second_stage(crew, plan, tmp_path):
    """A loss's own parameters start equal on all workers in every stage, and are trained as one."""
    stages = "stages={first: {loss: {name: tests_recoded}}, second: {loss: {name: tests_recoded}}}"
    asked = plan("clip_vip", *_training(9, 27), stages)
    [(losses, _)] = crew.run(1, parts.train, asked, tmp_path / "one")
    shared, _ = crew.run(2, parts.train, asked, tmp_path / "many")[0]
    assert len(losses) == 6
    np.testing.assert_allclose(shared, losses, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("world", [2, 3])
def test_gathers_that_share_a_gradient(crew, world):
    """Two gathered tensors that are added up get the gradient of a single process each."""
    rows = 7
    squares = sum((row + 1) ** 2 for row in range(rows))
    for loss, gradient in crew.run(world, parts.gather_twice, rows):
        assert loss == 4 * squares
        assert gradient.tolist() == [4 * squares, 4 * squares]


@pytest.mark.parametrize("method", METHODS)
def test_ranks(crew, plan, tmp_path, shared_cache, method):
    """One checkpoint has the same counts, and retrieves the same clips with the same scores, for 1, 2 and 3
    workers, with one clip missing, one damaged."""
    root = tmp_path / "data"
    shutil.copytree(shared_cache / "data", root)
    settings = ("data.options.train_clips=8", TEST_BATCH, "evaluation.tile_memory_mb=64")
    settings += ("data.frame_order=shuffled",)
    asked = plan(method, *settings, data_root=str(root))
    (missing,) = root.rglob("test00005.mp4")
    missing.unlink()
    (damaged,) = root.rglob("test00100.mp4")
    damaged.write_bytes(damaged.read_bytes()[:200])
    [model] = crew.run(1, parts.save_untrained, asked, tmp_path)
    [alone] = crew.run(1, parts.evaluate, asked, tmp_path, model)
    queries, metrics, unreadable, retrieved = alone
    assert retrieved.count(b'"found"') == 192
    assert set(unreadable) == {"test00005", "test00100"}
    assert len(set(queries.t2v.better_list())) > 20 and metrics.t2v["MnR"] > 1
    for world in (2, 3):
        first, *others = crew.run(world, parts.evaluate, asked, tmp_path, model)
        assert first == alone
        assert others == [None] * (world - 1)


def test_probes(crew, plan, tmp_path, shared_cache):
    """One checkpoint has the same counts for 1 and 2 workers with its frames in each order, and each order
    has others; the missing clip is the last of all 192."""
    root = tmp_path / "data"
    plan("clip_vip", "data.options.train_clips=8")
    shutil.copytree(shared_cache / "data", root)
    asked = plan("clip_vip", "data.options.train_clips=8", TEST_BATCH, data_root=str(root))
    (missing,) = root.rglob("test00005.mp4")
    missing.unlink()
    [model] = crew.run(1, parts.save_untrained, asked, tmp_path)
    [alone] = crew.run(1, parts.probe, asked, tmp_path, model)
    probes, unreadable = alone
    assert set(unreadable) == {"test00005"}
    assert len({one.queries.better for one in probes.values()}) == len(probes) == 3
    assert all(one.queries.better_list()[5] == one.queries.gallery - 1 == 191 for one in probes.values())
    assert crew.run(2, parts.probe, asked, tmp_path, model) == [alone, None]


def test_tiles_of_any_size(crew, plan):
    """Pairwise scores are equal to rounding for any tile budget, and to the bit for any workers."""
    asked, counts = plan("pairwise", "data.options.train_clips=8", "evaluation.batch_size=7"), (40, 31)
    [whole] = crew.run(1, parts.score, asked, counts, 1024)
    assert whole.shape == counts and len(np.unique(whole)) == whole.size
    for budget in (1, 5):
        [tiled] = crew.run(1, parts.score, asked, counts, budget)
        np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-14)
        for world in (2, 3):
            first, *others = crew.run(world, parts.score, asked, counts, budget)
            assert np.array_equal(first, tiled)
            assert others == [None] * (world - 1)

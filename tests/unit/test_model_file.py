"""The whole model from a file, and under other code's names: heads, formats, and what a plan says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness import CheckpointFormatSpec, HarnessError, hookimpl
from harness.engine import checkpoint
from harness.engine.export import export
from harness.engine.finished import Finished
from harness.engine.loading import finished_model, initial_model
from harness.engine.model_file import read_model
from harness.models import CheckpointFormat
from harness.models.assembly import VideoTextModel, build_model
from harness.plan.plan import Request, build_plan
from harness.plan.run_plan import RunPlan
from harness.plugins import Plugin, Registry, discover, registry

CPU = torch.device("cpu")
METHODS = ("clip4clip_meanp", "clip4clip_seqlstm", "clip4clip_seqtransf", "clip4clip_tighttransf")
SMALL = (
    "model.backbone={name: tiny, width: 32, heads: 2, layers: 2, text_width: 32, text_layers: 3, dim: 32}",
)


def plan_of(method: str, *settings: str, **asked) -> RunPlan:
    request = Request(method=method, dataset="shapes", settings=(*SMALL, *settings), **asked)
    return build_plan(request, registry())[0]


def shaken(plan: RunPlan, seed: int = 0) -> VideoTextModel:
    """A model whose every parameter is random: norms and biases start alike and would hide a mistake."""
    torch.manual_seed(seed)
    model = build_model(plan.recipe, registry())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def assert_same(model: VideoTextModel, wanted: Mapping[str, Tensor]) -> None:
    own = model.state_dict()
    assert own.keys() == wanted.keys()
    assert all(
        own[key].dtype == value.dtype and torch.equal(own[key], value) for key, value in wanted.items()
    )


@pytest.fixture
def saved(tmp_path) -> tuple[RunPlan, VideoTextModel, Path]:
    """A mean-pooling model and its own file."""
    plan = plan_of("clip4clip_meanp")
    model = shaken(plan)
    return plan, model, checkpoint.save_model(tmp_path, model)


@pytest.mark.parametrize("out", ["out.safetensors", "out.bin"])
@pytest.mark.parametrize("patch", ["2d", "3d"])
@pytest.mark.parametrize("method", METHODS)
def test_an_exported_model_comes_back_bit_for_bit(tmp_path, method, patch, out):
    """Every head and patch type survives the way out and in again, in both kinds of file."""
    plan = plan_of(method, f"model.temporal.linear_patch={patch}")
    model = shaken(plan)
    own = checkpoint.save_model(tmp_path, model)
    done = export(Finished(own, method, None), plan.recipe, registry(), tmp_path / out, to="")
    assert (done.format, done.tensors) == ("clip4clip", len(model.state_dict()))
    assert_same(initial_model(done.path, plan.recipe, registry(), CPU), model.state_dict())
    assert_same(finished_model(done.path, plan.recipe, registry(), CPU), model.state_dict())


def test_half_precision_stays_as_the_model_holds_it(tmp_path):
    """A model that is held in half precision is written so, and is filled exactly from what was written."""
    plan = plan_of("clip4clip_seqtransf", "train.precision=reference_fp16")
    own = checkpoint.save_model(tmp_path, shaken(plan_of("clip4clip_seqtransf")))
    model = initial_model(own, plan.recipe, registry(), CPU)
    types = {value.dtype for value in model.state_dict().values()}
    assert types == {torch.float16, torch.float32}
    done = export(
        Finished(own, plan.method, None), plan.recipe, registry(), tmp_path / "out.bin", to="clip4clip"
    )
    written = torch.load(done.path, weights_only=True)
    assert written["clip.visual.proj"].dtype == torch.float16
    assert written["clip.visual.conv1.weight"].dtype == torch.float16
    assert written["clip.token_embedding.weight"].dtype == torch.float32
    assert_same(initial_model(done.path, plan.recipe, registry(), CPU), model.state_dict())


CONTAINERS = {
    "own": lambda own, theirs: own,
    "own, distributed": lambda own, theirs: {"model": {f"module.{k}": v for k, v in own.items()}},
    "theirs, distributed": lambda own, theirs: {f"module.{k}": v for k, v in theirs.items()},
    "theirs, in a checkpoint": lambda own, theirs: {"epoch": 3, "state_dict": theirs},
    "theirs, compiled": lambda own, theirs: {
        "model_state_dict": {f"_orig_mod.{k}": v for k, v in theirs.items()}
    },
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_and_wrappers_come_off(tmp_path, saved, container):
    """The same model comes out of every usual wrapping, of either format."""
    plan, model, own = saved
    done = export(Finished(own, plan.method, None), plan.recipe, registry(), tmp_path / "theirs.bin", to="")
    content = CONTAINERS[container](model.state_dict(), torch.load(done.path, weights_only=True))
    torch.save(content, tmp_path / "wrapped.bin")
    assert_same(initial_model(tmp_path / "wrapped.bin", plan.recipe, registry(), CPU), model.state_dict())


def test_a_backbones_file_is_the_same_as_weights(tmp_path, saved):
    """A CLIP alone goes to the backbone, and the head starts from it as with --weights."""
    _, model, _ = saved
    file = tmp_path / "clip.pt"
    torch.save(model.backbone.weights(), file)
    plan = plan_of("clip4clip_seqtransf")
    torch.manual_seed(3)
    wanted = build_model(plan.recipe, registry(), weights=file).state_dict()
    assert torch.equal(
        wanted["temporal.layers.0.attn.in_proj_bias"], model.backbone.text.layers[0]["attn.in_proj_bias"]
    )
    torch.manual_seed(3)
    assert_same(initial_model(file, plan.recipe, registry(), CPU), wanted)


def test_a_backbones_file_is_no_finished_model(tmp_path, saved):
    """What holds a CLIP alone cannot be scored as if it had been trained, and says how it can."""
    plan, model, _ = saved
    file = tmp_path / "clip.pt"
    torch.save(model.backbone.weights(), file)
    with pytest.raises(HarnessError, match="holds no whole model") as caught:
        finished_model(file, plan.recipe, registry(), CPU)
    assert "--init-from FILE" in caught.value.hint


def test_the_state_of_an_optimizer_is_recognised(tmp_path, saved):
    """The file that training leaves beside a model's is refused for what it is."""
    plan, model, _ = saved
    optimizer = torch.optim.Adam(model.parameters())
    file = tmp_path / "pytorch_opt.bin.0"
    torch.save({"epoch": 0, "optimizer_state_dict": optimizer.state_dict(), "loss": 1.0}, file)
    with pytest.raises(HarnessError, match=r"pytorch_opt.bin.0 holds the state of an optimizer") as caught:
        initial_model(file, plan.recipe, registry(), CPU)
    assert "the model's own file" in caught.value.hint


def test_an_own_file_of_another_model_is_refused(saved):
    """The harness's own files are read as strictly, with the tensors that differ."""
    _, _, own = saved
    with pytest.raises(HarnessError, match=r"a checkpoint of another model: .* missing: temporal"):
        initial_model(own, plan_of("clip4clip_seqtransf").recipe, registry(), CPU)


# formats


class Greedy(CheckpointFormat):
    """A format that claims everything and gives a model's first tensor back."""

    def claims(self, tensors):
        return True

    def load(self, backbone, temporal, tensors, source):
        raise AssertionError("not asked to")

    def export(self, backbone, temporal):
        return dict(list(backbone.state_dict().items())[:1])


def build_greedy(options):
    return Greedy()


class Plugins:
    @hookimpl
    def harness_checkpoint_formats(self):
        yield CheckpointFormatSpec(name="greedy", summary="all of them", factory=f"{__name__}:build_greedy")


@pytest.fixture
def two_formats() -> Registry:
    """The installed plugins, and one with a second format."""
    from importlib.metadata import entry_points

    found = discover(entry_points(group="harness.plugins"))
    found.add(Plugin("greedy", "greedy", "1", __name__, Plugins()))
    return found


def test_a_file_that_two_formats_claim_is_refused(tmp_path, saved, two_formats):
    """Nothing is guessed where two formats call a file their own."""
    plan, _, own = saved
    file = tmp_path / "theirs.bin"
    export(Finished(own, plan.method, None), plan.recipe, registry(), file, to="")
    with pytest.raises(HarnessError, match="is claimed by 2 checkpoint formats: clip4clip, greedy"):
        read_model(file, two_formats)


def test_the_format_has_to_be_named_where_two_take_a_model(tmp_path, saved, two_formats):
    """Without --to a model goes to the only format that has all of it, and there must be only one."""
    plan, _, own = saved
    out = tmp_path / "out.bin"
    finished = Finished(own, plan.method, None)
    with pytest.raises(HarnessError, match="formats take this model: clip4clip, greedy") as caught:
        export(finished, plan.recipe, two_formats, out, to="")
    assert "--to" in caught.value.hint and not out.exists()
    assert export(finished, plan.recipe, two_formats, out, to="greedy").tensors == 1


def test_a_model_that_no_format_takes_is_refused(tmp_path):
    """The reason of a format that is asked for is the message, and nothing is written."""
    plan = plan_of("clip_vip")
    own = checkpoint.save_model(tmp_path, build_model(plan.recipe, registry()))
    for to, reason in (
        ("", "none of the formats"),
        ("clip4clip", "has no place for a VideoProxies"),
        ("huggingface", "none for temporal.added"),
        ("clip_vip", "has QuickGELU"),
    ):
        with pytest.raises(HarnessError, match=reason):
            export(Finished(own, "clip_vip", None), plan.recipe, registry(), tmp_path / "out.bin", to=to)
    assert not (tmp_path / "out.bin").exists()


# the plan


def test_the_content_of_the_file_decides_and_not_its_place(tmp_path, saved):
    """The plan's digest knows the file by its bytes: a copy is the same run, another file is not."""
    _, model, own = saved
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(own.read_bytes())
    other = checkpoint.save_tensors(
        tmp_path / "other.safetensors", {k: v + 1 for k, v in model.state_dict().items()}
    )
    plans = [plan_of("clip4clip_meanp", init_from=str(file)) for file in (own, copy, other)]
    plans.append(plan_of("clip4clip_meanp"))
    digests = [plan.digest for plan in plans]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_a_backbone_is_not_pre_trained_to_be_replaced(saved):
    """The backbone's own pre-training is no part of a plan whose model comes from a file."""
    _, _, own = saved
    asked = {"backbone": "tiny_clip", "method": "clip4clip_meanp", "dataset": "shapes"}
    assert build_plan(Request(**asked), registry())[0].pretraining is not None
    assert build_plan(Request(**asked, init_from=str(own)), registry())[0].pretraining is None

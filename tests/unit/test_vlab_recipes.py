"""VLAB's packaged recipes: what they train in which stage, how large the models are, what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plan.schema import Recipe
from harness.plugins import registry

DOCS = Path(__file__).parents[2] / "docs" / "vlab.md"
CLIP = ("backbone.", "temporal.image.")

#: What the spec of the stages freezes, by the beginning of a parameter's name.
FROZEN = {
    "adapting_transfer": ("backbone.", "temporal.image"),
    "adapting_integrated": ("temporal.image",),
    "blending": (),
    "finetune": (),
}
PRETRAINING = ("adapting_transfer", "adapting_integrated", "blending")

#: Millions of parameters: the towers of CLIP or EVA, both projections, adapters, BERT-base with one set of
#: cross-attentions, its prediction head; and what the paper states, in billions.
SIZES = {"vlab_l": (890, 0.9), "vlab_g": (1622, 1.6)}

#: Words of bert-base-uncased.
BERT_WORDS = 30522


def recipe(method: str = "vlab_l", dataset: str = "msrvtt", task: str = "retrieval", **asked) -> Recipe:
    """The resolved recipe; any folder will do for the videos, which a plan does not look at."""
    roots = [dataset, *(["webvid"] if "pretrain" in asked.get("recipes", ()) else [])]
    asked["data_roots"] = tuple(f"{name}={DOCS.parent}" for name in roots)
    return build_plan(Request(method=method, dataset=dataset, task=task, **asked), registry())[0].recipe


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A folder with a vocabulary of BERT's size."""
    folder = tmp_path_factory.mktemp("bert")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*marks, *(f"word{number}" for number in range(BERT_WORDS - len(marks)))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture(scope="module")
def models(bert):
    """Each size of the method with BERT's vocabulary, without memory for its weights."""
    import torch

    from harness.models.assembly import build_model

    with torch.device("meta"):
        return {
            method: build_model(
                recipe(method, settings=(f"model.temporal.bert={bert}",)), registry(), load=False
            )
            for method in SIZES
        }


# settings


@pytest.mark.parametrize("method", SIZES)
def test_the_fine_tuning_of_the_siblings(method):
    """Frames, words, batch, rates, decay, warm-up and clipping are those of VALOR and COSA."""
    found = recipe(method)
    assert (found.data.frames, found.data.sampling, found.data.jitter) == (8, "uniform", True)
    assert (found.data.text_length, found.data.captions) == (30, "one_per_clip")
    [stage] = found.stages.values()
    assert (stage.batch_size, stage.lr, stage.weight_decay) == (64, 2e-5, 0.01)
    assert stage.optimizer == {"name": "adamw", "betas": [0.9, 0.98], "eps": 1e-8}
    assert (stage.schedule["name"], stage.schedule["warmup"]) == ("linear", 0.1)
    assert (stage.clip_grad_norm, stage.max_logit_scale) == (5.0, 100)
    loss = stage.loss
    assert [loss[term] for term in ("vtc", "mlm", "uni_lm")] == [1, 1, 1]
    assert (loss["mlm_ratio"], loss["uni_lm_ratio"]) == (0.15, 0.6)


def test_the_towers():
    """VLAB-L has one tower twice, VLAB-G EVA-g for the video and ViT-L/14 for the images."""
    large, giant = recipe("vlab_l").model, recipe("vlab_g").model
    assert large.backbone["name"] == "ViT-L-14-quickgelu" and not large.temporal["image_backbone"]
    assert giant.backbone["name"] == "EVA01-g-14"
    assert giant.temporal["image_backbone"]["name"] == "ViT-L-14-quickgelu"


@pytest.mark.parametrize("method", ["vlab_l", "vlab_g", "vlab_tiny"])
@pytest.mark.parametrize(
    ("task", "loss"), [("retrieval", "vlab"), ("captioning", "uni_lm"), ("video_qa", "answer")]
)
def test_a_task_has_its_loss(method, task, loss):
    """The last stage trains what the task asks for, and stages before it the sum of all terms."""
    variants = ("pretrain",) if method != "vlab_tiny" else ()
    stages = recipe(method, task=task, recipes=variants, dataset="shapes").stages
    assert [stage.loss["name"] for stage in stages.values()] == ["vlab"] * 3 + [loss]


def test_the_tiny_method_goes_through_all_stages():
    """On `shapes` it starts from the tower that was pre-trained on pictures, and knows the paper's stages."""
    found = recipe("vlab_tiny", "shapes")
    assert found.model.backbone["name"] == "tiny_clip"
    assert tuple(found.stages) == (*PRETRAINING, "finetune")
    streams = [stage.temporal.get("streams", "all") for stage in found.stages.values()]
    assert streams == ["video", "video", "all", "all"]
    assert not any(stage.source for stage in found.stages.values())


def test_pre_training_comes_before_fine_tuning():
    """With `pretrain` three stages train on WebVid, at the rates of pre-training, and the last one as ever."""
    stages = recipe(recipes=("pretrain",)).stages
    assert tuple(stages) == (*PRETRAINING, "finetune")
    for name in PRETRAINING:
        assert stages[name].source.dataset == "webvid" and stages[name].lr == 1e-4
    assert stages["finetune"] == recipe().stages["finetune"]


# what is trained


@pytest.mark.parametrize("stage", FROZEN)
@pytest.mark.parametrize("method", SIZES)
def test_a_stage_trains_what_it_should(models, method, stage):
    """Adapters and what is new, then everything but the image stream, then everything."""
    from harness.engine.optimisation import freeze

    found = recipe(method, recipes=("pretrain",)).stages[stage]
    trained = {name for name, _ in freeze(models[method], found.trainable)}
    frozen = {name for name, _ in models[method].named_parameters()} - trained
    assert frozen == {name for name, _ in models[method].named_parameters() if name.startswith(FROZEN[stage])}


@pytest.mark.parametrize(
    ("stage", "rates"),
    [
        ("adapting_transfer", (None, 1e-4)),
        ("adapting_integrated", (8e-6, 1e-4)),
        ("blending", (8e-6, 1e-4)),
        ("finetune", (5e-7, 2e-5)),
    ],
)
def test_the_towers_have_a_rate_of_their_own(models, stage, rates):
    """CLIP's parameters, both towers' and the logit scale, learn more slowly; vectors do not decay."""
    from harness.engine.optimisation import freeze, make_optimizer

    model, found = models["vlab_l"], recipe(recipes=("pretrain",)).stages[stage]
    by_name = dict(freeze(model, found.trainable))
    groups = make_optimizer(found, list(by_name.items()), registry()).param_groups
    for group in groups:
        for name in group["names"]:
            assert group["base_lr"] == rates[not name.startswith(CLIP)], name
            assert group["weight_decay"] == (0.01 if by_name[name].ndim > 1 else 0), name
    assert sum(len(group["names"]) for group in groups) == len(by_name)


# sizes


@pytest.mark.parametrize("method", SIZES)
def test_the_published_sizes(models, method):
    """With BERT's vocabulary the parameters are as many as the parts add up to, and as the paper rounds."""
    millions, billions = SIZES[method]
    count = sum(parameter.numel() for parameter in models[method].parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.002)
    assert round(count / 1e9, 1) == billions


@pytest.mark.parametrize("method", SIZES)
def test_towers_of_two_widths_meet(models, method):
    """The tokens of both towers are one memory of the multimodal encoder, 257 a frame and stream."""
    import torch

    from harness.models import VideoBatch

    with torch.device("meta"):
        frames, mask = torch.zeros(2, 3, 3, 224, 224), torch.ones(2, 3, dtype=torch.bool)
        batch = VideoBatch(("a", "b"), frames, mask, torch.zeros(2, 3))
        features = models[method].encode(batch, memory=True)
    assert features.memory.shape == (2, 2 * 3 * 257, 768)
    assert features.pooled.shape == (2, models[method].backbone.dim)


# what is refused


@pytest.mark.parametrize("task", ["captioning", "video_qa"])
def test_a_method_that_writes_nothing_is_refused(task):
    """The message says what is lacking and the hint names those that can."""
    with pytest.raises(HarnessError, match=f"'clip_vip' cannot do the task '{task}'.*generate") as caught:
        recipe("clip_vip", task=task)
    assert {"vlab_g", "vlab_l", "vlab_tiny"} <= set(re.findall(r"\w+", caught.value.hint))


def test_plans_need_no_torch():
    """Refusing, and resolving a recipe of VLAB, import nothing heavy."""
    script = """
import sys
from harness import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
asked = {"dataset": "shapes", "task": "captioning"}
build_plan(Request(method="vlab_l", recipes=("pretrain",), data_roots=("webvid=.",), **asked), registry())
try:
    build_plan(Request(method="clip_vip", **asked), registry())
except HarnessError:
    print(*{"torch", "open_clip", "timm"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("stages.finetune.temporal.stream=video", "temporal.stream': unknown key, did you mean 'streams'"),
        ("stages.finetune.temporal.streams=image", "temporal.streams': invalid enum value 'image'"),
    ],
)
def test_a_mistake_in_a_stages_options_has_its_place(setting, says):
    """A misspelt option of a stage, or a value that there is none of, is an error with its path."""
    with pytest.raises(HarnessError, match=f"recipe value 'stages.finetune.{says}") as caught:
        recipe(settings=(setting,))
    assert caught.value.hint == f"set in --set {setting.partition('=')[0]}"


# the document


def test_the_document_names_options_that_exist():
    """Every `model.temporal`, `train.loss` and `evaluation.task` option in docs/vlab.md is one."""
    named = re.findall(
        r"\b(model\.temporal|train\.loss|evaluation\.task)\.([a-z_]+)", DOCS.read_text("utf-8")
    )
    captions, answers = recipe(task="captioning"), recipe(task="video_qa")
    values = msgspec.to_builtins(recipe())
    known = {
        "model.temporal": values["model"]["temporal"],
        "train.loss": values["stages"]["finetune"]["loss"],
        "evaluation.task": captions.evaluation.task | answers.evaluation.task,
    }
    assert {section for section, _ in named} == set(known)
    assert [f"{section}.{option}" for section, option in named if option not in known[section]] == []


def test_a_local_vocabulary_counts_by_its_content(tmp_path):
    """Two places of one file are one run, and another content is another run."""
    digests = []
    for name, text in (("a.txt", "one"), ("b.txt", "one"), ("c.txt", "two")):
        (tmp_path / name).write_text(text)
        settings = (f"model.temporal.vocabulary={tmp_path / name}",)
        plan, _ = build_plan(Request(method="vlab_tiny", dataset="shapes", settings=settings), registry())
        digests.append(plan.digest)
    assert digests[0] == digests[1] != digests[2]

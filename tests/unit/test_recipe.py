"""harness.plan: recipes laid over each other, checked, and hashed."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from harness import (
    DatasetSpec,
    HarnessError,
    MethodSpec,
    Options,
    PostprocessorSpec,
    ProtocolSpec,
    TaskSpec,
    hookimpl,
)
from harness.listing import recipe_lines
from harness.plan.plan import Request, build_plan
from harness.plan.recipe import Layers, read_layer, resolve
from harness.plan.run_plan import RunPlan, load_plan
from harness.plugins import GROUP, Plugin, Registry, discover

TINY = "model:\n  backbone: {name: tiny}\n  temporal: {name: mean_pool}\n"


class ProbeOptions(Options):
    """Options with a nested list, as a plugin may have them."""

    sizes: tuple[int, ...] = ()
    share: float = 0.5


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    """A folder of recipes and a registry with a method, a data set, a task of its own."""
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


class Lab:
    """Writes recipes and resolves requests for ``probe`` on ``toys``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("method.yaml", TINY)
        self.write("dataset.yaml", "")
        self.write("both.yaml", "")

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    @property
    def registry(self) -> Registry:
        found = discover(entry_points(group=GROUP))
        module = ModuleType("lab")
        method = MethodSpec(
            name="probe",
            summary="",
            recipe="method.yaml",
            recipes={"toys": "both.yaml"},
            aliases=("Probe",),
        )
        dataset = DatasetSpec(
            name="toys",
            aliases=("Toys",),
            summary="",
            factory="none:none",
            recipe="dataset.yaml",
            options=ProbeOptions,
            generated=True,
            fingerprint="one",
            protocols=(
                ProtocolSpec(name="first", summary="", train="train", test="test"),
                ProtocolSpec(name="second", summary="", train="other", test="test"),
            ),
        )
        module.harness_methods = hookimpl(lambda: [method], specname="harness_methods")
        module.harness_datasets = hookimpl(lambda: [dataset], specname="harness_datasets")
        module.harness_tasks = hookimpl(
            lambda: [
                TaskSpec(
                    name="ranks", aliases=("Ranks",), summary="", factory="none:none", protocols="retrieval"
                ),
                TaskSpec(name="speech", summary="", factory="none:none", needs=("score", "generate")),
            ],
            specname="harness_tasks",
        )
        module.harness_postprocessors = hookimpl(
            lambda: [PostprocessorSpec(name="probed", summary="", factory="none:none", options=ProbeOptions)],
            specname="harness_postprocessors",
        )
        found.add(Plugin("lab", "lab-dist", "3.0", "lab", module))
        assert not found.plugins[-1].problem
        return found

    def plan(self, *settings: str, **asked) -> RunPlan:
        request = {"method": "probe", "dataset": "toys", "settings": settings, **asked}
        return build_plan(Request(**request), self.registry)[0]

    def refusal(self, *settings: str, **asked) -> HarnessError:
        with pytest.raises(HarnessError) as caught:
            self.plan(*settings, **asked)
        return caught.value

    def origins(self, *settings: str, **asked) -> dict[str, str]:
        """Path to origin, as ``--dry-run`` and ``describe`` print them."""
        plan, layers = build_plan(
            Request(method="probe", dataset="toys", settings=settings, **asked), self.registry
        )
        lines = [line.split("  # ") for line in recipe_lines(plan.recipe, layers)]
        return {left.split(" = ")[0].strip(): origin for left, origin in lines}


# extends


def test_extends_a_sibling(lab):
    """A recipe inherits from a file named relative to itself, and changes what it repeats."""
    lab.write("deep/base.yaml", TINY + "train: {lr: 0.5, epochs: 7}\n")
    lab.write("deep/top.yaml", "extends: base.yaml\ntrain: {lr: 0.25}\n")
    lab.write("method.yaml", "extends: deep/top.yaml\n")
    stage = lab.plan().recipe.stages["finetune"]
    assert (stage.lr, stage.epochs) == (0.25, 7)
    origins = lab.origins()
    assert origins["stages.finetune.lr"].endswith("deep/top.yaml:2")
    assert origins["stages.finetune.epochs"].endswith("deep/base.yaml:4")


def test_extends_a_packaged_recipe(lab):
    """A recipe inherits from another distribution's, named as package:path."""
    lab.write("method.yaml", "extends: harness_clip_vip:recipes/base.yaml\nmodel: {temporal: {proxies: 2}}\n")
    recipe = lab.plan("model.backbone={name: tiny}").recipe
    assert recipe.model.temporal["name"] == "video_proxies" and recipe.model.temporal["proxies"] == 2
    assert lab.origins("model.backbone={name: tiny}")["model.temporal.name"].startswith(
        "harness_clip_vip/recipes/base.yaml:"
    )


def test_extends_within_a_package(lab):
    """The name in a packaged recipe's ``extends`` is looked for beside it, in the package."""
    layers = Layers()
    package = lab.folder / "boxed"
    lab.write("boxed/__init__.py", "")
    lab.write("boxed/recipes/a.yaml", "extends: b.yaml\n")
    lab.write("boxed/recipes/b.yaml", "train: {lr: 0.125}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(package.parent))
        read_layer(layers, "boxed:recipes/a.yaml")
    assert layers.values == {"train": {"lr": 0.125}}
    assert layers.origin(("train", "lr")) == "boxed/recipes/b.yaml:1"


@pytest.mark.parametrize("back", ["method.yaml", "../{folder}/method.yaml"])
def test_a_circle_is_refused(lab, back):
    """Recipes that extend each other are an error that shows the circle, however it is spelt."""
    lab.write("other.yaml", f"extends: {back.format(folder=lab.folder.name)}\n")
    lab.write("method.yaml", "extends: other.yaml\n")
    message = lab.refusal().message
    assert "circle" in message and message.index("method.yaml") < message.index("other.yaml")


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        ("none.yaml", "cannot read recipe"),
        ("no_such_package_here:a.yaml", "no package 'no_such_package_here'"),
        ("os:a.yaml", "no package 'os'"),
        ("':a.yaml'", "no package ''"),
        ("[a.yaml]", "must name one recipe"),
    ],
)
def test_what_cannot_be_extended_is_said(lab, extends, said):
    """A base that does not exist is one message."""
    lab.write("method.yaml", f"extends: {extends}\n")
    assert said in lab.refusal().message


# layers


def test_layers_from_weak_to_strong(lab):
    """Method < data set < method for that data set < --recipe < options < --set, value by value."""
    lab.write(
        "method.yaml",
        TINY + "train: {lr: 1, weight_decay: 1, clip_grad_norm: 1, epochs: 1, batch_size: 1}\n",
    )
    lab.write("dataset.yaml", "train: {weight_decay: 2, clip_grad_norm: 2, epochs: 2, batch_size: 2}\n")
    lab.write("both.yaml", "train: {clip_grad_norm: 3, epochs: 3, batch_size: 3}\n")
    lab.write("mine.yaml", "train: {epochs: 4, batch_size: 4}\n")
    stage = lab.plan("train.batch_size=5", recipes=("mine.yaml",)).recipe.stages["finetune"]
    assert (stage.lr, stage.weight_decay, stage.clip_grad_norm, stage.epochs, stage.batch_size) == (
        1.0,
        2.0,
        3.0,
        4,
        5,
    )
    origins = lab.origins("train.batch_size=5", recipes=("mine.yaml",))
    assert [
        origins[f"stages.finetune.{name}"]
        for name in ("lr", "weight_decay", "clip_grad_norm", "epochs", "batch_size", "max_logit_scale")
    ] == [
        "method.yaml:4",
        "dataset.yaml:1",
        "both.yaml:1",
        "mine.yaml:1",
        "--set train.batch_size",
        "default",
    ]


def test_options_stand_between_recipe_file_and_set(lab):
    """--protocol beats the recipe file; --set beats --protocol; of two --set the last one wins."""
    lab.write("mine.yaml", "data: {protocol: first}\n")
    assert lab.plan(recipes=("mine.yaml",), protocol="second").protocol.name == "second"
    won = lab.plan("data.protocol=first", recipes=("mine.yaml",), protocol="second")
    assert won.protocol.name == "first"
    assert lab.plan("train.epochs=2", "train.epochs=3").recipe.stages["finetune"].epochs == 3


def test_every_resolved_value_has_an_origin(lab):
    """Values of a component that another layer chose say where, and its own defaults say default."""
    origins = lab.origins(backbone="tiny", postprocess="dsl")
    assert origins["model.backbone.name"] == "--backbone"
    assert origins["model.backbone.width"] == "default"
    assert origins["evaluation.postprocess.name"] == "--post"
    assert origins["model.temporal.name"] == "method.yaml:3"
    assert origins["data.options.share"] == "default"


def test_another_component_takes_none_of_the_old_options(lab):
    """Naming another component in a stronger layer drops the options of the one before."""
    lab.write("method.yaml", TINY.replace("{name: tiny}", "{name: ViT-B-32, pretrained: some_tag}"))
    assert lab.plan(backbone="tiny").recipe.model.backbone["name"] == "tiny"
    assert lab.plan().recipe.model.backbone["pretrained"] == "some_tag"
    assert lab.plan(backbone="ViT-B-16").recipe.model.backbone["pretrained"] == ""


def test_the_same_component_merges_its_options(lab):
    """Naming the same component again keeps its options and changes what is given."""
    lab.write("method.yaml", TINY.replace("{name: tiny}", "{name: tiny, width: 48, layers: 2}"))
    lab.write("both.yaml", "model: {backbone: {name: tiny, layers: 1}}\n")
    backbone = lab.plan().recipe.model.backbone
    assert (backbone["width"], backbone["layers"]) == (48, 1)


# stages


def test_stages_inherit_from_train(lab):
    """A stage has what ``train`` says except for what it sets itself; stages keep their order."""
    lab.write(
        "method.yaml",
        TINY + "train: {lr: 0.5, epochs: 2}\n"
        "stages:\n  warm: {lr: 0.25, trainable: ['temporal.*']}\n  main:\n  last: {}\n",
    )
    stages = lab.plan("train.epochs=3", "stages.last.epochs=4").recipe.stages
    assert list(stages) == ["warm", "main", "last"]
    assert [(s.lr, s.epochs) for s in stages.values()] == [(0.25, 3), (0.5, 3), (0.5, 4)]
    assert stages["warm"].trainable == ("temporal.*",) and stages["main"].trainable == ("*",)
    origins = lab.origins("train.epochs=3", "stages.last.epochs=4")
    assert origins["stages.warm.lr"] == "method.yaml:6"
    assert origins["stages.main.lr"] == origins["stages.last.lr"] == "method.yaml:4"
    assert origins["stages.last.epochs"] == "--set stages.last.epochs"
    assert origins["stages.last.weight_decay"] == "default"


def test_a_stage_replaces_a_shared_component(lab):
    """A stage that names another component takes neither options nor origins of the shared one."""
    lab.write(
        "method.yaml",
        TINY + "train:\n  schedule: {name: cosine, warmup: 0.5}\n"
        "stages:\n  one: {schedule: {name: linear}}\n  two: {schedule: {name: cosine}}\n",
    )
    stages = lab.plan().recipe.stages
    assert (stages["one"].schedule["warmup"], stages["two"].schedule["warmup"]) == (0.1, 0.5)
    origins = lab.origins()
    assert origins["stages.one.schedule.warmup"] == "default"
    assert origins["stages.two.schedule.warmup"] == "method.yaml:5"


# checks


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("trian: {lr: 1}\n", "trian", 1),
        ("train:\n  learning_rate: 1\n", "stages.finetune.learning_rate", 2),
        ("train:\n  lr: fast\n", "stages.finetune.lr", 2),
        ("train:\n  epochs: 1.5\n", "stages.finetune.epochs", 2),
        ("train:\n  epochs: 0\n", "stages.finetune.epochs", 2),
        ("train:\n  lr: .nan\n", "stages.finetune.lr", 2),
        ("train:\n  lr: {base: 1}\n", "stages.finetune.lr", 2),
        ("train:\n  schedule: {warmup: 2}\n", "stages.finetune.schedule.warmup", 2),
        ("train:\n\n  groups: [{match: [a], lr_scal: 2}]\n", "stages.finetune.groups.0.lr_scal", 3),
        ("train:\n  groups:\n    - match: [a]\n    - {match: b}\n", "stages.finetune.groups.1.match", 3),
        ("train:\n  trainable: [a, 5]\n", "stages.finetune.trainable.1", 2),
        ("train:\n  loss: {name: info_nce, reduction: max}\n", "stages.finetune.loss.reduction", 2),
        ("train:\n  optimizer: {name: adamw, beta: 1}\n", "stages.finetune.optimizer.beta", 2),
        ("train: 5\n", "train", 1),
        ("stages: [a]\n", "stages", 1),
        ("stages: []\n", "stages", 1),
        ("stages:\n  warm: 3\n", "stages.warm", 2),
        ("stages:\n  warm: {lr: x}\n", "stages.warm.lr", 2),
        ("data:\n  frames: many\n", "data.frames", 2),
        ("data:\n  sampling: random\n", "data.sampling", 2),
        ("data:\n  slice: middle\n", "data.slice", 2),
        ("data:\n  frame_order: backwards\n", "data.frame_order", 2),
        ("data:\n  slice: head\n", "data.slice", 2),
        ("data:\n  sampling: fps\n  jitter: true\n  slice: tail\n", "data.slice", 4),
        ("data:\n  sampling: reference_fps\n  fps: 1.5\n", "data.fps", 3),
        ("data:\n  sampling: reference_fps\n  fps: 0.5\n", "data.fps", 3),
        ("data:\n  options: {shares: 1}\n", "data.options.shares", 2),
        ("data:\n  options: {sizes: [1, two]}\n", "data.options.sizes.1", 2),
        ("model:\n  backbone: {name: tiny, width: wide}\n", "model.backbone.width", 2),
        ("model:\n  temporal: {name: mean_pool, heads: 2}\n", "model.temporal.heads", 2),
        ("evaluation:\n  postprocess: {name: probed, sizes: [x]}\n", "evaluation.postprocess.sizes.0", 2),
    ],
)
def test_a_bad_value_has_path_and_origin(lab, text, path, line):
    """An unknown key or a wrong type names its full path, and the file and line that set it."""
    lab.write("mine.yaml", text)
    error = lab.refusal(recipes=("mine.yaml",))
    assert f"recipe value '{path}'" in error.message
    assert error.hint == f"set in mine.yaml:{line}"


def test_an_unknown_key_lists_the_known_ones(lab):
    """An unknown key that is near to none is answered with those there are, in a section and in a component."""
    assert "lr, weight_decay" in lab.refusal("train.learning_rate=1").message
    assert "train" in lab.refusal("rate=1").message.split("known here")[1]
    assert "reduction" in lab.refusal("train.loss.margin=1").message


@pytest.mark.parametrize(
    ("setting", "near"),
    [
        ("trian.lr=1", "train"),
        ("train.batchsize=1", "batch_size"),
        ("train.loss.reductions=sum", "reduction"),
        ("data.options.sizse=[1]", "sizes"),
    ],
)
def test_an_unknown_key_has_a_nearest_one(lab, setting, near):
    """A misspelt key is answered with the one that was meant, and with no other."""
    error = lab.refusal(setting)
    assert error.message.endswith(f": unknown key, did you mean '{near}'?")
    assert error.hint == f"set in --set {setting.partition('=')[0]}"


def test_a_bad_set_says_so(lab):
    """A wrong --set is traced to itself; one without a value is explained."""
    assert lab.refusal("train.lr=fast").hint == "set in --set train.lr"
    assert "a.b=value" in lab.refusal("train.lr").message
    assert "'train'" not in lab.refusal("=5").message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing required field `model`"),
        ("model: {backbone: {name: tiny}}\n", "'model': object missing required field `temporal`"),
        ("model: {backbone: {width: 96}, temporal: {name: mean_pool}}\n", "names no backbone"),
    ],
)
def test_a_recipe_that_lacks_a_part_is_refused(lab, text, said):
    """A recipe without a model or without a component's name says what is missing."""
    lab.write("method.yaml", text)
    assert said in lab.refusal().message


def test_a_value_is_taken_as_its_own_type_only(lab):
    """A number in quotes is no number, and a whole number is a float where one is asked for."""
    assert "expected `int`" in lab.refusal("train.epochs='5'").message
    lr = lab.plan("train.lr=1").recipe.stages["finetune"].lr
    assert lr == 1.0 and isinstance(lr, float)


# names


def test_aliases_resolve_to_canonical_names(lab):
    """The papers' names are accepted everywhere, and the plan holds the harness's own."""
    lab.write("method.yaml", "model:\n  backbone: {name: tiny}\n  temporal: {name: meanP}\n")
    plan = lab.plan(
        "train.optimizer={name: AdamW}",
        "train.loss={name: NCELearnableTempLoss}",
        method="Probe",
        dataset="Toys",
        task="Ranks",
        postprocess="DSL",
    )
    recipe, stage = plan.recipe, plan.recipe.stages["finetune"]
    assert (plan.method, plan.dataset, plan.task) == ("probe", "toys", "ranks")
    assert recipe.model.temporal["name"] == "mean_pool"
    assert (stage.optimizer["name"], stage.loss["name"]) == ("adamw", "info_nce")
    assert recipe.evaluation.postprocess["name"] == "dual_softmax"


def test_a_variant_fills_its_option(lab):
    """``open_clip/ViT-H-14`` is the backbone open_clip with its model; other backbones have none."""
    backbone = lab.plan(backbone="open_clip/ViT-H-14").recipe.model.backbone
    assert (backbone["name"], backbone["model"]) == ("open_clip", "ViT-H-14")
    assert "has no variants" in lab.refusal(backbone="tiny/large").message


def test_unknown_names_have_nearest_ones(lab):
    """Every kind of name that is not known is answered with the nearest known one."""
    for asked, near in (
        ({"method": "prob"}, "probe"),
        ({"dataset": "toy"}, "toys"),
        ({"backbone": "tiny_clp"}, "tiny_clip"),
        ({"postprocess": "dual_sofmax"}, "dual_softmax"),
        ({"task": "rank"}, "ranks"),
    ):
        assert f"did you mean {near}" in lab.refusal(**asked).hint
    assert lab.refusal(protocol="third").hint == "known: first, second"


@pytest.mark.parametrize(
    ("text", "said", "near"),
    [
        ("train:\n  loss: {name: info_nse}\n", "unknown loss 'info_nse'", "info_nce"),
        ("train:\n  optimizer: {name: adamv}\n", "unknown optimizer 'adamv'", "adamw"),
        ("stages:\n  warm: {schedule: {name: cosin}}\n", "unknown schedule 'cosin'", "cosine"),
        ("model:\n  temporal: {name: mean_pol}\n", "unknown temporal module 'mean_pol'", "mean_pool"),
        ("stages:\n  warm: {source: {dataset: toy}}\n", "unknown dataset 'toy'", "toys"),
    ],
)
def test_an_unknown_component_says_who_named_it(lab, text, said, near):
    """A component that is not known is answered with the file and line that named it, and the nearest one."""
    lab.write("mine.yaml", text)
    error = lab.refusal(recipes=("mine.yaml",))
    assert error.message == said
    assert error.hint.startswith(f"set in mine.yaml:2; did you mean {near}")


def test_an_unknown_component_of_a_setting_says_so(lab):
    """A component that --set names is traced to it, and one by its option to that."""
    assert lab.refusal("train.loss.name=xyz").hint.startswith("set in --set train.loss.name; known: ")
    assert lab.refusal(backbone="tiny_clp").hint.startswith("set in --backbone; did you mean tiny_clip")


def test_a_method_that_cannot_do_the_task_is_refused(lab):
    """What a task needs and a method does not offer is named before any work."""
    assert "does not offer generate" in lab.refusal(task="speech").message


# digests


def test_the_digest_ignores_seed_place_and_cache(lab):
    """Seed, data root and the use of the cache are not part of what a plan is."""
    plan = lab.plan()
    assert lab.plan(seed=5).digest == plan.digest
    assert lab.plan(data_roots=(str(lab.folder / "elsewhere"),)).digest == plan.digest
    assert lab.plan(use_cache=False).digest == plan.digest
    assert lab.plan(seed=5).name != plan.name


def test_a_value_that_changes_nothing_keeps_the_digest(lab):
    """Writing a default down, or a value in another layer, is still the same plan."""
    plan = lab.plan("train.lr=0.5")
    assert (
        lab.plan("train.lr=0.5", "data.options.share=0.5", "train.loss.same_clip=ignore").digest
        == plan.digest
    )
    lab.write("both.yaml", "train: {lr: 0.5}\n")
    assert lab.plan().digest == plan.digest


def test_every_recipe_value_is_part_of_the_digest(lab):
    """Changing any single value of the resolved recipe changes the digest, and nothing collides."""
    changes = {
        "model.backbone.width": "48",
        "model.temporal": "{name: video_proxies}",
        "data.protocol": "second",
        "data.train_split": "other",
        "data.val_split": "another",
        "data.options.share": "0.25",
        "data.options.sizes": "[1]",
        "data.frames": "5",
        "data.sampling": "reference_fps",
        "data.fps": "2",
        "data.stride": "3",
        "data.slice": "head",
        "data.frame_order": "shuffled",
        "data.jitter": "true",
        "data.candidates": "30",
        "data.fit": "squash",
        "data.text_length": "20",
        "data.captions": "each",
        "data.train_fraction": "0.5",
        "train.epochs": "6",
        "train.batch_size": "12",
        "train.lr": "0.125",
        "train.weight_decay": "0.125",
        "train.no_decay": "[a]",
        "train.decay_vectors": "true",
        "train.optimizer.eps": "0.125",
        "train.schedule.name": "constant",
        "train.schedule.warmup": "0.5",
        "train.groups": "[{match: [a]}]",
        "train.trainable": "[a]",
        "train.freeze_layers": "2",
        "train.gather": "reference",
        "train.source": "{dataset: shapes}",
        "train.loss.reduction": "sum",
        "train.clip_grad_norm": "2",
        "train.max_logit_scale": "50",
        "train.clamp_logit_scale": "before_forward",
        "train.precision": "fp64",
        "stages.second": "{}",
        "evaluation.batch_size": "32",
        "evaluation.tile_memory_mb": "1",
        "evaluation.precision": "bf16",
        "evaluation.postprocess": "{name: dual_softmax}",
        "evaluation.missing": "drop",
        "budget": "{frames: 4096}",
        "evaluation.selection": "test",
        "data.storage": "jpeg",
        "data.resize": "tensor",
    }
    # One option stands for all of its component; a section that grows has to be added above.
    components = (
        "model.backbone.",
        "model.temporal.",
        "train.temporal",
        "train.optimizer.",
        "train.loss.",
        "evaluation.task",
    )
    paths = {path.replace("stages.finetune.", "train.") for path in lab.origins()}
    unchanged = {path for path in paths if not path.startswith((*changes, *components))}
    # What decides nothing; files, whose content counts.
    assert unchanged == {"note", "variant", "data.auxiliary"}
    base = "data.sampling=fps"  # where all values that choose frames may be set
    digests = [lab.plan(base, f"{path}={value}").digest for path, value in changes.items()]
    digests.append(lab.plan(base).digest)
    assert len(set(digests)) == len(changes) + 1


def test_weights_count_by_content(lab):
    """The same weights under another name are the same plan; other bytes are another."""
    one, copy, other = (lab.folder / name for name in ("a.bin", "b.bin", "c.bin"))
    one.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    other.write_bytes(b"Weights")
    digests = [lab.plan(weights=str(path)).digest for path in (one, copy, other)]
    assert digests[0] == digests[1] != digests[2]
    assert lab.plan().digest not in digests
    assert "does not exist" in lab.refusal(weights="nowhere.bin").message


def test_a_saved_plan_is_the_same_plan(lab):
    """Writing a plan and reading it back, pre-training included, gives an equal plan and digest."""
    plan = lab.plan("train.groups=[{match: [a], lr: 2.0}]", backbone="tiny_clip", seed=3)
    assert plan.pretraining is not None
    path = lab.folder / "plan.json"
    path.write_bytes(plan.to_json())
    again = load_plan(path)
    assert again == plan and again.digest == plan.digest
    path.write_text(path.read_text().replace('"seed"', '"sead"'))
    with pytest.raises(HarnessError, match="not a plan of this version"):
        load_plan(path)


def test_a_resolved_recipe_resolves_to_itself(lab):
    """Resolving what was resolved changes nothing: the plan in a run folder means itself."""
    import msgspec

    recipe = lab.plan("train.lr=0.5", backbone="open_clip/ViT-H-14").recipe
    layers = Layers()
    layers.lay(msgspec.to_builtins(recipe), {})
    registry = lab.registry
    assert resolve(layers, registry, registry.find("datasets", "toys")[0]) == recipe


def test_the_plan_names_every_plugin_that_takes_part(lab):
    """Versions hold the harness and the distribution of each part, the method's own included."""
    versions = lab.plan().versions
    assert versions["lab-dist:lab"] == "3.0" and "harness" in versions
    for name in ("clip", "clip4clip", "standard"):
        assert f"video-text-harness:{name}" in versions
    assert "video-text-harness:clip_vip" not in versions
    recipe_only = lab.plan(
        method="clip_vip", settings=("model.backbone={name: tiny}", "model.temporal={name: meanP}")
    )
    assert "video-text-harness:clip_vip" in recipe_only.versions


def test_a_layer_that_names_all_stages_orders_them(lab):
    """Stages come in the order of the last layer that names all of them; a layer that names some keeps it."""
    lab.write("method.yaml", TINY + "stages: {finetune: {epochs: 2}}\n")
    first = lab.write("first.yaml", "stages: {pretrain: {epochs: 3}, finetune: {}}\n")
    later = lab.write("later.yaml", "stages: {pretrain: {lr: 0.5}}\n")
    stages = lab.plan(recipes=(first, later)).recipe.stages
    assert [(name, stage.epochs) for name, stage in stages.items()] == [("pretrain", 3), ("finetune", 2)]
    assert stages["pretrain"].lr == 0.5

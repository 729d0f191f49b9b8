"""Runs that train on other data first, on none at all, and by a named recipe."""

from __future__ import annotations

import json

import pytest

from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from tests.cli.test_bad_input import assert_refusal

RUN = ("run", "--method", "clip4clip_meanp")
FIRST = (
    "--set", "stages.first.source.dataset=shapes",
    "--set", "stages.first.source.options={train_clips: 192}",
)  # fmt: skip


def plan(*settings: str, **asked):
    request = Request(method="clip4clip_meanp", dataset="shapes", settings=settings, **asked)
    return build_plan(request, registry())[0]


def test_zero_shot(cli, small_shapes, workplace):
    """Nothing is trained, the model as it starts is scored, and the row says so."""
    done = cli(*RUN, *small_shapes, "--zero-shot", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["train_split"] == "none" and record["train"] is None and record["train_seconds"] is None
    assert "training" not in done.stderr
    assert "### Zero-shot: not trained on this data set" in (workplace / "leaderboards/shapes.md").read_text()
    (folder,) = (workplace / "runs").iterdir()
    assert json.loads((folder / "training_clips.json").read_text()) == []


def test_a_stage_on_another_data_set(cli, small_shapes, workplace):
    """Both stages train, the first on its own source; the row names that as pre-training."""
    done = cli(*RUN, *small_shapes, *FIRST, "--set", "stages.second={}", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["train_split"] == "train"
    assert record["pretraining"] == "none (random) + shapes/train"
    (folder,) = (workplace / "runs").iterdir()
    stages = [json.loads(line)["stage"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert stages == ["first"] * 6 + ["second"] * 6


def test_a_share_of_a_source(cli, small_shapes, workplace):
    """A stage that reads a quarter of its source has as many steps on fewer clips, which the row says; the run's
    own clips are all trained on. A share of those leaves the source whole."""
    settings = (*FIRST, "--set", "stages.second={}")
    done = cli(*RUN, *small_shapes, *settings, "--set", "stages.first.source.fraction=0.25", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["train_split"] == "train"
    assert record["pretraining"] == "none (random) + shapes/train (0.25 of its clips)"
    assert "stage first: 48 training samples" in done.stderr
    assert "stage second: 192 training samples" in done.stderr
    (folder,) = (workplace / "runs").iterdir()
    stages = [json.loads(line)["stage"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert stages == ["first"] * 6 + ["second"] * 6
    shown = cli(*RUN, *small_shapes, *settings, "--train-fraction", 0.25, "--dry-run").stdout
    assert "shapes/train clips 192, " in shown and "train clips       48, " in shown


def test_the_source_is_part_of_the_digest():
    """Another source, split, option or share of it is another run; where it lies is not."""
    base = ("stages.first.source.dataset=shapes", "stages.second={}")
    option = (*base, "stages.first.source.options.seed=4")
    split = (*base, "stages.first.source.split=test")
    share = (*base, "stages.first.source.fraction=0.5")
    digests = {plan(*settings).digest for settings in (("stages.second={}",), base, option, split, share)}
    assert len(digests) == 5
    assert plan(*base, data_roots=("shapes=elsewhere",)).digest == plan(*base).digest


def test_a_source_whose_clips_are_tested_on(cli, small_shapes, workplace):
    """A stage that reads the test split is refused, whatever it is called."""
    done = cli(
        *RUN,
        *small_shapes,
        "--set",
        "stages.first.source={dataset: shapes, split: test}",
        "--set",
        "stages.b={}",
    )
    error, _ = assert_refusal(done.exit_code, done.stdout, done.stderr)
    assert error.startswith("192 of the test clips of shapes/test are training clips of test")


def test_zero_shot_leaves_no_stage_on_the_same_data(cli, small_shapes):
    """A stage that names the run's own data set as its source is training on it."""
    assert plan("stages.first.source.dataset=shapes", "stages.second={}", zero_shot=True).recipe.stages == {}


def test_zero_shot_keeps_stages_on_other_data(tmp_path):
    """What was trained elsewhere stays, and what would train on the data set itself goes."""
    (tmp_path / "videos").mkdir()
    kept = plan(
        recipes=("post_pretrain",), zero_shot=True, data_roots=(f"webvid={tmp_path}",)
    )  # fmt: skip
    assert list(kept.recipe.stages) == ["post_pretrain"] and kept.own_stages == ()
    assert kept.sources["post_pretrain"].data_root == str(tmp_path)


@pytest.mark.parametrize("variant", ["published", "reference_fp16", "bf16", "fp32", "msrvtt_7k"])
def test_a_method_has_named_recipes(variant):
    """A variant is laid over everything but options and settings, and shows where it comes from."""
    before, after = plan(), plan(recipes=(variant,))
    assert after.digest != before.digest or variant == "fp32"  # which the data set's recipe has already
    stage = plan("train.lr=3e-3", recipes=(variant,)).recipe.stages["finetune"]
    assert stage.lr == 3e-3


def test_recipes_are_laid_in_their_order():
    """Of two recipes with one value the later one wins."""
    assert plan(recipes=("reference_fp16", "bf16")).recipe.stages["finetune"].precision == "bf16"
    assert plan(recipes=("bf16", "reference_fp16")).recipe.stages["finetune"].precision == "reference_fp16"


def test_an_unknown_variant(cli, small_shapes, workplace):
    """A name that is neither a file nor a variant is refused with the variants."""
    done = cli(*RUN, *small_shapes, "--recipe", "publishd")
    error, hint = assert_refusal(done.exit_code, done.stdout, done.stderr)
    assert error == "cannot read recipe publishd: there is no such file" and "published" in hint


def test_a_data_root_that_nothing_reads(cli, small_shapes, workplace):
    """A folder given for a data set that no stage trains on is an error, not ignored."""
    done = cli(*RUN, *small_shapes, "--data-root", "webvid=here")
    error, hint = assert_refusal(done.exit_code, done.stdout, done.stderr)
    assert error == "--data-root webvid=here: this run does not read 'webvid'" and "shapes" in hint

"""`--budget`: methods at equal compute, by frames or by time."""

from __future__ import annotations

import json

import msgspec
import pytest

from harness.engine.length import FINE, Seconds, Steps, lengths
from harness.errors import HarnessError
from harness.plan.budget import parse_budget, shown
from harness.plan.plan import Request, build_plan
from harness.plan.schema import Budget, Data, Model, Recipe, Stage
from harness.plugins import registry
from harness.results.record_file import load

MODEL = Model(backbone={"name": "any"}, temporal={"name": "any"})


def recipe(frames: int, budget: Budget | None, **stages: Stage) -> Recipe:
    return Recipe(model=MODEL, data=Data(frames=frames), stages=stages, budget=budget)


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("frames=2M", {"frames": 2_000_000}, "2M frames"),
        ("frames=1536", {"frames": 1536}, "1.536k frames"),
        ("time=30m", {"seconds": 1800.0}, "30 min"),
        ("time=1.5h", {"seconds": 5400.0}, "90 min"),
        ("time=20s", {"seconds": 20.0}, "20 s"),
    ],
)
def test_a_budget_is_written_with_units(text, values, words):
    """Thousands and hours are understood, and told again in words."""
    assert parse_budget(text) == values
    assert shown(msgspec.convert(values, Budget)) == words


@pytest.mark.parametrize("text", ["frames=0.4", "time=0.01s", "frames=" + "9" * 400, "time=9999999999999h"])
def test_an_amount_that_nothing_trains_for_is_no_budget(text):
    """Less than one frame or second, and more than can be counted, is refused with what it is and examples."""
    with pytest.raises(HarnessError, match="less than a frame or a second, or more") as caught:
        parse_budget(text)
    assert "--budget frames=2M" in caught.value.hint


@pytest.mark.parametrize("text", ["", "frames", "frames=", "frames=0", "frames=3m", "time=2M", "steps=4"])
def test_anything_else_is_no_budget(text):
    """A budget that cannot be understood is refused with examples."""
    with pytest.raises(HarnessError, match="neither frames nor time") as caught:
        parse_budget(text)
    assert "--budget frames=2M" in caught.value.hint


def test_methods_see_equally_many_frames():
    """Whatever a method's epochs, batch and frames to a clip, frames x steps x batch is the budget."""
    budget = Budget(frames=48_000)
    for frames, batch, epochs in [(12, 10, 1), (4, 40, 5), (1, 100, 30)]:
        stage = Stage(batch_size=batch, epochs=epochs)
        (length,) = lengths(recipe(frames, budget, only=stage), {"only": 900}, {"only": 900}, 1).values()
        assert isinstance(length, Steps) and length.total * batch * frames == 48_000


def test_stages_keep_their_shares():
    """Of two stages the one that saw three times as many frames does so still, and a time is divided alike."""
    stages = {"first": Stage(batch_size=50, epochs=1), "then": Stage(batch_size=100, epochs=3)}
    samples = {"first": 1000, "then": 1000}
    by_frames = lengths(recipe(10, Budget(frames=40_000), **stages), samples, samples, 1)
    assert by_frames == {"first": Steps(20), "then": Steps(30)}
    by_time = lengths(recipe(10, Budget(seconds=60.0), **stages), samples, samples, 1)
    assert by_time == {"first": Seconds(0.0, 15.0), "then": Seconds(15.0, 60.0)}
    assert lengths(recipe(10, None, **stages), samples, samples, 1) == {"first": Steps(20), "then": Steps(30)}


def test_a_share_smaller_than_a_batch_uses_the_budget_up():
    """Steps see what there is of a batch, so a share of 6 samples takes as many frames as all 24 do; without a
    budget it has as many steps as they."""
    stage = Stage(batch_size=16, epochs=3)
    counts = {"only": 6}, {"only": 24}, 1
    assert lengths(recipe(2, Budget(frames=1200), only=stage), *counts) == {"only": Steps(1200 // (6 * 2))}
    assert lengths(recipe(2, None, only=stage), *counts) == {"only": Steps(3)}


def test_too_small_a_budget_is_said():
    """A budget below one step is an error that names the stage, not a run without training."""
    with pytest.raises(HarnessError, match=r"50 frames is less than one step of stage 'only'"):
        lengths(recipe(12, Budget(frames=50), only=Stage(batch_size=8)), {"only": 100}, {"only": 100}, 1)


def test_the_schedule_runs_over_the_time():
    """At half of a stage's time the schedule is at half of its steps; one step is always done."""
    length = Seconds(10.0, 30.0)
    assert [length.place(7, at)[0] for at in (5.0, 10.0, 20.0, 40.0)] == [0, 0, FINE // 2, FINE - 1]
    assert not length.ended(0, 31.0) and length.ended(1, 31.0) and not length.ended(1, 29.0)
    assert length.meter(3, 20.4) == (10, 20)
    assert length.meter(3, 29.9) == (19, 20) and length.meter(3, 30.0) == (20, 20)  # whole at its end alone


def test_the_budget_is_part_of_the_plan():
    """It changes the digest and stands in the recipe with its origin; two kinds at once are refused."""
    request = Request(method="clip_vip", dataset="shapes")
    own = build_plan(request, registry())[0]
    changed = msgspec.structs.replace
    asked = Request(method="clip_vip", dataset="shapes", budget="frames=2M")
    plan, layers = build_plan(asked, registry())
    assert plan.recipe.budget == Budget(frames=2_000_000) and layers.origin(["budget"]) == "--budget"
    assert plan.digest != own.digest
    assert changed(plan, recipe=changed(plan.recipe, budget=None)).digest == own.digest
    both = ("budget={frames: 3, seconds: 2}",)
    with pytest.raises(HarnessError, match="of frames or of seconds"):
        build_plan(Request(method="clip_vip", dataset="shapes", settings=both), registry())


@pytest.mark.slow
def test_runs_obey_it(cli, workplace, small_shapes):
    """By frames the samples seen are exactly the budget's, over more than the recipe's one epoch; by time
    training ends after it; both say so in the record and in a column that other tables do not have."""
    small = (*small_shapes, "--set", "data.frames=2", "--set", "train.batch_size=32", "--method")
    small = ("run", *small, "clip4clip_meanp", "--set", "data.options.train_clips=32")
    assert cli(*small).exit_code == 0
    page = workplace / "leaderboards" / "shapes.md"
    assert "Budget" not in page.read_text()
    by_frames = cli(*small, "--budget", "frames=192", "--json")
    assert by_frames.exit_code == 0, by_frames.stderr
    record = json.loads(by_frames.stdout)
    assert record["budget"] == "192 frames" and record["train"]["seen"] * 2 == 192
    by_time = cli(*small, "--budget", "time=1s", "--json")
    assert by_time.exit_code == 0, by_time.stderr
    record = json.loads(by_time.stdout)
    assert record["budget"] == "1 s" and 1.0 <= record["train_seconds"] < 10.0
    assert " Budget |" in page.read_text()
    records = [load(path) for path in (workplace / "leaderboards" / "results").rglob("*.json")]
    assert sorted(record.budget for record in records) == ["", "1 s", "192 frames"]

"""The commands on the embedded data set: what they print, write, replace and leave alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main

METHOD = "clip4clip_meanp"


class Finished:
    """A finished run in a folder of its own: what it printed, and where everything is."""

    def __init__(self, place: Path, stdout: str, stderr: str) -> None:
        self.place, self.stdout, self.stderr = place, stdout, stderr
        (self.run,) = (place / "runs").iterdir()
        (self.record,) = (place / "leaderboards" / "results").rglob("*.json")


@pytest.fixture(scope="module")
def first(tmp_path_factory, small_shapes) -> Finished:
    """One run with ``--json``, shared by the tests of this file."""
    place = tmp_path_factory.mktemp("first")
    places = ["--runs", str(place / "runs"), "--leaderboards", str(place / "leaderboards")]
    done = CliRunner().invoke(
        main, ["run", "--method", METHOD, *small_shapes, *places, "--json"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.stderr
    return Finished(place, done.stdout, done.stderr)


@pytest.fixture
def finished(first, tmp_path, monkeypatch) -> Finished:
    """A copy of it that a test may change, as the working folder."""
    shutil.copytree(first.place, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Finished(Path(), first.stdout, first.stderr)


def pages(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.md")}


def records(folder: Path) -> list[Path]:
    return sorted((folder / "results").rglob("*.json"))


def ok(done) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


# run


def test_json_prints_the_record_and_nothing_else(first):
    """Standard output is, byte for byte, the record file; progress goes to standard error."""
    assert first.stdout == first.record.read_text() == (first.run / "record.json").read_text()
    assert json.loads(first.stdout)["method"] == METHOD
    assert "training finetune" in first.stderr and "record:" in first.stderr


def test_json_prints_nothing_else_in_a_process_of_its_own(harness, workplace, small_shapes):
    """Libraries that write to the real standard output do not get between."""
    done = harness("run", "--method", METHOD, *small_shapes, "--json")
    assert done.returncode == 0, done.stderr
    (path,) = records(workplace / "leaderboards")
    assert done.stdout == path.read_text()


def test_a_run_folder_has_everything(first):
    """Plan, training clips, log of every step, checkpoint, model, record and what was retrieved lie in the
    run's folder."""
    assert {path.name for path in first.run.iterdir()} == {
        *("plan.json", "training_clips.json", "log.jsonl"),
        *("checkpoint.pt", "model.safetensors", "record.json", "retrieved.json"),
    }
    record = json.loads(first.stdout)
    steps = (first.run / "log.jsonl").read_text().splitlines()
    assert len(steps) == record["train"]["samples"] // record["batch_size"] == 6
    assert {"step", "loss"} <= set(json.loads(steps[0]))


def test_the_leaderboard_has_the_run(first):
    """The data set's page and the overview show the method that was run."""
    written = pages(first.place / "leaderboards")
    assert set(written) == {"README.md", "shapes.md"}
    assert all(METHOD in page.decode() for page in written.values())


def test_a_second_run_replaces_the_first(cli, finished, small_shapes):
    """The same plan and seed make the same ranks and take the record's place; another seed adds one."""
    before = json.loads(finished.stdout)
    again = json.loads(ok(cli("run", "--method", METHOD, *small_shapes, "--json")))
    assert records(Path("leaderboards")) == [finished.record]
    assert finished.record.read_text() != finished.stdout  # created anew, at another time
    for name in ("queries", "metrics", "recipe_digest", "plan_digest", "checkpoint_sha256"):
        assert again[name] == before[name]
    other = json.loads(ok(cli("run", "--method", METHOD, *small_shapes, "--seed", "1", "--json")))
    assert len(records(Path("leaderboards"))) == len(list(Path("runs").iterdir())) == 2
    assert other["recipe_digest"] == before["recipe_digest"]
    assert other["queries"] != before["queries"]


def test_without_json_a_summary_is_printed(cli, finished):
    """A person gets method, data set, gallery size and both directions."""
    shown = ok(cli("evaluate", finished.run, "--dataset", "shapes"))
    assert f"{METHOD} on shapes/test-192" in shown and "192 sentences x 192 clips" in shown
    assert "text to video" in shown and "video to text" in shown


# leaderboard


def test_the_leaderboard_regenerates_byte_for_byte(cli, finished):
    """Deleted pages come back as they were; pages that are right are not written again."""
    folder = Path("leaderboards")
    ok(cli("leaderboard"))  # the published results are there from now on
    before = pages(folder)
    for name in before:
        (folder / name).unlink()
    shown = ok(cli("leaderboard"))
    assert pages(folder) == before
    assert all(name in shown for name in before)
    assert ok(cli("leaderboard")) == ""


def test_check_finds_an_edited_digit(cli, finished):
    """``--check`` passes on what the records say, fails on an edit, and changes nothing."""
    assert "every table follows" in ok(cli("leaderboard", "--check"))
    page = Path("leaderboards/shapes.md")
    edited = page.read_text().replace("192", "193", 1)
    page.write_text(edited)
    done = cli("leaderboard", "--check")
    assert done.exit_code == 1 and done.stdout == ""
    assert "shapes.md line" in done.stderr and "does not follow from the records" in done.stderr
    assert page.read_text() == edited


# evaluate


def test_evaluating_a_run_reproduces_it(cli, finished):
    """Ranks and digests are the run's, in the same place, and what training knew is kept."""
    before = json.loads(finished.stdout)
    again = json.loads(ok(cli("evaluate", finished.run, "--dataset", "shapes", "--json")))
    assert records(Path("leaderboards")) == [finished.record]
    changing = {"created", "peak_memory_mb"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_an_evaluation_keeps_what_training_took(cli, finished):
    """The memory on the row is that of training where scoring takes less, as all of its costs are."""
    kept = finished.run / "record.json"
    record = json.loads(kept.read_text())
    kept.write_text(json.dumps(record | {"peak_memory_mb": 10.0**6}))
    again = json.loads(ok(cli("evaluate", finished.run, "--dataset", "shapes", "--json")))
    assert again["peak_memory_mb"] == 10.0**6
    kept.write_text(json.dumps(record | {"peak_memory_mb": None}))
    again = json.loads(ok(cli("evaluate", finished.run, "--dataset", "shapes", "--json")))
    assert 0 < again["peak_memory_mb"] < 10.0**6


def test_postprocessing_has_a_table_of_its_own(cli, finished):
    """Dual softmax adds a record and a table, and leaves the plain ones as they are; the audit finds that
    all of both follows from them, and that no recipe has changed since."""
    plain, row = finished.record.read_text(), json.loads(finished.stdout)
    other = json.loads(
        ok(cli("evaluate", finished.run, "--dataset", "shapes", "--post", "dual_softmax", "--json"))
    )
    assert other["postprocess"] == "dual_softmax(axis=own, scope=test_set, temperature=100.0)"
    assert {*row["resampling"]["intervals"]} == {"t2v.MdR", "t2v.MnR", "v2t.MdR", "v2t.MnR"}
    assert other["queries"] != row["queries"] and other["checkpoint_sha256"] == row["checkpoint_sha256"]
    assert len(records(Path("leaderboards"))) == 2 and finished.record.read_text() == plain
    page = Path("leaderboards/shapes.md").read_text()
    plain_title, other_title = (line for line in page.splitlines() if line.startswith("## "))
    assert "differs" not in plain_title and "differs in: post-processing dual_softmax(" in other_title
    assert other["trained_digest"] == row["plan_digest"] != other["plan_digest"] and not row["trained_digest"]
    remark, passed = ok(cli("audit")).splitlines()
    assert remark.startswith("not recomputed: contrasts.reversed_twin") and remark.endswith(" and 1 more")
    assert passed == "2 records, 20 figures, all follow from their counts"


def test_evaluating_a_file(cli, finished, small_shapes):
    """A model file with its method gives the run's ranks, beside it, as a row of unknown training."""
    before = json.loads(finished.stdout)
    file = finished.run / "model.safetensors"
    done = json.loads(ok(cli("evaluate", file, "--method", METHOD, *small_shapes, "--json")))
    assert done["queries"] == before["queries"]
    assert done["checkpoint_sha256"] == before["checkpoint_sha256"]
    assert done["train_split"] == done["selection"] == done["pretraining"] == "unknown"
    assert done["train"] is None
    assert len(records(Path("leaderboards"))) == 2 and finished.record.read_text() == finished.stdout
    assert "2 records, 20 figures, all follow from their counts" in ok(cli("audit"))


# looking


def test_describe_shows_origins(cli):
    """Every value of a resolved recipe stands beside the file and line, option or default it is from."""
    shown = ok(cli("describe", "clip_vip", "--dataset", "shapes", "--set", "train.lr=0.5"))
    lines = dict(line.strip().split("  # ") for line in shown.splitlines() if "  # " in line)
    origins = {left.split(" = ")[0].strip(): (left.split(" = ")[1].strip(), o) for left, o in lines.items()}
    assert origins["stages.finetune.lr"] == ("0.5", "--set train.lr")
    assert origins["model.backbone.name"][1].startswith("harness_shapes/recipes/shapes.yaml:")
    assert origins["model.temporal.name"][1].startswith("harness_clip_vip/recipes/base.yaml:")
    assert origins["evaluation.precision"] == ("'model'", "default")
    assert "ICLR 2023" in shown and "licence" in shown


def test_described_lines_are_where_they_say(cli):
    """The line that an origin names holds the value's key."""
    import harness_shapes

    shown = ok(cli("describe", "clip_vip", "--dataset", "shapes"))
    (line,) = [line for line in shown.splitlines() if "stages.finetune.batch_size" in line]
    number = int(line.rpartition(":")[2])
    recipe = Path(harness_shapes.__file__).parent / "recipes" / "shapes.yaml"
    assert recipe.read_text().splitlines()[number - 1].strip().startswith("batch_size:")


@pytest.mark.parametrize("name", ["shapes", "tiny", "video_proxies", "DSL", "retrieval", "adamw"])
def test_describe_of_any_component(cli, name):
    """Every kind of component is described by name or alias, with its plugin."""
    assert "plugin  " in ok(cli("describe", name))


def test_list_of_one_kind(cli):
    """A kind may be given in singular or plural, and with a dash."""
    expected = ok(cli("list", "temporal modules"))
    assert "video_proxies" in expected and "clip_vip" not in expected
    assert ok(cli("list", "temporal-module")) == expected
    assert expected.strip() in ok(cli("list"))


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_writes_nothing(cli, workplace, small_shapes, own_places, empty_cache):
    """Plan, clips and cache hits, cost and row are shown; working folder and cache stay as they are."""
    before = files(own_places), files(empty_cache)
    shown = ok(cli("run", "--method", "clip_vip", *small_shapes, "--dry-run", "--set", "data.frames=3"))
    assert files(workplace) == {} and (files(own_places), files(empty_cache)) == before
    assert "data.frames = 3" in shown and "# --set data.frames" in shown
    for said in (
        "train clips       192, missing 0, cache hits 0, to decode 192",
        "test clips        192, missing 0, cache hits 0, to decode 192",
        "MB on disk",
        "stage finetune    192 samples, 6 steps of 32, about",
        "scoring           192 x 192 pairs, about 0:00 on one ",
        "the row that would be written",
        "192 sentences x 192 clips, post-processing none",
    ):
        assert said in shown


def test_a_dry_run_sees_the_cache(cli, finished, small_shapes):
    """After a run its clips are hits, and nothing is left to decode."""
    shown = ok(cli("run", "--method", METHOD, *small_shapes, "--dry-run"))
    assert "train clips       192, missing 0, cache hits 192, to decode 0" in shown
    assert "test clips        192, missing 0, cache hits 192, to decode 0" in shown


def test_a_dry_run_before_the_data_is_made(cli, workplace, monkeypatch):
    """Where a data set has yet to be generated, its plan is shown and no file is made."""
    monkeypatch.setenv("HARNESS_CACHE", str(workplace / "cache"))
    shown = ok(cli("run", "--method", METHOD, "--dataset", "shapes", "--dry-run"))
    assert "stages.finetune.lr" in shown
    assert [path for path in workplace.rglob("*") if path.is_file()] == []

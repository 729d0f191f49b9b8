"""Models in and out of files on the command line: `--init-from`, `evaluate FILE` and `export`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from harness.cli import main
from tests.cli.test_bad_input import assert_refusal, contents, evil_files

METHOD = ("--method", "clip4clip_meanp")
STAGES = """
stages:
  first: {epochs: 1, trainable: ["backbone.clip.visual.*"]}
  second: {epochs: 1, lr: 5e-4}
"""


def _succeed(*arguments: object) -> None:
    done = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_shapes) -> Path:
    """A working folder with one run, and its model exported to ``theirs.bin``."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        _succeed("run", *METHOD, *small_shapes)
        _succeed("export", only_run(place), "theirs.bin")
    return place


def only_run(place: Path, but: Path | None = None) -> Path:
    """The one run folder under a working folder, apart from ``but``."""
    (found,) = (p for p in (place / "runs").iterdir() if not p.name.startswith(".") and p != but)
    return found


@pytest.fixture
def work(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it that a test may change, as the working folder."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def refused(cli, work) -> Callable[..., tuple[str, str]]:
    """Run the command, which has to refuse and leave the working folder as it was."""

    def call(*arguments: object) -> tuple[str, str]:
        before = contents(work)
        done = cli(*arguments)
        assert contents(work) == before
        return assert_refusal(done.exit_code, done.stdout, done.stderr)

    return call


def ok(done) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


# export


@pytest.mark.parametrize("out", ["out.safetensors", "out.bin"])
def test_export_writes_what_it_says(cli, work, out):
    """The line that is printed is true of the file, which holds the run's tensors under other names."""
    shown = ok(cli("export", only_run(work), out, "--to", "CLIP4Clip"))
    written = load_file(out) if out.endswith(".safetensors") else torch.load(out, weights_only=True)
    file = Path(out).read_bytes()
    assert shown == (
        f"{out}: clip4clip, {len(written)} tensors, {len(file)} bytes, sha256 {hashlib.sha256(file).hexdigest()}\n"
    )
    own = load_file(only_run(work) / "model.safetensors")
    assert {f"backbone.{key}" for key in written} == set(own)
    assert all(torch.equal(value, own[f"backbone.{key}"]) for key, value in written.items())


def test_a_checkpoint_file_is_exported_with_its_method(cli, work):
    """A file goes out as its run does; reading and writing the format changes no bit."""
    model = only_run(work) / "model.safetensors"
    ok(cli("export", model, "from-file.bin", *METHOD, "--backbone", "tiny"))
    ok(cli("export", "theirs.bin", "again.bin", *METHOD, "--backbone", "tiny"))
    wanted = torch.load("theirs.bin", weights_only=True)
    for name in ("from-file.bin", "again.bin"):
        written = torch.load(name, weights_only=True)
        assert written.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[key]) for key, value in written.items())


def test_export_replaces_only_when_told_to(cli, work, refused):
    """A file in the place of OUT stays, unless --force is given."""
    Path("mine.bin").write_text("mine")
    error, hint = refused("export", only_run(work), "mine.bin")
    assert error == "mine.bin exists" and "--force" in hint
    ok(cli("export", only_run(work), "mine.bin", "--force"))
    assert Path("mine.bin").read_bytes() == Path("theirs.bin").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said", "hinted"),
    [
        (("theirs.bin", "out.bin"), "does not say its method", "--method NAME"),
        (("nowhere", "out.bin"), "no run or checkpoint at nowhere", "run folder"),
        (("theirs.bin", "runs", *METHOD), "runs is a folder", "name of a file"),
        (("theirs.bin", "no/out.bin", *METHOD), "there is no folder no", "make it"),
        (("theirs.bin", "out.bin", *METHOD, "--to", "clip4clap"), "unknown checkpoint format", "clip4clip"),
        (("theirs.bin", "out.bin", *METHOD), "the file has patch 8", "--backbone NAME"),
    ],
)
def test_export_refuses_as_clearly(refused, arguments, said, hinted):
    """What cannot be exported is one message with a hint, and nothing is written."""
    error, hint = refused("export", *arguments)
    assert said in error and hinted in hint


# in again


@pytest.mark.parametrize("file", ["own", "theirs.bin"])
def test_a_model_from_a_file_scores_as_its_run(cli, work, small_shapes, file):
    """Without training, a run that starts from a finished model ranks every query as that run did, and
    the record says where the model is from; so does an evaluation of the file."""
    run = only_run(work)
    record = json.loads((run / "record.json").read_text())
    path = run / "model.safetensors" if file == "own" else work / file
    started = json.loads(ok(cli("run", *METHOD, *small_shapes, "--init-from", path, "--zero-shot", "--json")))
    assert started["queries"] == record["queries"]
    assert (started["pretraining"], started["train_split"]) == (f"init:{path.name}", "unknown")
    again = json.loads(ok(cli("evaluate", only_run(work, but=run), *small_shapes[:2], "--json")))
    assert (again["queries"], again["pretraining"]) == (record["queries"], f"init:{path.name}")
    scored = json.loads(ok(cli("evaluate", path, *METHOD, *small_shapes, "--json")))
    assert (scored["queries"], scored["pretraining"]) == (record["queries"], "unknown")


def test_starting_from_a_stages_end_is_going_on(cli, work, small_shapes):
    """A stage that starts from the file of the stage before it ends with the bits of one run of both."""
    Path("both.yaml").write_text(STAGES)
    for name, other in (("first", "second"), ("second", "first")):
        lines = [line for line in STAGES.splitlines() if f"  {other}:" not in line]
        Path(f"{name}.yaml").write_text("\n".join(lines))
    run = ("run", *METHOD, *small_shapes[:4], "--recipe")
    ok(cli(*run, "both.yaml", "--runs", "both"))
    ok(cli(*run, "first.yaml", "--runs", "first"))
    (first,) = Path("first").glob("*/model.safetensors")
    ok(cli("export", first.parent, "first.bin"))
    ok(cli(*run, "second.yaml", "--runs", "second", "--init-from", "first.bin"))
    (both,), (second,) = (list(Path(runs).glob("*/model.safetensors")) for runs in ("both", "second"))
    assert first.read_bytes() != both.read_bytes()
    assert second.read_bytes() == both.read_bytes()


def test_a_resumed_run_goes_on_from_its_checkpoint(cli, work, small_shapes):
    """What a run has learned is not replaced by the file that it started from."""
    before = only_run(work)
    run = ("run", *METHOD, *small_shapes, "--init-from", "theirs.bin")
    ok(cli(*run))
    folder = only_run(work, but=before)
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    state["model"]["backbone.clip.logit_scale"].fill_(1.25)
    torch.save(state, folder / "checkpoint.pt")
    ok(cli(*run, "--resume"))
    assert load_file(folder / "model.safetensors")["backbone.clip.logit_scale"] == 1.25


def test_a_dry_run_says_what_the_model_starts_from(cli, work, small_shapes):
    """The preview names the file, and refuses one that the run would refuse."""
    run = ("run", *small_shapes, "--init-from", "theirs.bin", "--dry-run", "--method")
    assert "theirs.bin: the whole model" in ok(cli(*run, "clip4clip_meanp"))
    done = cli(*run, "clip4clip_seqtransf")
    assert "the file has head meanP" in assert_refusal(done.exit_code, done.stdout, done.stderr)[0]


@pytest.mark.parametrize(
    ("arguments", "said", "hinted"),
    [
        (("--init-from", "none.bin"), "there is no file", "not a folder"),
        (("--init-from", "runs"), "there is no file", "not a folder"),
        (("--init-from", "theirs.bin", "--weights", "theirs.bin"), "--init-from fills the whole", "out"),
        (("--init-from", "theirs.bin", "--set", "model.temporal.linear_patch=3d"), "linear_patch 2d", "=2d"),
        (("--init-from", "theirs.bin", "--set", "model.backbone.layers=2"), "vision_layers 3", "--backbone"),
    ],
)
def test_a_model_that_cannot_start_from_the_file(refused, small_shapes, arguments, said, hinted):
    """A wrong file, or one of another model, is one message, and an earlier run stays as it was."""
    error, hint = refused("run", *METHOD, *small_shapes, *arguments)
    assert said in error and hinted in hint


def test_code_in_the_file_is_not_run(refused, small_shapes, work):
    """A pickle that carries code is refused by every command that reads a model, and the code never runs."""
    for path, mark in evil_files(work):
        for command in (
            ("run", *METHOD, *small_shapes, "--init-from", path),
            ("evaluate", path, *METHOD, *small_shapes),
            ("export", path, "out.bin", *METHOD),
        ):
            error, _ = refused(*command)
            assert str(path) in error and "could run code" in error and not mark.exists()

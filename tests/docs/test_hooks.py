"""docs/hooks.md: complete, true to the code, and its example runs, every hook of it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import hookspecs
from harness.kinds import KINDS
from harness.plugins import registry
from harness.specs import ComponentSpec, ProtocolSpec
from tests.docs.blocks import plugins_of, write_files
from tests.docs.pages import DOCS

PAGE = (DOCS / "hooks.md").read_text("utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("harness_")]
SHARED = {field.name for field in dataclasses.fields(ComponentSpec)}


def section(hook: str) -> str:
    found = re.search(rf"^### {hook}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/hooks.md has no section '### {hook}'"
    return found[1]


def signature(hook: str) -> str:
    """The line that begins a hook's specification, as it stands in the source."""
    source = inspect.getsource(getattr(hookspecs, hook))
    function = ast.parse(source).body[0]
    function.body, function.decorator_list = [ast.Expr(ast.Constant(...))], []
    return ast.unparse(function).removesuffix("\n    ...")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook):
    """A hook has a section, that begins with its exact signature."""
    assert section(hook).lstrip().startswith(f"```python\n{signature(hook)}\n```\n")


@pytest.mark.parametrize(("hook", "spec"), KINDS.values(), ids=KINDS)
def test_every_field_is_documented(hook, spec):
    """All fields of what a hook returns are explained, the shared ones once."""
    for field in dataclasses.fields(spec):
        shared = field.name in SHARED and issubclass(spec, ComponentSpec)
        assert f"`{field.name}`" in (PAGE if shared else section(hook)), field.name


def test_every_field_of_a_protocol_is_documented():
    """All fields of a protocol are explained where data sets are."""
    for field in dataclasses.fields(ProtocolSpec):
        assert f"`{field.name}`" in section("harness_datasets"), field.name


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hooks")
    write_files(PAGE, folder)
    return folder


@pytest.fixture(scope="module")
def called(example, tmp_path_factory, own_places) -> Callable:
    """Run commands with the example's plugin; what was said stays in ``called.err``."""
    from click.testing import CliRunner

    from harness.cli import main

    place = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch, plugins_of(example, "colours"):
        patch.chdir(place)
        patch.setenv("HARNESS_TRACE_PLUGINS", "1")

        def call(*arguments: object) -> str:
            done = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
            assert done.exit_code == 0, done.output
            call.err += done.stderr
            return done.stdout

        call.err, call.place = "", place
        call("plugins")  # here the trace of the plugins' hooks is kept
        yield call


@pytest.fixture(scope="module")
def record(called) -> dict:
    run = ("run", "--method", "colour_match", "--dataset", "colours")
    return json.loads(called(*run, "--post", "centred", "--json", "--workers", 0))


def test_the_example_is_one_healthy_plugin(called):
    """The example implements every hook, and nothing is wrong with it."""
    (plugin,) = [plugin for plugin in registry().plugins if plugin.name == "colours"]
    assert (plugin.status, plugin.problem, plugin.warnings) == ("ok", "", ())
    assert {name for name in vars(plugin.module) if name.startswith("harness_")} == set(HOOKS)


def test_the_example_runs(record):
    """Tower, module, loss, optimizer, schedule, data set, method and post-processing make a run that
    learns four colours."""
    assert record["metrics"]["t2v"]["R@1"] == 100.0
    assert (record["backbone"], record["postprocess"]) == ("pixels", "centred")
    (version,) = [name for name in record["versions"] if name.startswith("HARNESS_PLUGINS")]
    assert version == "HARNESS_PLUGINS:colours"


def test_the_example_watches(called, record):
    """The observer saw the run's events, and the trace says that every hook was called."""
    for event in ("run_started", "evaluated", "record_written"):
        assert f"colours saw {event}: " in called.err
    calls = set(re.findall(r"trace: call (\w+)(?:\('\w+'\))? of (?:HARNESS_PLUGINS:)?colours:", called.err))
    assert calls == set(HOOKS)


def test_the_example_scores(called, record):
    """The task's figures go into a record whose evidence gives them again."""
    (run,) = [path for path in (called.place / "runs").iterdir() if (path / "model.safetensors").is_file()]
    evaluated = ("evaluate", run, "--dataset", "colours", "--task", "top_one", "--json", "--workers", 0)
    assert json.loads(called(*evaluated))["metrics"]["figures"] == {"accuracy": 100.0}
    called("audit")


def test_the_example_exports(called, record):
    """The format writes the tower, and reads it into a model that scores as before."""
    (run,) = [path for path in (called.place / "runs").iterdir() if (path / "model.safetensors").is_file()]
    called("export", run, "tower.safetensors", "--to", "pixels")
    arguments = ("evaluate", "tower.safetensors", "--method", "colour_match", "--dataset", "colours")
    again = json.loads(called(*arguments, "--json", "--workers", 0))
    assert again["metrics"]["t2v"] == {**record["metrics"]["t2v"]}


def test_the_example_captions(called):
    """The captioner describes the pictures that the data set has."""
    called("caption", "colours", "--captioner", "brightest", "--out", "said.jsonl")
    said = (called.place / "said.jsonl").read_text()
    assert "mostly green" in said and "mostly blue" in said


def test_the_example_publishes(called, record):
    """The published row stands on the data set's page, beside the measured one."""
    called("leaderboard")
    page = (called.place / "leaderboards" / "colours.md").read_text()
    assert "### Published, trained on train" in page and "an example, not a paper" in page

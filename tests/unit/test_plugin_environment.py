"""harness.plugin_environment: plugins that are not installed, plugins left out, and what is traced."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import HarnessError
from harness.engine.worker import _check_versions
from harness.listing import plugin_listing, plugin_table
from harness.plan.plan import Request, build_plan
from harness.plugins import Registry, load_factory, registry

PROBE = Path(__file__).parents[1] / "plugin_probe" / "src" / "frame_attention_probe"

LOSS = """
from harness import LossSpec, hookimpl

@hookimpl
def harness_losses():
    return [LossSpec(name="{name}_loss", summary="of a file", factory="{name}:build")]

def build(options):
    return "built"
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Modules and search path as they were."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def found(monkeypatch) -> Callable[..., Registry]:
    """The registry of a process that starts with these variables."""

    def with_variables(**variables: object) -> Registry:
        for name, value in variables.items():
            monkeypatch.setenv(f"HARNESS_{name}", str(value))
        return registry.__wrapped__()

    return with_variables


def write(folder: Path, name: str, source: str = LOSS) -> Path:
    path = folder / f"{name}.py"
    path.write_text(source.replace("{name}", name))
    return path


# plugins that are not installed


def test_a_file_is_a_plugin(tmp_path, found):
    """The components of a file are found, with the variable as their origin, and can be made."""
    spec, plugin = found(PLUGINS=write(tmp_path, "mine_a")).find("losses", "mine_a_loss")
    assert (plugin.name, plugin.distribution, plugin.status) == ("mine_a", "HARNESS_PLUGINS", "ok")
    assert load_factory(spec.factory, plugin)(None) == "built"


def test_a_folder_is_a_package(tmp_path, found):
    """The hooks of a package's folder stand in its ``plugin.py``, and its recipes are read from it."""
    folder = tmp_path / "probe_copy"
    shutil.copytree(PROBE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace("frame_attention_probe", "probe_copy"))
    registry = found(PLUGINS=folder)
    plan, _ = build_plan(Request(method="probe", dataset="shapes", backbone="tiny"), registry)
    assert plan.method == "probe_copy" and plan.recipe.model.temporal["heads"] == 4
    assert "HARNESS_PLUGINS:probe_copy" in plan.versions


def test_a_module_is_found_by_its_name(tmp_path, found, monkeypatch):
    """A name without a slash is that of a module that can be imported already."""
    write(tmp_path, "mine_b")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert found(PLUGINS="mine_b").find("losses", "mine_b_loss")[1].version


@pytest.mark.parametrize("separator", [",", ":", " , "])
def test_several_plugins(tmp_path, found, separator):
    """Commas and colons stand between plugins."""
    files = [write(tmp_path, "mine_c"), write(tmp_path, "mine_d")]
    registry = found(PLUGINS=separator.join(map(str, files)))
    assert registry.find("losses", "mine_c_loss") and registry.find("losses", "mine_d_loss")


@pytest.mark.parametrize("item", ["./nowhere.py", "./nowhere", "no_such_module_here", "sys"])
def test_what_is_no_plugin_is_an_error(found, item):
    """A path or name that leads to no Python file is one clear line."""
    with pytest.raises(HarnessError, match=f"HARNESS_PLUGINS names {item}, which is no"):
        found(PLUGINS=item)


def test_a_folder_without_an_init_says_what_to_do(tmp_path, found):
    """A folder that is no package is named with what makes it one."""
    folder = tmp_path / "mine_h"
    folder.mkdir()
    write(folder, "plugin")
    with pytest.raises(HarnessError, match="a folder that is no package") as caught:
        found(PLUGINS=folder)
    assert caught.value.hint == "put an __init__.py into it, which may be empty"


def test_a_distributions_folder_leads_to_its_package(tmp_path, found):
    """The folder of a whole distribution in place of its package's is answered with that one."""
    package = tmp_path / "harness-mine" / "src" / "harness_mine"
    package.mkdir(parents=True)
    write(package, "plugin")
    with pytest.raises(HarnessError) as caught:
        found(PLUGINS=tmp_path / "harness-mine")
    assert caught.value.hint == f"did you mean {package}?"


def test_a_folder_here_needs_a_slash(tmp_path, found, monkeypatch):
    """The bare name of a folder here that cannot be imported is answered with its path."""
    (tmp_path / "mine_i").mkdir()
    (tmp_path / "mine_i" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    with pytest.raises(HarnessError) as caught:
        found(PLUGINS="mine_i")
    assert caught.value.hint == "write ./mine_i for the one in this folder"


def test_a_name_that_is_taken(tmp_path, found):
    """A file that is called like an installed module is isolated with the reason, and hides nothing."""
    registry = found(PLUGINS=write(tmp_path, "json"))
    (broken,) = [plugin for plugin in registry.plugins if plugin.status == "problem"]
    assert "another module is called json" in broken.problem
    assert sys.modules["json"].dumps


def test_a_broken_file_is_isolated(tmp_path, found):
    """A file that cannot be imported is listed with the reason, and everything else works."""
    registry = found(PLUGINS=write(tmp_path, "mine_e", "import no_such_module_here"))
    (broken,) = [plugin for plugin in registry.plugins if plugin.status == "problem"]
    assert broken.name == "mine_e" and "no_such_module_here" in broken.problem
    assert registry.find("losses", "info_nce")


def test_a_worker_refuses_another_file(tmp_path, found):
    """A file with other content is another version, which a plan of the first one does not run with."""
    path = write(tmp_path, "mine_f")
    registry = found(PLUGINS=path)
    loss = ("train.loss={name: mine_f_loss}",)
    plan, _ = build_plan(Request(method="clip_vip", dataset="shapes", settings=loss), registry)
    _check_versions(plan, registry)
    path.write_text(path.read_text() + "# changed\n")
    del sys.modules["mine_f"]
    with pytest.raises(HarnessError, match="the plan needs HARNESS_PLUGINS:mine_f"):
        _check_versions(plan, found(PLUGINS=path))


def test_any_file_of_a_package_decides_its_version(tmp_path, found):
    """A recipe that changes makes another version of its folder; what Python caches does not."""
    folder = tmp_path / "mine_g"
    folder.mkdir()
    write(folder, "__init__", "from harness import hookimpl")

    def version() -> str:
        return next(p.version for p in found(PLUGINS=folder).plugins if p.name == "mine_g")

    first = version()
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "x.pyc").write_text("x")
    assert version() == first
    (folder / "recipe.yaml").write_text("{}")
    assert version() != first


def test_a_plugin_without_hooks_is_mentioned(tmp_path, found):
    """A module that implements no hook is no error, and no silence either."""
    registry = found(PLUGINS=write(tmp_path, "mine_h", "x = 1"))
    assert "warning: plugin mine_h (HARNESS_PLUGINS" in plugin_listing(registry)


# plugins left out


def test_a_plugin_is_left_out(tmp_path, found):
    """A disabled plugin is not even imported; it is listed as such, and its components are unknown."""
    path = write(tmp_path, "mine_i", "raise RuntimeError('imported')")
    registry = found(PLUGINS=path, DISABLE_PLUGINS="mine_i,shapes")
    status = {plugin.name: plugin.status for plugin in registry.plugins}
    assert status["mine_i"] == status["shapes"] == "disabled" and status["msrvtt"] == "ok"
    assert "disabled: left out by HARNESS_DISABLE_PLUGINS" in plugin_listing(registry)
    with pytest.raises(HarnessError) as caught:
        registry.find("datasets", "shapes")
    assert "2 plugin(s) are left out: see `harness plugins`" in caught.value.hint


def test_an_unknown_name_is_left_out_by_nobody(found):
    """A misspelt name is an error that says what could have been meant."""
    with pytest.raises(HarnessError) as caught:
        found(DISABLE_PLUGINS="msrvt")
    assert caught.value.message == "HARNESS_DISABLE_PLUGINS: there is no plugin 'msrvt'"
    assert "did you mean msrvtt" in caught.value.hint


# what is told


def test_the_table_for_programs(tmp_path, found):
    """``harness plugins --json`` has each plugin's status, reason and components, and the conflicts."""
    bad = write(tmp_path, "mine_j", "import no_such_module_here")
    twin = write(tmp_path, "mine_k", LOSS.replace("{name}_loss", "info_nce"))
    table = plugin_table(found(PLUGINS=f"{bad},{twin}", DISABLE_PLUGINS="vlab"))
    rows = {row["name"]: row for row in table["plugins"]}
    assert rows["mine_j"]["status"] == "problem" and "no_such" in rows["mine_j"]["reason"]
    assert rows["vlab"]["status"] == "disabled" and rows["vlab"]["components"] == {}
    assert rows["mine_k"]["components"] == {"losses": ["mine_k:info_nce"]}
    assert rows["shapes"]["components"]["datasets"] == ["shapes"]
    (clash,) = table["conflicts"]
    assert clash["names"] == ["mine_k:info_nce", "standard:info_nce"]


def test_a_trace(tmp_path, found, capsys):
    """With the variable each load, each hook and each event is told on standard error, else nothing."""
    source = LOSS + "\n@hookimpl\ndef harness_run_event(event, payload):\n    pass\n"
    path = write(tmp_path, "mine_l", source)
    found(PLUGINS=path, TRACE_PLUGINS="0").emit("step", {})
    assert capsys.readouterr().err == ""
    found(TRACE_PLUGINS="1").emit("step", {})
    told = capsys.readouterr().err
    assert f"trace: load mine_l ({path}): " in told
    assert "trace: call harness_losses of mine_l: " in told
    assert "trace: call harness_run_event('step') of HARNESS_PLUGINS:mine_l: " in told

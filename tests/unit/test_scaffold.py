"""`harness new plugin`: what it writes works at once, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.plugins import registry
from harness.scaffold.plugin import COMMON, TRY, create

NAME = "brand_new"


@pytest.fixture
def made(tmp_path):
    def make(kind: str) -> Path:
        folder = tmp_path / kind
        create(NAME, kind, folder, registry())
        return folder

    return make


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python as after an installation of the distribution: its plugin is found by the environment instead."""
    source = folder / "src"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "HARNESS_PLUGINS": str(source / f"harness_{NAME}"),
            "PYTHONPATH": os.pathsep.join([str(source), *sys.path]),
        },
    )


def _own_tests(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return _python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("kind", ["temporal", "loss", "dataset"])
def test_own_tests_pass(made, kind):
    """A new plugin passes its own tests, but for the conformance kit's, without a change."""
    done = _own_tests(made(kind), "--ignore", "tests/test_conformance.py")
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRY)
def test_the_kit_passes(made, kind):
    """A new plugin of each kind passes all of its tests, the conformance kit among them."""
    done = _own_tests(made(kind))
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_checks_it(made):
    """`harness check` finds nothing wrong with a new plugin, by the plugin's name too."""
    done = _python(made("temporal"), "-m", "harness", "check", f"harness_{NAME}")
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr
    assert f"plugin harness_{NAME}" in done.stdout and f"method {NAME}" in done.stdout


@pytest.mark.parametrize("kind", TRY)
def test_it_is_a_distribution(made, kind):
    """The project file names the package's plugin and keeps its recipes; no placeholder is left."""
    folder = made(kind)
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["harness.plugins"] == {NAME: f"harness_{NAME}.plugin"}
    assert (folder / "src" / f"harness_{NAME}" / "plugin.py").is_file()
    assert project["tool"]["setuptools"]["package-data"] == {"*": ["*.yaml"]}
    for path in folder.rglob("*"):
        assert "$" not in path.name and (path.is_dir() or "$" not in path.read_text())


def test_every_kind_has_templates():
    """The command offers exactly the kinds that there are templates of."""
    from harness.cli.new import plugin

    found = {entry.name for entry in (resources.files("harness.scaffold") / "templates").iterdir()}
    offered = next(option for option in plugin.params if option.name == "kind").type.choices
    assert found - {COMMON} == {*TRY} == {*offered}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Nice", "cannot be the name"),
        ("my-pooling", "cannot be the name"),
        ("class", "cannot be the name"),
        ("clip4clip_meanp", "is the name of one of the installed methods"),
        ("meanP", "cannot be the name"),
        ("mean_pool", "is the name of one of the installed temporal modules"),
        ("standard", "harness_standard is installed already"),
        ("features", "would be a class Features, which its own code imports"),
    ],
)
def test_names_that_are_none_or_taken(tmp_path, name, said):
    """A name that cannot be a module's, or that something has already, is refused; nothing is written."""
    with pytest.raises(HarnessError, match=said):
        create(name, "temporal", tmp_path / "new", registry())
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, cli):
    """A folder that exists is left as it is."""
    (tmp_path / "mine").write_text("important")
    done = cli("new", "plugin", NAME, "--kind", "loss", "--to", tmp_path / "mine")
    assert done.exit_code == 2 and (tmp_path / "mine").read_text() == "important"
    done = cli("new", "plugin", NAME, "--kind", "loss", "--to", tmp_path / "other")
    assert done.exit_code == 0 and "harness run --method brand_new --dataset shapes" in done.output

"""The built wheels, ours and a stranger's plugin, in a fresh environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.support.command import Harness

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROBE = ROOT / "tests" / "plugin_probe"
METHOD = "frame_attention_probe"

#: Prints where a package of each wheel was imported from, and what lies beside its plugins.
LOOK = """
import harness, harness_shapes, frame_attention_probe, json, sys
from importlib.resources import files
packages = (*sys.argv[1:], "frame_attention_probe")
print(json.dumps({
    "places": [harness.__file__, harness_shapes.__file__, frame_attention_probe.__file__],
    "recipes": [f"{p}/{r.name}" for p in packages for r in (files(p) / "recipes").iterdir()],
}))
"""


def _wheel(source: Path, folder: Path) -> Path:
    """The wheel of a source tree, built from a copy: building writes into the tree."""
    copy = folder / source.name
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "runs")
    shutil.copytree(source, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder / "dist"), str(copy)], check=True)
    (made,) = (folder / "dist").glob(f"{'frame' if source == PROBE else 'video'}*.whl")
    return made


@pytest.fixture(scope="module")
def installed(tmp_path_factory, shared_cache):
    """The command in an environment that holds both wheels, and lends the other dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet"]
    wheels = [str(_wheel(ROOT, folder)), str(_wheel(PROBE, folder))]
    subprocess.run([*install, "--no-index", *wheels], check=True)
    # The running environment's packages, after the fresh one's own: an appended path, whose .pth
    # files (such as that of an editable checkout) are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Harness(tmp_path_factory.mktemp("work"), shared_cache, python=str(python))


def _printed(installed: Harness, *arguments: str) -> str:
    done = installed.finish(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheels_are_what_is_imported(installed):
    """Every package comes from the fresh environment, with its recipes and without this checkout."""
    ours = [path.parent.name for path in (ROOT / "plugins").glob("*/recipes")]
    done = subprocess.run(
        [installed.python, "-c", LOOK, *ours],
        cwd=installed.folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    own = Path(installed.python).parents[1]
    assert [place for place in found["places"] if not Path(place).is_relative_to(own)] == []
    assert "frame_attention_probe/probe.yaml" in found["recipes"]
    packaged = (ROOT / "plugins").glob("*/recipes/*.*")
    expected = {f"{path.parts[-3]}/{path.name}" for path in packaged}
    assert expected and expected <= set(found["recipes"])


def test_the_probe_is_found(installed):
    """`harness plugins` and `harness list` show the stranger's plugin and its components beside ours."""
    plugins = _printed(installed, "plugins")
    assert "frame-attention-probe 0.3.1  ok" in plugins and "NOT LOADED" not in plugins
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert plugins.count("video-text-harness") == len(declared["harness.plugins"])
    listing = _printed(installed, "list")
    assert METHOD in listing and "frame_attention " in listing and "clip_vip" in listing


def test_the_probe_is_described(installed):
    """`harness describe` resolves the packaged recipe, through the base recipe that it extends."""
    described = _printed(installed, "describe", METHOD, "--dataset", "shapes")
    lines = [" ".join(line.split()) for line in described.splitlines()]
    assert "model.temporal.heads = 4 # frame_attention_probe/recipes/probe.yaml:4" in lines
    assert "model.temporal.position_std = 0.3 # default" in lines
    assert any(line.startswith("data.captions = 'one_per_clip' # harness_shapes/") for line in lines)
    assert any(line.startswith("stages.finetune.clip_grad_norm = 1.0 # harness_clip4clip/") for line in lines)


def test_the_probe_runs(installed):
    """`harness run` trains the stranger's method to a record and a row of the leaderboard."""
    small = ("--set", "data.options.train_clips=64", "--set", "train.epochs=1")
    record = json.loads(
        _printed(installed, "run", "--method", METHOD, "--dataset", "shapes", *small, "--json")
    )
    assert record["versions"]["frame-attention-probe:frame_attention"] == "0.3.1"
    assert record["protocol"]["n_queries"] == 192
    table = (installed.folder / "leaderboards" / "shapes.md").read_text()
    assert [line for line in table.splitlines() if METHOD in line]
    assert _printed(installed, "leaderboard", "--check") == "every table follows from its records\n"

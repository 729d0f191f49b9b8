"""Commands that only look things up stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "av", "numpy", "PIL", "torchvision", "open_clip", "timm", "safetensors", "sklearn")

PROGRAM = """
import sys
from harness.cli import main
try:
    main({arguments!r}, prog_name="harness")
except SystemExit as done:
    assert not done.code, done.code
print("LOADED", *sorted({heavy!r} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "leaderboard"),
        (["--version"], "version"),
        (["run", "--help"], "--method"),
        (["import-scores", "--help"], "--one-text-per-video"),
        (["list"], "clip_vip"),
        (["list", "backbones"], "ViT-B-32"),
        (["plugins"], "ok"),
        (["describe", "clip_vip", "--dataset", "shapes"], "stages.finetune.lr"),
    ],
)
def test_looking_things_up_imports_nothing_heavy(arguments, shown):
    """The command prints what it should, and no heavy library has been imported for it."""
    program = PROGRAM.format(arguments=arguments, heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"

"""Where the reference values are, and how a matrix is made from its recipe.

``HARNESS_GOLDEN`` names a folder with one sub-folder per area; without it the small selection
under ``tests/golden`` is used. Tests list what they find there: nothing here knows a case by name.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

# What a recipe may use besides numpy's own names.
_PLAIN = ("abs", "enumerate", "float", "int", "len", "max", "min", "range", "zip")


def area(name: str) -> Path:
    """The folder of one area, e.g. ``metrics``; it need not exist."""
    chosen = os.environ.get("HARNESS_GOLDEN")
    root = Path(chosen) if chosen else Path(__file__).resolve().parent.parent / "golden"
    return root / name


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def from_recipe(recipe: str) -> tuple[np.ndarray, np.ndarray]:
    """Run a recipe: scores float64 ``[Nt, Nv]`` and ground truth int64 ``[Nt]``.

    Statements are separated by semicolons, so a comment or a ``for`` ends at the next one. The
    recipe is trusted as the test files are; it still gets numpy's names and little else.
    """
    words = set(re.findall(r"[A-Za-z_]\w*", recipe))
    names: dict[str, Any] = {"__builtins__": {name: getattr(builtins, name) for name in _PLAIN}}
    names |= {word: getattr(np, word) for word in words if hasattr(np, word)}
    names |= {"np": np, "Generator": np.random.Generator, "PCG64": np.random.PCG64}
    exec("\n".join(part.strip() for part in recipe.split(";")), names)
    scores = np.asarray(names["S"], dtype=np.float64)
    gold = np.asarray(names.get("gt", np.arange(len(scores))), dtype=np.int64)
    return scores, gold


def array_sha256(array: np.ndarray, dtype: str) -> str:
    """SHA-256 of an array's bytes in C order as ``dtype``, e.g. ``<f8``."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype=dtype)).hexdigest()

"""What environment variables change about plugins. Ray's workers inherit them with their values.

``HARNESS_PLUGINS`` loads plugins that are not installed: paths of ``.py`` files or of package folders,
or names of modules, with colons or commas between them. ``HARNESS_DISABLE_PLUGINS`` leaves plugins out
by name. ``HARNESS_TRACE_PLUGINS=1`` tells on standard error what is loaded and called, and its time.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError

EXTRA, DISABLE, TRACE = "HARNESS_PLUGINS", "HARNESS_DISABLE_PLUGINS", "HARNESS_TRACE_PLUGINS"


class Distribution(NamedTuple):
    """Stands for a distribution where there is none; the version is the content's hash."""

    name: str
    version: str


@dataclass(frozen=True)
class ExtraPlugin:
    """An item of ``HARNESS_PLUGINS``, to be loaded as an ``EntryPoint`` is.

    ``module`` is what is imported and ``place`` where it has to come from, a file or a package's folder.
    """

    name: str
    value: str
    dist: Distribution
    module: str
    place: Path

    def load(self) -> Any:
        """Import the module. The folder above it goes to the end of the search path, so that factories
        are found by their names and no installed module is hidden."""
        above = str(self.place.parent)
        if above not in sys.path:
            sys.path.append(above)
        importlib.invalidate_caches()
        module = importlib.import_module(self.module)
        found = Path(module.__file__ or "").resolve()
        if self.place not in (found, *found.parents):
            raise ImportError(f"another module is called {self.module}, {found}: rename yours")
        return module


def extra_plugins() -> list[ExtraPlugin]:
    """The items of ``HARNESS_PLUGINS``; one that names nothing is an error."""
    return [_extra(item) for item in dict.fromkeys(_items(EXTRA))]


def disabled(known: Iterable[str]) -> set[str]:
    """The names in ``HARNESS_DISABLE_PLUGINS``; one that no plugin has is an error."""
    names, known = set(_items(DISABLE)), sorted(set(known))
    for name in sorted(names.difference(known)):
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise HarnessError(
            f"{DISABLE}: there is no plugin '{name}'",
            f"did you mean {', '.join(near)}?" if near else f"plugins: {', '.join(known) or 'none'}",
        )
    return names


@contextlib.contextmanager
def traced(what: str) -> Iterator[None]:
    """Say what the block did and how long it took, where ``HARNESS_TRACE_PLUGINS`` asks for it."""
    if os.environ.get(TRACE, "") in ("", "0"):
        yield
        return
    start = time.perf_counter()
    try:
        yield
    finally:
        print(f"trace: {what}: {1000 * (time.perf_counter() - start):.1f} ms", file=sys.stderr, flush=True)


def _items(variable: str) -> list[str]:
    return [item.strip() for item in re.split("[,:]", os.environ.get(variable, "")) if item.strip()]


def _extra(item: str) -> ExtraPlugin:
    if item.endswith(".py") or os.sep in item:
        place = Path(item).expanduser().resolve()
        module = place.stem if place.is_file() else place.name
    else:
        module, place = item, _place_of(item.partition(".")[0])
    if (
        place is None
        or not place.exists()
        or not (place.suffix == ".py" or (place / "__init__.py").is_file())
    ):
        raise HarnessError(*_no_plugin(item, place))
    name = module.partition(".")[0]
    # As the built-in plugins do: a package keeps its hooks in plugin.py, and stays cheap to import.
    if module == place.name and (place / "plugin.py").is_file():
        module += ".plugin"
    return ExtraPlugin(name, str(item), Distribution(EXTRA, _content(place)), module, place)


def _no_plugin(item: str, place: Path | None) -> tuple[str, str]:
    """What is wrong with an item that cannot be loaded, and what to do."""
    if place is None or not place.is_dir():
        hint = "give a path with a slash in it, or the name of a module that can be imported"
        if place is None and Path(item).exists():
            hint = f"write .{os.sep}{item} for the one in this folder"
        return f"{EXTRA} names {item}, which is no .py file, no folder and no module", hint
    below = sorted({*place.glob("*/plugin.py"), *place.glob("src/*/plugin.py")})
    hint = "put an __init__.py into it, which may be empty"
    if below and not (place / "plugin.py").exists():
        hint = f"did you mean {Path(item) / below[0].parent.relative_to(place)}?"
    return f"{EXTRA} names {item}, a folder that is no package: it has no __init__.py", hint


def _place_of(package: str) -> Path | None:
    """The file or folder of a module that can be imported; None for another."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin).resolve()
    return origin.parent if origin.name == "__init__.py" else origin


def _content(place: Path) -> str:
    """Version of a file or folder: 12 digits of the SHA-256 over its files."""
    from harness.results.digest import digest, sha256_file

    if place.is_file():
        return sha256_file(place)[:12]
    files = (p for p in sorted(place.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
    return digest({str(path.relative_to(place)): sha256_file(path) for path in files})[:12]

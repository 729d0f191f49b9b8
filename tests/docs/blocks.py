"""The code blocks of a page, and a fresh set of plugins to run them with."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from harness.plugins import registry

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TOUCHED = re.compile(r"^touch (.+)$", re.MULTILINE)
_FILE = re.compile(r"# (\S+\.(?:py|yaml|csv|toml))\n")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the file that its first line says it is (else empty)."""

    language: str
    text: str
    file: str


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page in their order."""
    found = []
    for language, text in _BLOCK.findall(page):
        named = _FILE.match(text)
        found.append(Block(language, text, named.group(1) if named else ""))
    return found


def write_files(page: str, folder: Path) -> list[str]:
    """Write the blocks that are files, those of one name joined; returns their names. What the page has
    somebody ``touch`` is there too, and nothing else."""
    files: dict[str, str] = {}
    for block in blocks(page):
        if block.language == "bash":
            for touched in _TOUCHED.findall(block.text):
                files |= dict.fromkeys(touched.split(), "")
        if block.file:
            first, text = block.text.split("\n", 1)  # a comment to the reader, but no csv has comments
            text = text if block.file.endswith(".csv") else f"{first}\n{text}\n"
            files[block.file] = files.get(block.file, "") + text
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return list(files)


@contextmanager
def plugins_of(folder: Path, *names: str) -> Iterator[None]:
    """The process's registry with further plugins from ``folder``; everything is as before afterwards.

    Modules of the same names that another test has imported from elsewhere are put aside meanwhile.
    """
    path, stems = list(sys.path), {Path(name).stem for name in names}
    aside = _taken(stems)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_PLUGINS", ",".join(str(folder / name) for name in names))
        registry.cache_clear()
        try:
            yield
        finally:
            registry.cache_clear()
            sys.path[:] = path
            _taken(stems)
            sys.modules.update(aside)


def _taken(packages: set[str]) -> dict[str, ModuleType]:
    """The modules of some packages, taken out of those that are imported."""
    found = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in found}

"""Fill the templates of a kind of plugin into an empty folder.

A template is a file whose name and text have ``$name`` and the like in them (:class:`string.Template`);
its own suffix is left out. What all kinds share lies in ``templates/common``.
"""

from __future__ import annotations

import ast
import keyword
import re
import shutil
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template

from harness import API_VERSION, __version__
from harness.errors import HarnessError
from harness.plugins import Registry

COMMON, SUFFIX = "common", ".tmpl"
_CALLED = {"temporal": "temporal module", "dataset": "data set"}
#: What to do with an installed plugin of each kind.
TRY = {
    **dict.fromkeys(
        ("temporal", "loss", "backbone", "method"), "harness run --method {name} --dataset shapes"
    ),
    "dataset": "harness data sample {name} DIR && harness run --method METHOD --dataset {name} --data-root DIR",
    "task": "harness run --method METHOD --dataset shapes --task {name}",
}

#: A name is that of the plugin, its component and its method, and part of a module's.
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def create(name: str, kind: str, folder: Path, registry: Registry) -> list[Path]:
    """Write the distribution ``name`` into ``folder``, which must not exist; the files, sorted.

    Raises HarnessError for a name that cannot be one, or that an installed component has already.
    """
    check_name(name, registry)
    if folder.exists():
        raise HarnessError(f"{folder} exists already", "choose another name, or another folder with --to DIR")
    values = {
        "name": name,
        "package": f"harness_{name}",
        "distribution": f"harness-{name.replace('_', '-')}",
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "kind": _CALLED.get(kind, kind),
        "try_it": f"```bash\n{TRY[kind].format(name=name)}\n```",
        "api": str(API_VERSION),
        "harness_version": __version__,
    }
    texts = {
        folder / _filled(str(path), values): _filled(text, values)
        for part in (COMMON, kind)
        for path, text in _files(_templates() / part)
    }
    sources = [text for path, text in texts.items() if path.suffix == ".py"]
    if any(values["Class"] in _imported(source, values["package"]) for source in sources):
        raise HarnessError(
            f"'{name}' would be a class {values['Class']}, which its own code imports under that name",
            "choose another name",
        )
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for path, text in texts.items():
            written = draft / path.relative_to(folder)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(text, encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sorted(texts)


def check_name(name: str, registry: Registry) -> None:
    """Refuse a name that cannot be a module's, and one that is taken."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise HarnessError(
            f"'{name}' cannot be the name of a plugin",
            "use small letters, digits and '_', starting with a letter, such as my_pooling",
        )
    for kind, names in sorted(registry.components.items()):
        for _, plugin in names.get(name, []):
            raise HarnessError(
                f"'{name}' is the name of one of the installed {kind}, of {plugin.label}",
                "choose another name",
            )
    if find_spec(f"harness_{name}") is not None:
        raise HarnessError(f"a package harness_{name} is installed already", "choose another name")


def _templates() -> Traversable:
    return resources.files("harness.scaffold") / "templates"


def _files(folder: Traversable, below: str = "") -> Iterator[tuple[str, str]]:
    """Path below the folder, without the suffix, and text of every template."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield below + entry.name.removesuffix(SUFFIX), entry.read_text("utf-8")


def _imported(source: str, own: str) -> set[str]:
    """The names that a module has from others, but from those of its ``own`` package."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {
        alias.asname or alias.name
        for node in nodes
        if not (isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == own)
        for alias in node.names
    }


def _filled(text: str, values: dict[str, str]) -> str:
    return Template(text).substitute(values)

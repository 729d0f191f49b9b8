"""YAML read strictly, with the line of every value.

PyYAML's safe loader reads ``1e-7`` as a string and ``on`` as True, and keeps the last of two equal
keys. Recipes are read by the YAML 1.2 core rules instead, and every leaf remembers where it stood.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError

#: ``("train", "lr")`` to ``"recipes/base.yaml:12"``.
Origins = dict[tuple[str, ...], str]


class _CoreLoader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's idea of booleans, numbers and null.

    Infinity and NaN stay words: a plan is JSON, which has neither.
    """

    def _decimal(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))


# YAML 1.1 reads 010 as eight and cannot read 09.
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _CoreLoader._decimal)


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first, ""] if _tag == "null" else list(_first),
    )


def parse_scalar(text: str) -> Any:
    """The value of a ``--set`` argument: any YAML 1.2 scalar or flow collection."""
    try:
        return yaml.load(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it is not valid YAML"
        raise HarnessError(
            f"--set cannot read the value {text!r}: {problem}", "quote it, or close its brackets"
        ) from error


def read(path: Path, shown: str, what: str = "recipe") -> tuple[dict[str, Any], Origins]:
    """A recipe file as values and the origin of each leaf; ``shown`` is its name in messages."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        own = "check the path"
        packed = f"it would be {path}; a wheel has it only if package-data in pyproject.toml names it"
        raise HarnessError(
            f"cannot read {what} {shown}: {error.strerror}", own if str(path) == shown else packed
        ) from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"{what} {shown} is not UTF-8 text", "save it as UTF-8") from error
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        values = {} if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise HarnessError(f"{what} {shown}{line}: {problem}", "fix the YAML there") from error
    if not isinstance(values, dict):
        raise HarnessError(
            f"{what} {shown} is not a mapping of settings",
            "write settings as `name: value`, such as `train: {lr: 1e-5}`",
        )
    origins: Origins = {}
    if node is not None:
        _note(node, (), shown, origins)
    return values, origins


def locate(resource: str, what: str = "recipe") -> tuple[Path, str]:
    """The file behind a path or ``package:path``, and its name for messages."""
    package, colon, inner = resource.partition(":")
    if colon and not Path(resource).exists():
        try:
            path = Path(str(files(package))) / inner
        except (ImportError, TypeError, ValueError) as error:
            raise HarnessError(
                f"{what} {resource}: no package '{package}'", "check the name before the colon"
            ) from error
        return path, f"{package}/{inner}"
    return Path(resource), resource


def _note(node: yaml.Node, path: tuple[str, ...], shown: str, origins: Origins) -> None:
    here = f"{shown}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode) or not node.value:
        origins[path] = here
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            raise HarnessError(
                f"{shown}:{key.start_mark.line + 1}: '{'.'.join((*path, key.value))}' is given twice",
                "keep one of the two lines",
            )
        seen.add(key.value)
        _note(value, (*path, key.value), shown, origins)

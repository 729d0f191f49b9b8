"""Are the fields of a spec what they are declared to be? Dataclasses do not ask.

A stranger's spec with, say, ``aliases=("X")``, which is no tuple, would otherwise be found out in the middle of
some command, or never.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any


def wrong_field(spec: Any) -> str:
    """The first field of a spec, or of a spec within it, that is of another type, in words; else nothing.

    A list does where a tuple is declared.
    """
    for name, hint in _hints(type(spec)).items():
        value = getattr(spec, name)
        if not _fits(value, hint):
            alone = _is_tuple(hint) and (isinstance(value, str) or dataclasses.is_dataclass(value))
            comma = "; a tuple of one needs a comma, (x,)" if alone else ""
            return f"{name} is {_shown(value)}, expected {_said(hint)}{comma}"
        for inner in value if isinstance(value, tuple | list) else ():
            if dataclasses.is_dataclass(inner) and (wrong := wrong_field(inner)):
                return f"{name}: {wrong}"
    return ""


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple | list) and all(_fits(item, parts[0]) for item in value)
    if origin is type:
        return isinstance(value, type) and issubclass(value, parts[0])
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0]) and _fits(item, parts[1]) for key, item in value.items()
        )
    return isinstance(value, hint)


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if dataclasses.is_dataclass(value) else repr(value)


def _is_tuple(hint: Any) -> bool:
    return tuple in (typing.get_origin(hint), *map(typing.get_origin, typing.get_args(hint)))


def _said(hint: Any) -> str:
    """A type as a plugin's author would call it, such as ``a tuple of str``."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_said(part) for part in parts)
    if origin is tuple:
        return f"a tuple of {parts[0].__name__}"
    if origin is type:
        return f"a subclass of harness.{parts[0].__name__}"
    if origin is Mapping:
        return "a dict"
    return "None" if hint is type(None) else f"{hint.__name__}"

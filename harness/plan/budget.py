"""`--budget`: training at equal compute, by frames seen or by time."""

from __future__ import annotations

import re

from harness.errors import HarnessError
from harness.plan.schema import Budget

_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_MOST = 1e15


def parse_budget(text: str) -> dict[str, float]:
    """``frames=2M`` or ``time=30m`` as the recipe value ``budget``."""
    kind, _, amount = text.partition("=")
    units = {"frames": _THOUSANDS, "time": _SECONDS}.get(kind, {})
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]?)", amount)
    hint = "for example --budget frames=2M (k, M, G), or --budget time=30m (s, m, h)"
    if not found or found[2] not in units or float(found[1]) == 0:
        raise HarnessError(f"--budget {text!r} is neither frames nor time", hint)
    value = float(found[1]) * units[found[2]]
    if not 1 <= value <= _MOST:
        raise HarnessError(
            f"--budget {text!r} is less than a frame or a second, or more than a machine counts", hint
        )
    return {"frames": round(value)} if kind == "frames" else {"seconds": value}


def shown(budget: Budget | None) -> str:
    """``2M frames``, ``30 min``; empty where a run has its method's own epochs."""
    if budget is None:
        return ""
    if budget.frames:
        size, unit = next((s, u) for u, s in reversed(_THOUSANDS.items()) if budget.frames >= s)
        return f"{budget.frames / size:.6g}{unit} frames"
    if budget.seconds < 60:
        return f"{budget.seconds:g} s"
    return f"{budget.seconds / 60:g} min"

"""What a record keeps of each answer to a question, and the accuracies from that alone.

No torch: records are audited where none is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: In a column: a question whose data set tells no kind, or has no foil.
_NONE = "-"


def columns(right: Sequence[bool], kinds: Sequence[str], foiled: Sequence[bool | None]) -> dict[str, str]:
    """Of each question: whether it was answered rightly, its kind as one word, and whether the answer was
    its foil (None: it has none)."""
    return {
        "right": " ".join(str(int(ok)) for ok in right),
        "kind": " ".join("_".join(kind.split()) or _NONE for kind in kinds),
        "foil": " ".join(_NONE if was is None else str(int(was)) for was in foiled),
    }


def accuracies(evidence: Mapping[str, str]) -> dict[str, float]:
    """Accuracy in percent, over all questions and for each kind; and of the answers that are right or
    the foil, the share of right ones.

    Raises ValueError or KeyError for columns that :func:`columns` cannot have made.
    """
    right, kinds, foiled = (evidence[name].split(" ") for name in ("right", "kind", "foil"))
    if not len(right) == len(kinds) == len(foiled):
        raise ValueError("right, kind and foil must have as many entries as there are questions")
    if not ({*right} <= {"0", "1"} and {*foiled} <= {"0", "1", _NONE}):
        raise ValueError("right must be 0 or 1 for each question, and foil too, or -")
    found = {"accuracy": _share(right)}
    for kind in sorted({*kinds} - {_NONE}):
        found[f"accuracy, {kind}"] = _share([ok for ok, of in zip(right, kinds, strict=True) if of == kind])
    told = sum(ok == "1" for ok, was in zip(right, foiled, strict=True) if was != _NONE)
    if told + foiled.count("1"):
        found["right against foil"] = 100 * told / (told + foiled.count("1"))
    return found


def _share(right: Sequence[str]) -> float:
    return 100 * right.count("1") / len(right)

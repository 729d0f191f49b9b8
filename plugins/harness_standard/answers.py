"""What a record keeps of each answer to a question, and the accuracies from that alone.

No torch: records are audited where none is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: In the column of kinds: a question whose data set tells none.
_NO_KIND = "-"


def columns(right: Sequence[bool], kinds: Sequence[str]) -> dict[str, str]:
    """Of each question: whether it was answered rightly, and its kind as one word."""
    return {
        "right": " ".join(str(int(ok)) for ok in right),
        "kind": " ".join("_".join(kind.split()) or _NO_KIND for kind in kinds),
    }


def accuracies(evidence: Mapping[str, str]) -> dict[str, float]:
    """Accuracy in percent, over all questions and for each kind.

    Raises ValueError or KeyError for columns that :func:`columns` cannot have made.
    """
    right, kinds = (evidence[name].split(" ") for name in ("right", "kind"))
    if len(right) != len(kinds) or not {*right} <= {"0", "1"}:
        raise ValueError("right must be 0 or 1 for each question, and have as many entries as kind")
    found = {"accuracy": _share(right)}
    for kind in sorted({*kinds} - {_NO_KIND}):
        found[f"accuracy, {kind}"] = _share([ok for ok, of in zip(right, kinds, strict=True) if of == kind])
    return found


def _share(right: Sequence[str]) -> float:
    return 100 * right.count("1") / len(right)

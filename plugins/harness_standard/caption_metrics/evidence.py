"""What a record keeps of each caption's scores, and the corpus' figures from that alone.

No torch: records are audited where none is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness_standard.caption_metrics.bleu import BleuCounts, bleu
from harness_standard.caption_metrics.scores import CaptionScores


def columns(scores: CaptionScores, exact: Sequence[bool]) -> dict[str, str]:
    """Of each clip: what BLEU counts (as ``matches1,..;totals1,..;length;reference``), its other scores."""
    found = {
        "bleu": [
            ";".join(
                (
                    ",".join(map(str, one.matches)),
                    ",".join(map(str, one.totals)),
                    str(one.length),
                    str(one.reference_length),
                )
            )
            for one in scores.bleu
        ],
        "rouge": [repr(round(value, 12)) for value in scores.rouge],
        "cider": [repr(round(value, 12)) for value in scores.cider],
        "exact": [str(int(value)) for value in exact],
    }
    if scores.meteor is not None:
        found["meteor"] = [repr(round(value, 12)) for value in scores.meteor]
    return {name: " ".join(values) for name, values in found.items()}


def figures(evidence: Mapping[str, str]) -> dict[str, float | None]:
    """The figures that :func:`columns` stand for, on the papers' scale.

    METEOR is None where there is a column of it: the corpus' score is no function of the clips' scores.
    Raises ValueError or KeyError for columns that :func:`columns` cannot have made.
    """
    split = {name: column.split(" ") for name, column in evidence.items()}
    if len({len(column) for column in split.values()}) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in split.items())
        raise ValueError(f"columns of different lengths: {sizes}")
    found: dict[str, float | None] = {"CIDEr": 100 * _mean(map(float, split["cider"]))}
    counts = [_counts(one) for one in split["bleu"]]
    found |= {f"BLEU-{n}": 100 * score for n, score in enumerate(bleu(counts), start=1)}
    found["ROUGE-L"] = 100 * _mean(map(float, split["rouge"]))
    if "meteor" in split:
        found["METEOR"] = None
    found["exact"] = 100 * _mean(map(int, split["exact"]))
    return found


def _counts(text: str) -> BleuCounts:
    """One entry of the column ``bleu``. A caption of so many words has one n-gram less for each n."""
    matches, totals, length, reference = text.split(";")
    made = BleuCounts(
        tuple(map(int, matches.split(","))), tuple(map(int, totals.split(","))), int(length), int(reference)
    )
    if made.totals != tuple(max(made.length - k, 0) for k in range(len(made.matches))):
        raise ValueError(f"bleu has {text!r}: not the n-grams of {made.length} words")
    return made


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)

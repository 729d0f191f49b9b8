"""An inspection as a page for people: two tables, then names and reasons, a few of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.data.inspection import Inspection, ProtocolFindings, SplitFindings

#: So many names of a kind are shown; the JSON has them all.
SHOWN = 5


def summary(title: str, found: Inspection) -> str:
    """Everything that was found; ``title`` says of what."""
    blocks = [
        f"{title}{'' if found.decoded else ' (nothing decoded: damage was not looked for)'}",
        _splits(found),
        _protocols(found),
        "\n".join(line for name, split in found.splits.items() for line in _culprits(name, split)),
        "\n".join(_overlaps(found)),
        "\n".join(f"note: {note}" for note in found.notes),
        "\n".join(_verdict(found)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _splits(found: Inspection) -> str:
    asked = any(split.questions for split in found.splits.values())
    rows = [
        [
            name,
            *(split.clips, split.found, len(split.missing), len(split.damaged) if found.decoded else "?"),
            *(split.captions, *([split.questions] if asked else []), len(split.silent), len(split.unlisted)),
            *(len(split.duplicates), len(split.shared_texts)),
        ]
        for name, split in found.splits.items()
    ]
    return _table(
        rows,
        *("split", "clips", "found", "missing", "damaged", "captions", *(["questions"] if asked else [])),
        *("silent", "unlisted", "same content", "shared texts"),
    )


def _protocols(found: Inspection) -> str:
    rows = [
        [
            name,
            p.train or "none",
            p.test,
            *(
                (_count(p.queries, p.expected_queries), _count(p.gallery, p.expected_gallery))
                if p.checked
                else "--"
            ),
            f"{p.texts_hash[:12]} ({p.hash_status})" if p.checked else "-",
            _result(p),
        ]
        for name, p in found.protocols.items()
    ]
    return _table(rows, "protocol", "train", "test", "queries", "clips", "texts hash", "result")


def _count(found: int, expected: int) -> str:
    return f"{found} of {expected}" if _off(found, expected) else str(found)


def _off(found: int, expected: int) -> bool:
    return bool(expected) and found != expected


def _result(protocol: ProtocolFindings) -> str:
    if protocol.problems:
        return "NOT SOUND"
    if protocol.incomplete:
        return f"incomplete: {protocol.incomplete.partition(' (')[0]}"
    if not protocol.checked:
        return f"not checked: no annotation files of {' and '.join(protocol.lacking)}"
    remarks = []
    if protocol.lacking:
        remarks.append(f"without {protocol.lacking[0]}")
    if protocol.hash_status == "differs":
        remarks.append("not the published texts")
    elif _off(protocol.queries, protocol.expected_queries) or _off(
        protocol.gallery, protocol.expected_gallery
    ):
        remarks.append("not the published counts")
    return ", ".join(["sound", *remarks])


def _culprits(name: str, split: SplitFindings) -> Iterator[str]:
    for kind, clips in (
        ("missing", split.missing),
        ("silent (listed, without a text)", split.silent),
        ("unlisted (with a text, in no list)", split.unlisted),
    ):
        if clips:
            yield f"{name}, {kind}: {_few(clips)}"
    for clip, reason in list(split.damaged.items())[:SHOWN]:
        yield f"{name}, damaged: {clip}: {reason}"
    yield from _more(f"{name}, damaged", len(split.damaged))
    for group in split.duplicates[:SHOWN]:
        yield f"{name}, same content: {_few(group)}"
    yield from _more(f"{name}, same content", len(split.duplicates))
    for text, clips in list(split.shared_texts.items())[:SHOWN]:
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        yield f"{name}, one text for {len(clips)} clips: {shown!r}: {_few(clips)}"
    yield from _more(f"{name}, texts of several clips", len(split.shared_texts))


def _overlaps(found: Inspection) -> Iterator[str]:
    for overlap in found.overlaps:
        both = " and ".join(overlap.splits)
        mark = f"ERROR in {', '.join(overlap.protocols)}: " if overlap.protocols else ""
        if overlap.ids:
            yield f"{mark}{both} have {len(overlap.ids)} clips in common: {_few(overlap.ids)}"
        if overlap.content:
            pairs = [f"{one} = {other}" for one, other in overlap.content]
            yield f"{mark}{both} have clips of the same content under other names: {_few(pairs)}"


def _verdict(found: Inspection) -> Iterator[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for split, reason in found.unreadable.items():
        reasons[reason].append(split)
    for reason, splits in reasons.items():
        yield f"{_few(splits)} cannot be read: {reason}"
    for name, protocol in found.protocols.items():
        if protocol.incomplete:
            yield f"{name} is incomplete: {protocol.incomplete}"
        for problem in protocol.problems:
            yield f"{name} is not sound: {problem}"
    if not any(protocol.checked for protocol in found.protocols.values()):
        lacking = dict.fromkeys(p.test for p in found.protocols.values() if p.test not in found.unreadable)
        files = f": there are no annotation files of {' or '.join(lacking)}" if lacking else ""
        yield f"no protocol could be checked{files}"
    elif found.sound:
        yield "every protocol that could be checked is sound"


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _more(what: str, count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"{what}: and {count - SHOWN} more"


def _table(rows: Sequence[Sequence], *headers: str) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers, disable_numparse=True, colalign=_alignment(rows))


def _alignment(rows: Sequence[Sequence]) -> list[str] | None:
    return ["right" if isinstance(cell, int) or cell == "?" else "left" for cell in rows[0]] if rows else None

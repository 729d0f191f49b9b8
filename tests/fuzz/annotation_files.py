"""Sound annotation files of every form that can be read, and seeded damage of the kinds that editing,
converting and copying text do to them, beside the kinds that storage does to any file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import re
from collections.abc import Callable

import numpy as np

from tests.fuzz import mutations

#: Enough to have hundreds of places to hit, small enough to be read a thousand times.
VIDEOS = 40

_WORDS = ("a", "dog", "jumps,", "walks", "Zoë", "said", "“yes”", "猫", "red", "in the", "car.", "3", "-")


def _texts(video: int) -> list[str]:
    """One to three texts; no two in a file are equal, and none in all of them looks like a name."""
    random = np.random.default_rng(video)
    return [
        f"{' '.join(random.choice(_WORDS, random.integers(3, 12)))} {video}.{number}"
        for number in range(1 + video % 3)
    ]


_ALL = {f"video{number}": _texts(number) for number in range(VIDEOS)}
_PAIRS = [(name, text) for name, texts in _ALL.items() for text in texts]


def _csv(header: list[str], rows: list[list[str]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return file.getvalue().encode()


def _film_clips() -> bytes:
    times = "00.01.02.345", "00.01.06.789", "00.01.02.000", "00.01.07.000"
    return "".join(
        "\t".join([f"{number:04d}_Film_00.01.02.345-00.01.06.789", *times, text]) + "\n"
        for number, (_, text) in enumerate(_PAIRS)
    ).encode()


def _dump(data: object, **how: object) -> bytes:
    return json.dumps(data, **how).encode()  # type: ignore[arg-type]


def _lines(records: list[dict]) -> bytes:
    return b"".join(_dump(record, ensure_ascii=False) + b"\n" for record in records)


def _table(key: str, video_key: str) -> bytes:
    videos = [{"video_id": name, "split": "train", "start time": 1.5, "id": 7} for name in _ALL]
    sentences = [{"caption": text, video_key: name, "sen_id": 3} for name, text in _PAIRS]
    return _dump({"info": {"year": "2016"}, "videos": videos, key: sentences})


_TIMED = {
    f"v_{name}": {
        "duration": 20.5,
        "timestamps": [[0.3, 4]] * len(texts),
        "sentences": [f" {t}" for t in texts],
    }
    for name, texts in _ALL.items()
}

#: Every form, by name, as the bytes of a sound file.
SOUND: dict[str, bytes] = {
    "csv": _csv(["key", "video_id", "sentence"], [[f"ret{i}", *pair] for i, pair in enumerate(_PAIRS)]),
    "csv_of_names": _csv(["video_id"], [[name] for name in _ALL]),
    "tsv": _csv(["video_id", "caption"], [list(pair) for pair in _PAIRS], "\t"),
    "film_clips": _film_clips(),
    "names": "".join(f"{name}.mp4\n" for name in _ALL).encode(),
    "json_table": _table("sentences", "video_id"),
    "json_table_coco": _table("annotations", "image_id"),
    "json_records": _dump(
        [{"video_id": name, "desc": texts, "subtitle": "x"} for name, texts in _ALL.items()]
    ),
    "json_records_of_one": _dump([{"video": f"{v}.mp4", "caption": text} for v, text in _PAIRS], indent=1),
    "json_mapping": _dump({f"{name}.mp4": texts for name, texts in _ALL.items()}, ensure_ascii=False),
    "json_mapping_of_words": _dump({name: [text.split() for text in texts] for name, texts in _ALL.items()}),
    "json_timed": _dump(_TIMED),
    "json_list": _dump(list(_ALL)),
    "json_lines": _lines([{"clip_id": name, "text": texts, "num_frame": 3} for name, texts in _ALL.items()]),
    "pickle": pickle.dumps({name: [text.split() for text in texts] for name, texts in _ALL.items()}, 2),
    "pickle_new": pickle.dumps(_ALL, 5),
    "gzip": gzip.compress(_dump(_TIMED), mtime=0),
}


def mutate(content: bytes, seed: int) -> tuple[str, bytes]:
    """The name of the damage that ``seed`` does, and what it leaves of the content."""
    kind, damage = list(KINDS.items())[seed % len(KINDS)]
    return kind, damage(content, np.random.default_rng(seed))


_Damage = Callable[[bytes, np.random.Generator], bytes]


def _carriage_returns(content: bytes, random: np.random.Generator) -> bytes:
    """The line ends of another system, in all of the file or from some line on."""
    keep = random.choice([0, len(content) // 2])
    end = random.choice([b"\r\n", b"\r"])
    return content[:keep] + content[keep:].replace(b"\n", end)


def _marks(content: bytes, random: np.random.Generator) -> bytes:
    """A byte order mark before the file, as some editors write, or within it, as joining files does."""
    at = int(random.choice([0, int(random.integers(0, len(content)))]))
    mark = random.choice([b"\xef\xbb\xbf", b"\xff\xfe"])
    return content[:at] + mark + content[at:]


def _nothing(content: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(0, len(content)))
    return content[:at] + bytes(int(random.integers(1, 5))) + content[at:]


def _punctuation(content: bytes, random: np.random.Generator) -> bytes:
    """A few characters become some that mean something to one form or another."""
    changed = bytearray(content)
    for at in random.integers(0, len(content), int(random.integers(1, 4))):
        changed[at] = random.choice(list(b'",\n\t\r[]{}:\\ '))
    return bytes(changed)


_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?')
_OTHERS = (b"null", b"true", b"{}", b"[]", b"-1", b'"x"', b'""', b'" "', b"[[1]]", b'{"a": 1}', b'"\\ud800"')
_HUGE = (b"1e999", b"-1e999", b"NaN", b"9" * 4000, b"9" * 20000, b"0" * 5000, b"1e-999", b"4294967295")


def _swapped(content: bytes, random: np.random.Generator, others: tuple[bytes, ...] = _OTHERS) -> bytes:
    """A value becomes one of another type."""
    found = list(_VALUE.finditer(content))
    if not found:
        return content + random.choice(list(others))
    value = found[int(random.integers(0, len(found)))]
    return content[: value.start()] + others[int(random.integers(0, len(others)))] + content[value.end() :]


def _huge(content: bytes, random: np.random.Generator) -> bytes:
    return _swapped(content, random, _HUGE)


def _nested(content: bytes, random: np.random.Generator) -> bytes:
    """A value lies within thousands of brackets, closed or not, or the whole file does."""
    depth = int(random.choice([100, 900, 990, 5000, 200_000]))
    left, right = [(b"[", b"]"), (b'{"a":', b"}"), (b"(", b""), (b"]", b"l")][int(random.integers(0, 4))]
    found = list(_VALUE.finditer(content))
    if not found or random.random() < 0.3:
        return left * depth + content + right * depth
    value = found[int(random.integers(0, len(found)))]
    nested = left * depth + value.group() + right * depth
    return content[: value.start()] + nested + content[value.end() :]


def _long_line(content: bytes, random: np.random.Generator) -> bytes:
    """One character again and again, so that a field, a name or a text is millions long."""
    at = int(random.integers(0, len(content)))
    return content[:at] + content[at : at + 1] * int(random.choice([70_000, 3_000_000])) + content[at:]


def _lines_moved(content: bytes, random: np.random.Generator) -> bytes:
    """A whole line is gone, doubled or in another place."""
    lines = content.split(b"\n")
    at, to = (int(place) for place in random.integers(0, len(lines), 2))
    line = lines[at] if random.random() < 0.5 else lines.pop(at)
    if random.random() < 0.7:
        lines.insert(to, line)
    return b"\n".join(lines)


KINDS: dict[str, _Damage] = {
    **mutations.KINDS,
    "carriage returns": _carriage_returns,
    "marks": _marks,
    "NUL": _nothing,
    "punctuation": _punctuation,
    "swapped": _swapped,
    "huge": _huge,
    "nested": _nested,
    "long line": _long_line,
    "lines moved": _lines_moved,
}

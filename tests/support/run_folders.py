"""Run folders with a record and what was retrieved, made from scores in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from harness.results import ranks
from harness.results.digest import digest, texts_hash
from harness.results.record import Metrics, MissingClip, Protocol, Queries, ResultRecord
from harness.results.record_file import dumps
from harness.results.retrieved import RETRIEVED, best_clips
from harness.results.retrieved import dumps as retrieved_dumps


def write_run(
    folder: Path,
    scores: np.ndarray,
    *,
    texts: Sequence[str],
    gallery: Sequence[str],
    lost: int = -1,
    **changes,
) -> ResultRecord:
    """A finished run whose text i asks for clip i; clip ``lost`` is missing. ``changes`` go to the record."""
    size = len(gallery)
    gold, missing = np.arange(size), np.arange(size) == lost
    rows = [(f"q{n}", text, gallery[n]) for n, text in enumerate(texts)]
    forth = ranks.text_to_video(scores, gold, missing)
    back, _ = ranks.video_to_text(scores, gold, missing)
    values = {
        "method": "method_a",
        "dataset": "toys",
        "task": "retrieval",
        "protocol": Protocol(
            name="test_a",
            query_unit="sentence",
            n_queries=size,
            n_gallery=size,
            ids_texts_hash=texts_hash(rows, gallery),
            hash_status="computed",
        ),
        "train_split": "train",
        "selection": "last",
        "metrics": Metrics(t2v=ranks.metrics(forth), v2t=ranks.metrics(back)),
        "queries": Queries(t2v=forth.pack(), v2t=back.pack()),
        "recipe_digest": digest("a recipe"),
        "seed": 0,
        "created": "2024-05-06T07:08:09+00:00",
    }
    record = ResultRecord(**{**values, **changes})
    if lost >= 0:
        gone = (MissingClip(gallery[lost], "not found"),)
        record = msgspec.structs.replace(record, missing=msgspec.structs.replace(record.missing, test=gone))
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(dumps(record), encoding="utf-8")
    if record.queries is not None:
        found = best_clips(scores, missing, rows, gallery)
        (folder / RETRIEVED).write_bytes(retrieved_dumps(found))
    log = "".join(f'{{"loss": {5 / (n + 1)}, "lr": {0.001 / (n + 1)}}}\n' for n in range(30))
    (folder / "log.jsonl").write_text(log)
    return record

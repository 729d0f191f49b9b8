"""Small records with true counts, for the tests of records and leaderboards."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.results import ranks
from harness.results.digest import digest
from harness.results.record import Metrics, Protocol, Queries, ResultRecord

SIZE = 50


def protocol(**changes: Any) -> Protocol:
    """A verified protocol of SIZE sentences and videos."""
    values = {
        "name": "test_a",
        "query_unit": "sentence",
        "n_queries": SIZE,
        "n_gallery": SIZE,
        "ids_texts_hash": "ab" * 32,
        "hash_status": "verified",
    }
    return Protocol(**{**values, **changes})


def sample(method: str = "method_a", seed: int | None = 0, lift: float = 0.6, **changes: Any) -> ResultRecord:
    """A measured record; ``lift`` is how far the ground truth's scores stand out."""
    rng = np.random.default_rng([seed or 0, *method.encode()])
    scores = rng.random((SIZE, SIZE)) + lift * np.eye(SIZE)
    scores = np.floor(scores * 64) / 64
    gold = np.arange(SIZE)
    forth = ranks.text_to_video(scores, gold)
    back, _ = ranks.video_to_text(scores, gold)
    values = {
        "method": method,
        "dataset": "toys",
        "task": "retrieval",
        "protocol": protocol(),
        "train_split": "train_9k",
        "selection": "last",
        "metrics": Metrics(t2v=ranks.metrics(forth), v2t=ranks.metrics(back)),
        "queries": Queries(t2v=forth.pack(), v2t=back.pack()),
        "recipe_digest": digest([method, lift]),
        "seed": seed,
        "created": "2024-05-06T07:08:09+00:00",
        "backbone": "tower|32",
        "parameters": 151_277_313,
        "frames": 12,
        "batch_size": 128,
        "train_seconds": 3725.25,
    }
    return ResultRecord(**{**values, **changes})

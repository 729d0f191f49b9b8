"""How long tables and audit take for many records of many queries.

The records are made for the purpose: random ranks, and figures, intervals and digests that follow from them,
so that the audit passes. Methods and data sets are called after installed ones, so that looking up their
recipes costs what it does for real records. Times are of one process, in seconds of all its threads together.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np

from harness.bench.place import writable
from harness.errors import HarnessError
from harness.plan.packaged import own_recipe_digest
from harness.plugins import Registry
from harness.results import leaderboard, ranks
from harness.results.atomic import write_atomically
from harness.results.audit import audit
from harness.results.digest import digest, recipe_digest
from harness.results.record import Metrics, Protocol, Queries, ResultRecord
from harness.results.record_file import dumps as text_of
from harness.results.record_file import record_path
from harness.results.resampling import resampled
from harness.results.table import markdown_table

#: Seeds of each row, and data sets at most.
SEEDS = 3
_DATASETS = 4


@dataclass(frozen=True)
class Result:
    """Seconds of processor time. ``tables`` reads all records and makes every page, ``audit`` computes every
    figure again and makes the pages too, ``full`` also draws every interval again."""

    records: int
    queries: int
    rows: int
    megabytes: float
    tables: float
    audit: float
    full: float


def measure(registry: Registry, folder: Path, records: int, queries: int) -> Result:
    """Makes the records below ``folder``, and times what reads them."""
    writable(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as place:
        made = list(islice(_records(registry, records, queries), records))
        texts = [(record_path(place, record), text_of(record)) for record in made]
        for path, text in texts:
            write_atomically(path, text)
        leaderboard.write_all(place)
        tables, _ = _seconds(lambda: leaderboard.regenerate(place))
        plain, found = _seconds(lambda: audit(place, registry))
        assert found.records == records and not found.problems, found.problems[:3]
        # Only the second thing that is full: published rows are not copied here.
        full, again = _seconds(lambda: audit(place, registry, full=True))
        assert again.figures == found.figures
    size = sum(len(text) for _, text in texts) / 1e6
    rows = len({(record.dataset, record.recipe_digest) for record in made})
    return Result(records, queries, rows, size, tables, plain, full)


def _records(registry: Registry, count: int, queries: int):
    """``count`` records, or a few more: seeds of methods on data sets, one data set after the other."""
    pairs = _pairs(registry)
    rng = np.random.default_rng(0)
    for number, seed in product(range(-(-count // SEEDS)), range(SEEDS)):
        method, dataset, own = pairs[number % len(pairs)]
        yield _record(rng, method, dataset, own, f"part {number // len(pairs)}", seed, queries)


def _pairs(registry: Registry) -> list[tuple[str, str, str]]:
    """Methods and data sets that have a recipe together, with its digest."""
    names = [list(dict.fromkeys(s.name for s, _ in registry.specs(kind))) for kind in ("datasets", "methods")]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for dataset, method in product(*names):
        try:
            specs = [registry.find("methods", method)[0], registry.find("datasets", dataset)[0]]
            own = own_recipe_digest(*specs, "retrieval")
        except HarnessError:  # a method that needs another task, or a data set without a protocol for it
            continue
        found.setdefault(dataset, []).append((method, dataset, own))
    chosen = sorted(found, key=lambda name: -len(found[name]))[:_DATASETS]
    if not chosen:
        raise HarnessError("no method and data set have a recipe together", "see `harness plugins`")
    return [pair for dataset in chosen for pair in found[dataset]]


def _record(
    rng: np.random.Generator, method: str, dataset: str, own: str, part: str, seed: int, queries: int
) -> ResultRecord:
    """Log-normal ranks, as far from 1 as real ones; one query in a hundred ties."""
    counts = []
    for _ in range(2):
        better = np.exp(rng.normal(0.7, 2.0, queries)).astype(np.int64).clip(0, queries - 2)
        tied = np.where(rng.random(queries) < 0.01, 2, 1)
        counts.append(ranks.Counts(better - better.min(), tied, queries))
    packed = Queries(t2v=counts[0].pack(), v2t=counts[1].pack())
    plan, texts = digest([method, dataset, part]), digest(dataset)
    return ResultRecord(
        method=method,
        variant="" if part == "part 0" else part,
        dataset=dataset,
        task="retrieval",
        protocol=Protocol(
            name="bench",
            query_unit="sentence",
            n_queries=queries,
            n_gallery=queries,
            ids_texts_hash=texts,
            hash_status="computed",
        ),
        train_split="train",
        selection="last",
        metrics=Metrics(t2v=ranks.metrics(counts[0]), v2t=ranks.metrics(counts[1])),
        queries=packed,
        resampling=resampled(packed, "average"),
        plan_digest=plan,
        recipe_digest=recipe_digest(plan, plan, texts),
        own_recipe_digest=own,
        seed=seed,
        created="2024-01-01T00:00:00+00:00",
    )


def to_json(result: Result) -> str:
    return json.dumps(asdict(result), indent=2)


def summary(result: Result) -> str:
    """A line for each thing that was timed."""
    body = [
        [what, f"{seconds:.2f}", f"{1000 * seconds / result.records:.1f}"]
        for what, seconds in (
            ("all tables", result.tables),
            ("audit, with all tables", result.audit),
            ("audit --full", result.full),
        )
    ]
    made = f"{result.records} records x {result.queries:,} queries in {result.rows} rows, {result.megabytes:.1f} MB"
    return f"{made}\n\n{markdown_table(['what', 'CPU (s)', 'per record (ms)'], body)}"


def _seconds(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    made = work()
    return time.process_time() - began, made

"""What a page says of its tables and rows: headings, marks, cost, probes, footnotes, empty places, CSV."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import msgspec
import pytest
from sample_records import SIZE, protocol, sample

from harness.results import leaderboard, ranks, record
from harness.results.record import (
    Metrics,
    Missing,
    MissingClip,
    Probe,
    Queries,
    QueryCounts,
    ResultRecord,
    TrainCount,
)
from harness.results.record_file import record_path
from harness.results.resampling import resampled
from harness.results.row_keys import HardKey, hard_key


def _page(*records: ResultRecord) -> str:
    return leaderboard.pages(records)["toys.md"]


def _tables(page: str) -> list[tuple[str, list[dict[str, str]]]]:
    """Each table's heading and rows, a row as cells by column."""
    found = []
    for part in page.split("\n## ")[1:]:
        lines = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in part.splitlines()
            if line.startswith("|")
        ]
        rows = [dict(zip(lines[0], line, strict=True)) for line in lines[2:] if line[0] != "Method"]
        found.append((part.partition("\n")[0], [row for row in rows if not row["Method"].startswith(":-")]))
    return found


def _rows(*records: ResultRecord) -> dict[str, dict[str, str]]:
    """The rows of a page with one table, by the method's name without its footnotes."""
    [(_, rows)] = _tables(_page(*records))
    return {row["Method"].partition(" <sup>")[0]: row for row in rows}


def _run(better: list[int], method: str = "method_a", seed: int = 0, **changes: Any) -> ResultRecord:
    """A retrieval record whose both directions have these counts, without ties."""
    packed = QueryCounts.of(better, [1] * len(better), SIZE)
    figures = ranks.metrics(ranks.Counts.unpack(packed))
    return sample(
        method,
        seed,
        queries=Queries(t2v=packed, v2t=packed),
        metrics=Metrics(t2v=figures, v2t=figures),
        **changes,
    )


def _sized(queries: int, gallery: int) -> dict[str, Any]:
    """What makes a record one of so many queries and videos."""
    forth = QueryCounts.of([0] * queries, [1] * queries, gallery)
    back = QueryCounts.of([0] * gallery, [1] * gallery, queries)
    return {
        "protocol": protocol(n_queries=queries, n_gallery=gallery),
        "queries": Queries(t2v=forth, v2t=back),
    }


#: For each part of the hard key a record that differs in it alone, and what its heading must say.
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "dataset": ({"dataset": "dolls"}, ""),  # a page of its own
    "task": ({"task": "moment_retrieval"}, "moment_retrieval, test_a: 50 sentences x 50 videos"),
    "protocol": ({"protocol": protocol(name="test_b")}, "differs in: protocol test_b"),
    "ids_texts_hash": (
        {"protocol": protocol(ids_texts_hash="cd" * 32)},
        "differs in: texts `cdcdcdcdcdcd`",
    ),
    "n_queries": (_sized(49, SIZE), "differs in: 49 queries"),
    "n_gallery": (_sized(SIZE, 51), "differs in: 51 videos"),
    "query_unit": ({"protocol": protocol(query_unit="paragraph")}, "differs in: paragraphs as queries"),
    "v2t": ({"protocol": protocol(v2t="group_rank")}, "differs in: video-to-text by group rank"),
    "postprocess": (
        {"postprocess": "dual_softmax(tau=100)"},
        "differs in: post-processing dual_softmax(tau=100)",
    ),
    "ties": ({"ties": "optimistic"}, "differs in: ties optimistic"),
    "missing": (
        {"missing": Missing(test=(MissingClip("clip0", "not found"),), policy="drop")},
        "differs in: missing clips dropped: not comparable",
    ),
}


@pytest.mark.parametrize("part", HardKey._fields)
def test_each_part_of_the_hard_key_moves_the_row_and_is_named(part: str) -> None:
    """A row that differs in one part alone stands in another table, whose heading names that part."""
    changes, said = PARTS[part]
    plain = [sample("method_a"), sample("method_c")]  # most methods, so theirs is the default table
    moved = sample("method_b", **changes)
    keys = [hard_key(one)._asdict() for one in (plain[0], moved)]
    assert [name for name in keys[0] if keys[0][name] != keys[1][name]] == [part]
    pages = leaderboard.pages([*plain, moved])
    if part == "dataset":
        assert "method_b" not in pages["toys.md"] and "\n# dolls\n" in pages["dolls.md"]
        return
    (usual, both), (other, alone) = _tables(pages["toys.md"])
    assert usual == "test_a: 50 sentences x 50 videos"
    assert other.endswith(said)
    assert len(both) == 2 and len(alone) == 1 and alone[0]["Method"].startswith("method_b")


def test_a_heading_names_every_difference() -> None:
    """Two parts that differ are both named, in the order of the hard key."""
    other = sample("method_b", ties="optimistic", protocol=protocol(name="test_b"))
    (_, _), (heading, _) = _tables(_page(sample(), sample("method_c"), other))
    assert heading == "test_b: 50 sentences x 50 videos; differs in: protocol test_b, ties optimistic"


def test_a_default_table_hides_nothing() -> None:
    """Where all rows were post-processed, or ranked by other ties, the only table says so all the same."""
    [(heading, _)] = _tables(_page(sample(postprocess="dual_softmax", ties="pessimistic")))
    assert heading.endswith("differs in: post-processing dual_softmax, ties pessimistic")


def test_only_what_is_significantly_best_is_bold() -> None:
    """Bold wins against every other row; where one cannot be told from the best, both have the mark and
    nothing is bold."""
    best, near, far = [0] * 45 + [9] * 5, [9] * 2 + [0] * 43 + [9] * 5, [0] * 10 + [9] * 40
    rows = _rows(_run(best), _run(far, "method_c"))
    assert rows["method_a"]["T2V R@1"].startswith("**90.0 [") and rows["method_a"]["T2V R@1"].endswith("]**")
    assert rows["method_c"]["T2V R@1"].startswith("20.0 [")
    page = _page(_run(best), _run(near, "method_b"), _run(far, "method_c"))
    cells = [row["T2V R@1"][:6] for row in _tables(page)[0][1]]
    assert cells == ["≈ 90.0", "≈ 86.0", "20.0 ["]
    assert "each is compared with the best at 95 %" in page.lower()


def test_seeds_are_averaged_before_rows_are_told_apart() -> None:
    """Of two rows of several seeds the better one is bold where the paired test over queries says so."""
    better = [_run([0] * 40 + [9] * 10, seed=seed) for seed in (0, 1)]
    worse = [_run([0] * 20 + [9] * 30, "method_b", seed) for seed in (0, 1, 2)]
    rows = _rows(*better, *worse)
    assert rows["method_a"]["T2V R@1"] == "**80.0 ± 0.0**" and rows["method_b"]["T2V R@1"] == "40.0 ± 0.0"


def test_one_lucky_seed_does_not_stand_out_from_seeds_that_lie_apart() -> None:
    """A single run above the mean of three that spread around it leads without being bold, and they share the
    mark: another seed of it could lie anywhere among them."""
    lucky = _run([0] * 45 + [9] * 5)
    apart = [
        _run([0] * found + [9] * (50 - found), "method_b", seed) for seed, found in enumerate((25, 35, 45))
    ]
    rows = _rows(lucky, *apart)
    assert rows["method_a"]["T2V R@1"].startswith("≈ 90.0 [")
    assert rows["method_b"]["T2V R@1"] == "≈ 70.0 ± 20.0"


def test_what_cannot_be_compared_has_no_mark() -> None:
    """Without a hash of the texts, or with a task that keeps no outcome of each query, nothing is bold or
    marked, however far rows are apart; nor is a row that stands alone."""
    unknown = {"protocol": protocol(ids_texts_hash="", hash_status="unverified")}
    runs = [_run([0] * 50, **unknown), _run([9] * 50, "method_b", **unknown)]
    figures = [
        sample(name, task="x", queries=None, metrics=Metrics(figures={"f": value}), evidence={"other": "1 0"})
        for name, value in (("method_a", 90.0), ("method_b", 1.0))
    ]
    for records in (runs, figures, [_run([0] * 50)]):
        page = _page(*records)
        assert "≈" not in page and "**" not in page


def test_cost_columns_are_there_when_known() -> None:
    """Clips per second of training, peak memory and GPU-hours have columns where a row has them, and none
    where no row does; a row with a seed that was not counted has a dash."""
    counted = {"train": TrainCount(samples=100, seen=50_000), "train_seconds": 400.0}
    known = [
        sample(seed=seed, peak_memory_mb=memory, gpu_hours=0.25, **counted)
        for seed, memory in ((0, 700.4), (1, 2048.0))
    ]
    partly = [sample("method_b", seed, **(counted if seed else {})) for seed in (0, 1)]
    rows = _rows(*known, *partly)
    names = ("Throughput", "Peak memory", "GPU-hours")
    assert [rows["method_a"][name] for name in names] == ["125 clips/s", "2.0 GiB", "0.25"]
    assert [rows["method_b"][name] for name in names] == ["—", "—", "—"]
    assert not {*names} & {*_rows(sample())["method_a"]}
    assert "Throughput is of training" in _page(*known) and "Throughput" not in _page(sample())


def test_probes_show_what_they_cost() -> None:
    """A probe is a column of points lost, mean and spread over seeds; it is explained where it is shown."""

    def probed(seed: int, before: float, after: float) -> ResultRecord:
        plain = sample(seed=seed)
        figures = {"R@1": after}
        own = msgspec.structs.replace(plain.metrics, t2v={**plain.metrics.t2v, "R@1": before})
        probes = {"reversed": Probe(metrics=Metrics(t2v=figures), queries=plain.queries.t2v)}
        return msgspec.structs.replace(plain, metrics=own, probes=probes)

    runs = [probed(0, 60.0, 50.0), probed(1, 70.0, 64.0)]
    rows = _rows(*runs, sample("method_b"))
    assert rows["method_a"]["Δ reversed"] == "8.0 ± 2.8" and rows["method_b"]["Δ reversed"] == "—"
    assert "Δ shuffled" not in rows["method_a"]
    assert "Δ shuffled, reversed, middle: points of the main figure" in _page(*runs) and "Δ" not in _page(
        sample()
    )


def test_a_probe_of_a_task_without_ranks_is_of_its_main_figure() -> None:
    """The drop is that of the figure which orders the rows."""
    figures = Metrics(figures={"accuracy": 80.0, "a": 1.0}, main="accuracy")
    probed = Metrics(figures={"accuracy": 65.5, "a": 1.0}, main="accuracy")
    middle = Probe(metrics=probed, evidence={"o": "0"})
    one = sample(task="x", queries=None, metrics=figures, evidence={"o": "1"}, probes={"middle": middle})
    assert _rows(one)["method_a"]["Δ middle"] == "14.5"


def test_median_and_mean_rank_of_one_seed_have_their_intervals() -> None:
    """What the record has drawn stands beside the figure; over several seeds the spread does."""
    one = _run([0] * 20 + [1, 2, 3, 4, 5] * 6)
    drawn = msgspec.structs.replace(one, resampling=resampled(one.queries, one.ties))
    low, high = drawn.resampling.intervals["t2v.MdR"]
    assert low < high
    row = _rows(drawn)["method_a"]
    assert row["T2V MdR"] == f"2.0 [{low:.1f}, {high:.1f}]" and "[" in row["V2T MnR"]
    assert _rows(drawn, msgspec.structs.replace(drawn, seed=1))["method_a"]["T2V MdR"] == "2.0 ± 0.0"
    assert "percentile bootstrap" in _page(drawn) and "percentile bootstrap" not in _page(one)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"postprocess": "dual_softmax(tau=100)"}, "Scores post-processed by dual_softmax(tau=100)."),
        ({"selection": "test"}, "The epoch was chosen by its score on the test set."),
        ({"dirty": True}, "Measured with uncommitted changes in the source tree."),
        (
            {"protocol": protocol(hash_status="unverified")},
            "The ids and texts of the test protocol were not verified.",
        ),
        (
            {"environment": {"imported_file": "s.npy", "imported_sha256": "ab" * 32}},
            "Scores imported from s.npy (SHA-256 abababababab), not made by this harness.",
        ),
        ({"missing": Missing(test=(MissingClip("c", "not found"),))}, "test clip"),
    ],
    ids=["post-processing", "test-selected", "dirty", "unverified", "imported", "missing"],
)
def test_every_flag_is_a_footnote(changes: dict[str, Any], said: str) -> None:
    """On the data set's page and in the overview a row that a reader must know something of has a note."""
    pages = leaderboard.pages([sample(**changes)])
    for name in ("toys.md", "README.md"):
        [row] = [line for line in pages[name].splitlines() if line.startswith("| method_a")]
        assert "<sup>1</sup>" in row
        [note] = [line for line in pages[name].splitlines() if line.startswith("1. ")]
        assert said in note


def test_a_budget_is_named_wherever_a_row_stands() -> None:
    """A row that was trained for a budget says so on its page, in the overview and in the CSV."""
    pages = leaderboard.pages([sample(budget="2M frames")])
    assert "| Budget |" in re.sub(" +", " ", pages["toys.md"]) and "2M frames" in pages["toys.md"]
    assert "1. Trained for 2M frames in all" in pages["README.md"]
    [line] = csv.DictReader(io.StringIO(pages["toys.csv"]))
    assert line["budget"] == "2M frames"


def test_text_of_a_record_cannot_break_a_table() -> None:
    """A budget with a pipe stays one cell, and a note of blanks is no footnote."""
    rows = _rows(sample(budget="2M | frames", note=" \n"), sample("method_b"))
    assert rows["method_a"]["Budget"] == "2M \\| frames"
    assert not [line for line in _page(sample(note=" \n")).splitlines() if line.startswith("1.")]


def test_the_csv_has_every_row_at_full_precision() -> None:
    """A line for each run with its hard key and every figure as the record has it; what a row has not is empty."""
    runs = [sample(seed=0), sample(seed=1), sample("method_b", ties="optimistic")]
    answered = sample(
        task="x", queries=None, metrics=Metrics(figures={"accuracy": 100 / 3}), evidence={"right": "1 0 0"}
    )
    text = leaderboard.pages([*runs, answered])["toys.csv"]
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["method"], line["seed"], line["task"], line["ties"]) for line in lines] == [
        ("method_a", "0", "retrieval", "average"),
        ("method_a", "1", "retrieval", "average"),
        ("method_a", "0", "x", "average"),
        ("method_b", "0", "retrieval", "optimistic"),
    ]
    for line, one in zip([*lines[:2], lines[3]], runs, strict=True):
        assert {name: line[name] for name in HardKey._fields} == {
            name: str(value) for name, value in hard_key(one)._asdict().items()
        }
        for direction in record.DIRECTIONS:
            for name, value in getattr(one.metrics, direction).items():
                assert float(line[f"{direction}.{name}"]) == value
        assert line["figures.accuracy"] == ""
    assert [line["record"] for line in lines] == [
        record_path("", one).as_posix() for one in (*runs[:2], answered, runs[2])
    ]
    assert len({line["record_sha256"] for line in lines}) == 4
    other = lines[2]
    assert float(other["figures.accuracy"]) == 100 / 3 and other["t2v.R@1"] == ""


def test_a_row_stands_beside_its_published_figure():
    """The column has measured minus published, and what is not the same; without a pair there is none."""
    quoted = ResultRecord(
        kind="published",
        method="method_a",
        dataset="toys",
        task="retrieval",
        protocol=protocol(ids_texts_hash="", hash_status="unverified"),
        train_split=sample().train_split,
        selection="test",
        metrics=Metrics(t2v={"R@1": 60.0}),
        source="a paper, table 2",
        confidence="read",
    )
    own = _run([0] * SIZE)
    beside = _page(own, quoted)
    assert "| Δ published |" in re.sub(r" +", " ", beside)
    assert "+40.0 (read, best on test)" in beside and "a paper, table 2" in beside
    assert "Δ published" not in _page(own, msgspec.structs.replace(quoted, method="method_b"))

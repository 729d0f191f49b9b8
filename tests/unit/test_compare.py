"""`harness compare`: paired differences that can be trusted, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from sample_records import SIZE, protocol, sample

from harness.errors import HarnessError
from harness.results.compare import compare, notes
from harness.results.compare_table import report
from harness.results.ranks import hits
from harness.results.record import Metrics, Queries, QueryCounts, ResultRecord
from harness.results.record_file import record_path, write
from harness.results.retrieved import RETRIEVED
from harness.results.sides import Finder, Side
from harness.results.significance import mcnemar, paired_bootstrap
from harness.results.statistics import lone_difference, welch_difference
from tests.support.run_folders import write_run

#: Pairs of runs that are simulated, and queries of each.
PAIRS, ASKED = 400, 500


def _ranks(rng: np.random.Generator, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Ranks ``[PAIRS, ASKED]`` of two runs: a query's hardness is shared, and ``shift`` parts the runs.

    Their logarithms, before they are rounded up, are normal with variance 2.
    """
    hard = rng.normal(size=(PAIRS, ASKED))
    return tuple(
        np.maximum(1, np.ceil(np.exp(hard + rng.normal(size=hard.shape) + moved))) for moved in (0.0, shift)
    )


def _recall(k: int, shift: float) -> float:
    """The true share of ranks up to ``k``."""
    return NormalDist(shift, math.sqrt(2)).cdf(math.log(k))


def _run(better: list[int] | np.ndarray, seed: int = 0, **changes) -> ResultRecord:
    """A retrieval record whose both directions have these counts, without ties."""
    better = [int(count) for count in better]
    packed = QueryCounts.of(better, [1] * SIZE, SIZE)
    return sample(seed=seed, queries=Queries(t2v=packed, v2t=packed), **changes)


def _side(*runs: ResultRecord) -> Side:
    return Side(runs)


def _answered(right: list[int], task: str = "video_qa", **changes) -> Side:
    """A run of questions with these outcomes."""
    return _side(
        sample(
            task=task,
            queries=None,
            metrics=Metrics(figures={"accuracy": 100 * sum(right) / len(right)}),
            evidence={"right": " ".join(map(str, right))},
            **changes,
        )
    )


def test_equal_runs_are_never_significant():
    """A run against itself has no difference, an interval of nothing but 0, and p-values of 1."""
    for lift in (0.0, 0.3, 0.6, 5.0):
        side = _side(sample(lift=lift))
        for one in compare(side, side):
            assert not one.distinguishable and one.only_a == one.only_b == ()
            assert {(f.difference, f.low, f.high, f.p) for f in one.figures} == {(0.0, 0.0, 0.0, 1.0)}
            assert one.figures[0].mcnemar == 1.0
        assert report([side, side]).count("not distinguishable") == 2


@pytest.mark.parametrize("k", [1, 10])
def test_the_interval_covers_the_truth_at_its_rate(k):
    """Of 400 simulated pairs 95 % of the intervals hold the true difference, but for binomial error."""
    shift = -0.3
    first, second = (hits(rank, k).astype(float) for rank in _ranks(np.random.default_rng(k), shift))
    truth = _recall(k, shift) - _recall(k, 0.0)
    found = [paired_bootstrap(b, a) for a, b in zip(first, second, strict=True)]
    covered = sum(one.low <= truth <= one.high for one in found) / PAIRS
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / PAIRS)


def test_equal_methods_are_told_apart_at_the_nominal_rate():
    """Of 400 pairs of runs of one quality 5 % have p < 0.05, but for binomial error."""
    first, second = (hits(rank, 1).astype(float) for rank in _ranks(np.random.default_rng(5), 0.0))
    found = [paired_bootstrap(b, a) for a, b in zip(first, second, strict=True)]
    assert abs(sum(one.p < 0.05 for one in found) / PAIRS - 0.05) < 3 * math.sqrt(0.95 * 0.05 / PAIRS)


def test_different_methods_are_found_at_the_expected_power():
    """How often 0 is outside the interval is what the normal approximation of the paired test says."""
    shift = -0.25
    first, second = (hits(rank, 1).astype(float) for rank in _ranks(np.random.default_rng(3), shift))
    truth = _recall(1, shift) - _recall(1, 0.0)
    error = float(np.std(second - first)) / math.sqrt(ASKED)
    power = 1 - NormalDist().cdf(NormalDist().inv_cdf(0.975) - truth / error)
    assert 0.5 < power < 0.95
    found = [paired_bootstrap(b, a) for a, b in zip(first, second, strict=True)]
    share = sum(one.low > 0 for one in found) / PAIRS
    assert abs(share - power) < 3 * math.sqrt(power * (1 - power) / PAIRS)


def test_pairing_finds_what_separate_intervals_hide():
    """A small gain on the same hard queries is certain when paired, and lost when the pairs are shuffled."""
    hard = np.arange(1000) % 2 * 1.0
    gained = np.where(np.arange(1000) % 60 == 0, 1.0, hard)
    shuffled = np.random.default_rng(0).permutation(gained)
    assert paired_bootstrap(gained, hard).low > 0
    assert paired_bootstrap(shuffled, hard).low < 0 < paired_bootstrap(shuffled, hard).high


def test_the_same_records_give_the_same_digits():
    """The bootstrap's seed is stored, so a comparison can be repeated exactly."""
    sides = [_side(sample(lift=0.3)), _side(sample(lift=0.6))]
    assert report(sides) == report(sides)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (1, 5, 2 * (1 + 6) / 64),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
        (3, 3, 1.0),
        (0, 2000, 2.0**-1999),
    ],
)
def test_mcnemar_equals_values_by_hand(first, second, p):
    """Twice the binomial tail of a fair coin, and at most 1."""
    assert mcnemar(first, second) == pytest.approx(p, rel=1e-12) and mcnemar(first, second) == mcnemar(
        second, first
    )


def test_who_alone_solves_what():
    """Queries that one run alone has at rank 1 are counted, listed by index, and put to McNemar's test."""
    a = _side(_run([0] * 40 + [3] * 10))
    b = _side(_run([4, 0, 7] + [0] * 37 + [0] * 8 + [2] * 2))
    one = compare(a, b, ("t2v",))[0]
    assert one.only_a == (0, 2) and one.only_b == tuple(range(40, 48))
    assert one.figures[0].mcnemar == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert [figure.difference for figure in one.figures] == pytest.approx([12.0, -2.0, 0.0])
    assert "Only A solves 2 queries (0, 2), only B 8 queries (40, 41, 42, 43, 44, ...)" in report([a, b])


def test_a_handful_of_queries_is_not_enough():
    """Four queries more are beyond the bootstrap's interval, but four coins fall alike too often."""
    one = compare(_side(_run([1] * SIZE)), _side(_run([0] * 4 + [1] * (SIZE - 4))))[0]
    assert one.figures[0].low > 0 and one.figures[0].mcnemar == pytest.approx(2 / 16)
    assert not one.distinguishable


def test_seeds_are_averaged_for_each_query():
    """Figures are means over seeds; a side solves what all of its seeds solve and the other's never do."""
    a = _side(_run([0] * 50), _run([0] * 25 + [1] * 25, seed=1))
    b = _side(_run([1] * 50))
    one = compare(a, b)[0]
    first = one.figures[0]
    assert (first.a, first.b, first.mcnemar) == (75.0, 0.0, None)
    assert one.only_a == tuple(range(25)) and one.only_b == ()
    # Half a query is worth half: the differences are 1 and 0.5, whose mean spreads by 0.25 / sqrt(50).
    assert first.high - first.low == pytest.approx(2 * 1.96 * 25 / math.sqrt(50), rel=0.1)


def test_seeds_have_to_agree():
    """Queries that tell two means apart are not enough where other seeds would have given another order."""
    apart = [_run([0] * found + [1] * (SIZE - found), seed=seed) for seed, found in enumerate((50, 20))]
    steady = [_run([0] * found + [1] * (SIZE - found), seed=seed) for seed, found in enumerate((10, 11))]
    one = compare(_side(*steady), _side(*apart))[0]
    assert one.figures[0].low > 0 and one.over_seeds[0] < 0 < one.over_seeds[1]
    assert not one.distinguishable
    near = [_run([0] * found + [1] * (SIZE - found), seed=seed) for seed, found in enumerate((35, 36))]
    assert compare(_side(*steady), _side(*near))[0].distinguishable


def _found(seed: int, count: int) -> ResultRecord:
    """A run that has so many queries at rank 1."""
    return _run([0] * count + [1] * (SIZE - count), seed=seed)


def test_a_lone_seed_is_taken_to_spread_as_the_other_side_does():
    """What one seed has more than three that lie far apart is not a difference of methods, whichever side the
    lone one is; what it has more than three that agree is."""
    lone = _side(_found(0, 40))
    apart = _side(*(_found(seed, count) for seed, count in enumerate((15, 25, 35))))
    for a, b in ((apart, lone), (lone, apart)):
        one = compare(a, b)[0]
        assert not one.figures[0].low <= 0 <= one.figures[0].high
        assert one.over_seeds[0] < 0 < one.over_seeds[1] and not one.distinguishable
    agreed = _side(*(_found(seed, count) for seed, count in enumerate((24, 25, 26))))
    assert compare(agreed, lone)[0].distinguishable
    assert compare(_side(_found(0, 25)), lone)[0].over_seeds is None


def test_a_lone_seed_of_an_equal_method_is_seldom_told_apart():
    """Of 100 pairs of equal methods whose seeds spread as queries do, three seeds against one, no more than
    the nominal share are told apart, but for binomial error."""
    rng = np.random.default_rng(0)

    def runs(count: int) -> Side:
        means = np.clip(rng.normal(0.6, 0.1, size=count), 0.05, 0.95)
        return _side(*(_run(rng.random(SIZE) > mean, seed=seed) for seed, mean in enumerate(means)))

    told = sum(compare(runs(3), runs(1), ("t2v",), main_only=True)[0].distinguishable for _ in range(100))
    assert told <= 5 + 2 * math.sqrt(100 * 0.05 * 0.95)


def test_a_lone_seed_equals_a_value_by_hand():
    """The interval is that of Student's t with one value on one side: t of n - 1 times s sqrt(1 + 1/n)."""
    found = lone_difference([90.0, 92.0, 98.0], [85.0])
    assert found.mean == pytest.approx(25 / 3)
    # variance 52/3 of three values; 2 degrees of freedom, t 4.303
    assert found.high - found.mean == pytest.approx(4.303 * math.sqrt(52 / 3 * 4 / 3), rel=1e-4)
    turned = lone_difference([85.0], [90.0, 92.0, 98.0])
    assert (-turned.high, -turned.low) == pytest.approx((found.low, found.high))


def test_welch_equals_a_value_by_hand():
    """The interval of two small samples is Welch's with the degrees of freedom rounded down."""
    found = welch_difference([5.0, 7.0, 9.0, 11.0], [1.0, 2.0, 3.0, 4.0])
    assert found.mean == 5.5
    # variance 20/3 and 5/3 over 4 each: standard error 1.4434, 4.41 degrees of freedom, t 2.68 (4: 2.776)
    assert found.high - found.mean == pytest.approx(2.776 * math.sqrt(25 / 12), rel=1e-4)


def test_questions_are_compared_by_accuracy():
    """A task without ranks has one comparison, of what its evidence holds for each question."""
    a, b = _answered([1, 0] * 25), _answered([1] * 50)
    (one,) = compare(a, b)
    assert (one.direction, one.figures[0].name, one.figures[0].difference) == ("", "accuracy", 50.0)
    assert one.only_a == () and len(one.only_b) == 25 and one.distinguishable
    assert "accuracy: B is better than A." in report([a, b])


def test_captions_are_compared_by_the_mean_of_cider():
    """CIDEr's interval is that of a mean of paired differences, times 100; no clip is solved or not."""
    rng = np.random.default_rng(0)
    first = rng.gamma(2.0, size=SIZE)
    second = first + 0.1 + 0.2 * rng.normal(size=SIZE)
    sides = [
        _side(
            sample(
                task="captioning",
                queries=None,
                metrics=Metrics(figures={"CIDEr": 100 * float(np.mean(values))}),
                evidence={"cider": " ".join(map(repr, values.tolist()))},
            )
        )
        for values in (first, second.clip(0))
    ]
    (one,) = compare(*sides)
    (figure,) = one.figures
    half = 1.96 * 100 * np.std(second.clip(0) - first) / math.sqrt(SIZE)
    assert figure.high - figure.low == pytest.approx(2 * half, rel=0.1)
    assert one.only_a is None and figure.mcnemar is None and one.distinguishable
    assert "solves" not in report(sides).split("Intervals")[0]


def test_evidence_that_does_not_give_the_figure_is_refused():
    """A column whose mean is not the printed figure is an error that has both."""
    edited = _side(
        sample(
            task="video_qa",
            queries=None,
            metrics=Metrics(figures={"accuracy": 51.0}),
            evidence={"right": "1 0"},
        )
    )
    with pytest.raises(HarnessError, match=r"accuracy is 51\.0, its evidence\.right gives 50\.0"):
        compare(edited, edited)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "dolls"}, "dataset is 'toys' and 'dolls'"),
        ({"protocol": protocol(name="test_b")}, "protocol is 'test_a' and 'test_b'"),
        ({"protocol": protocol(ids_texts_hash="cd" * 32)}, "ids_texts_hash is 'abab"),
        ({"postprocess": "dual_softmax"}, "postprocess is 'none' and 'dual_softmax'"),
        ({"ties": "optimistic"}, "ties is 'average' and 'optimistic'"),
        ({"task": "moments", "ties": "optimistic"}, "task is 'retrieval' and 'moments'; ties is"),
    ],
    ids=str,
)
def test_what_was_asked_otherwise_is_refused(changes, said):
    """Different hard keys are an error that names each part that differs, and no other."""
    with pytest.raises(HarnessError) as caught:
        compare(_side(sample()), _side(sample(method="method_b", **changes)))
    assert said in caught.value.message
    assert "method_a, seed 0 and method_b, seed 0" in caught.value.message
    assert "n_queries" not in caught.value.message


def test_a_task_that_keeps_no_outcomes_is_refused():
    """Evidence that is not one known number for each query is named as lacking."""
    side = _side(sample(task="x", queries=None, metrics=Metrics(figures={"f": 1.0}), evidence={"other": "1"}))
    with pytest.raises(HarnessError, match="of the task x share no outcome of each query"):
        compare(side, side)


def test_only_figures_that_both_have_are_compared():
    """A column that one record lacks is left out; what both have is compared."""
    a, b = (
        _side(
            sample(
                task="captioning",
                queries=None,
                metrics=Metrics(figures={"CIDEr": 75.0, "ROUGE-L": 75.0}),
                evidence={name: "1.0 0.5" for name in columns},
            )
        )
        for columns in (("cider", "rouge"), ("cider",))
    )
    assert [figure.name for figure in compare(a, b)[0].figures] == ["CIDEr"]


def test_records_of_other_lengths_are_refused():
    """Where no hash says that the queries are the same, their number still must be, and a note says so."""
    loose = protocol(ids_texts_hash="", hash_status="unverified", v2t="group_rank")
    few = QueryCounts.of([0] * 40, [1] * 40, 40)
    a = _side(_run([0] * SIZE, protocol=loose))
    b = _side(sample(protocol=loose, queries=Queries(t2v=a.runs[0].queries.t2v, v2t=few)))
    with pytest.raises(HarnessError, match="one record has 40 queries, another 50"):
        compare(a, b)
    assert "unchecked" in notes(a, b)[0]


def test_another_section_is_compared_and_said():
    """Another train split or selection is no obstacle, but a reader is told."""
    sides = [_side(sample()), _side(sample(method="method_b", selection="test"))]
    assert notes(*sides) == ["Not of one section of the table: selection is 'last' and 'test'."]
    assert "selection is 'last' and 'test'" in report(sides)


# what the command line names


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """Two methods with three seeds, one of them with a variant and on another data set too."""
    runs = [sample(method, seed) for method in ("method_a", "method_b") for seed in range(3)]
    runs += [
        sample("method_b", variant="wide", recipe_digest="12" * 32),
        sample("method_b", dataset="dolls", recipe_digest="34" * 32),
    ]
    for run in runs:
        write(run, record_path(tmp_path / "boards", run))
    return tmp_path / "boards"


def test_a_run_is_found_by_file_folder_or_name(boards, tmp_path):
    """A record file, a run folder, a method with all its seeds or one, and a variant as tables call it."""
    run = sample("method_a", 1)
    write(run, tmp_path / "run" / "record.json")
    find = Finder(boards, dataset="toys").find
    assert find(str(record_path(boards, run))).runs == find(str(tmp_path / "run")).runs == (run,)
    assert find("method_a:1").runs == (run,)
    assert [one.seed for one in find("method_b").runs] == [0, 1, 2]
    assert find("method_b, wide").name == "method_b, wide, seed 0"


@pytest.mark.parametrize(
    ("given", "options", "said", "hinted"),
    [
        ("method_c", {}, "is called 'method_c'", "did you mean method_"),
        ("zzz", {}, "is called 'zzz'", "--leaderboards DIR"),
        ("method_a:9", {}, "there is no seed 9", "0, 1, 2"),
        ("method_a", {"dataset": "dolls"}, "on dolls for any task", "toys (retrieval)"),
        ("method_b", {}, "several rows: dataset is 'dolls' and 'toys'", "--dataset"),
    ],
)
def test_a_name_that_is_none_or_several_is_refused(boards, given, options, said, hinted):
    """One clear line, and what to type instead."""
    with pytest.raises(HarnessError) as caught:
        Finder(boards, **options).find(given)
    assert said in caught.value.message and hinted in caught.value.hint


def test_a_folder_without_record_is_said(boards, tmp_path):
    """A run that has not ended is not looked up as if its folder were a method's name alone."""
    with pytest.raises(HarnessError, match=r"the folder .* has no record\.json"):
        Finder(boards).find(str(tmp_path))


def test_the_command_prints_tables_and_json(boards, cli):
    """Each run against the first, in the directions asked for; JSON has the bootstrap's seed too."""
    named = ("compare", "method_a", "method_b", "method_b:1", "--dataset", "toys", "--leaderboards", boards)
    text = cli(*named).output
    assert "## B against A" in text and "## C against A" in text and "V2T R@10" in text
    found = json.loads(cli(*named, "--json", "--direction", "t2v").output)
    assert [pair["b"] for pair in found["pairs"]] == ["method_b, seeds 0, 1, 2", "method_b, seed 1"]
    assert found["bootstrap"] == {"samples": 10_000, "seed": 0}
    (one,) = found["pairs"][0]["comparisons"]
    assert one["direction"] == "t2v" and [f["name"] for f in one["figures"]] == ["R@1", "R@5", "R@10"]


def test_the_command_refuses_in_one_line(boards, cli):
    """What cannot be compared ends with exit code 2 and the part that differs."""
    other = record_path(boards, sample("method_b", dataset="dolls", recipe_digest="34" * 32))
    done = cli("compare", "method_a", other, "--leaderboards", boards)
    assert done.exit_code == 2 and "dataset is 'toys' and 'dolls'" in done.output


@pytest.mark.parametrize("damaged", [True, False])
def test_an_atlas_that_cannot_be_made_is_refused_before_the_table(tmp_path, cli, damaged):
    """Of a run whose file of what it retrieved is damaged or gone nothing is shown and nothing written."""
    names = [f"clip{n}" for n in range(20)]
    scores = np.random.default_rng(0).random((20, 20))
    for run in ("a", "b"):
        write_run(tmp_path / run, scores, texts=names, gallery=names)
    file = tmp_path / "b" / RETRIEVED
    file.write_text("{") if damaged else file.unlink()
    done = cli("compare", tmp_path / "a", tmp_path / "b", "--atlas", tmp_path / "atlas.html")
    assert done.exit_code == 2 and RETRIEVED in done.stderr and done.stdout == ""
    assert not (tmp_path / "atlas.html").exists()

"""Verdicts: what one more seed could give, and what is said of a published figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sample_records import sample
from test_pairing import quoted

from harness.results.digest import readable_json
from harness.results.pairing import pairs
from harness.results.record import Metrics
from harness.results.statistics import over_seeds
from harness.results.table import Row
from harness.results.verdict import ROUNDING, judge, line, prediction, report, to_json


def verdict(values, published=None, name="R@1", **changes):
    """Of seeds with these figures against a published one."""
    filled = {"R@1": 50.0, "R@5": 70.0, "R@10": 80.0, "MdR": 1.0, "MnR": 5.0}
    row = Row(
        tuple(
            sample(seed=seed, backbone="ViT-B-32", metrics=Metrics(t2v={**filled, name: value}, v2t=filled))
            for seed, value in enumerate(values)
        )
    )
    [pair] = pairs(row, [quoted(metrics=Metrics(t2v=published or {name: 43.0}), **changes)])
    return judge(row, pair, "paper/a")


def test_the_interval_is_that_of_one_more_draw():
    """Mean ± t s sqrt(1 + 1/n): 4.303 * 1 * sqrt(4 / 3) for three seeds that are one apart."""
    low, high = prediction(over_seeds([42.0, 43.0, 44.0]))
    half = 4.303 * math.sqrt(4 / 3) + ROUNDING
    assert (low, high) == (pytest.approx(43 - half), pytest.approx(43 + half))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_nineteen_of_twenty_further_seeds_are_inside(n):
    """Over many repetitions the interval covers a further draw in 95 % of all cases; 4 standard errors."""
    drawn = np.random.default_rng(0).normal(0.0, 100.0, (4000, n + 1))
    inside = [low <= run[-1] <= high for run in drawn for low, high in [prediction(over_seeds(run[:-1]))]]
    assert abs(np.mean(inside) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / len(drawn))


def test_one_seed_is_no_verdict():
    """Its spread is unknown, not zero."""
    with pytest.raises(AssertionError):
        prediction(over_seeds([43.0]))


@pytest.mark.parametrize(
    ("values", "name", "outcome", "upheld"),
    [
        ([42.0, 43.0, 44.0], "R@1", "within", True),
        ([30.0, 30.2, 30.1], "R@1", "below", False),
        ([50.0, 50.2, 50.1], "R@1", "above", True),
        ([42.96, 42.96, 42.96], "R@1", "within", True),  # printed as 43.0
        ([42.9, 42.9, 42.9], "R@1", "below", False),
    ],
)
def test_outcomes(values, name, outcome, upheld):
    """Where the mean lies from a published 43.0, given how far the seeds are apart; only below fails."""
    found = verdict(values, name=name)
    assert (found.main.outcome, found.upheld) == (outcome, upheld)


def test_fewer_is_better_for_ranks():
    """A mean rank above the published one is worse; one below it is not."""
    outcomes = [verdict([value, value], {"MnR": 16.0}, "MnR").main for value in (20.0, 12.0)]
    assert [(one.outcome, one.worse) for one in outcomes] == [("above", True), ("below", False)]


def test_the_first_figure_decides():
    """A recall that is off does not overturn R@1, whatever the order of the file; both are shown."""
    found = verdict([42.0, 43.0, 44.0], {"R@5": 99.0, "R@1": 43.0})
    assert found.upheld and [(one.label, one.worse) for one in found.findings] == [
        ("T2V R@1", False),
        ("T2V R@5", True),
    ]


def test_the_line_says_it_all():
    """Method, data set, protocol, split, both figures, seeds, how the published one is known, verdict."""
    found = verdict([42.7, 43.0, 43.3], {"R@1": 43.1}, selection="test")
    assert line(found) == (
        "method_a on toys test_a, train_9k: T2V R@1 measured 43.0 ± 0.3 (3 seeds), "
        "published 43.1 (read, best on test): within"
    )


def test_the_report_has_figures_and_differences():
    """One row for each figure, those from memory in parentheses, and every difference below."""
    found = verdict(
        [42.7, 43.0, 43.3],
        {"R@1": 43.1, "R@5": 99.0, "R@50": 99.5},
        selection="test",
        recalled_fields=("t2v.R@5",),
    )
    text = report(found)
    assert text.startswith(line(found) + "\n\n|")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row[:3] == "| T"]
    between = [f"{one.low:.1f} to {one.high:.1f}" for one in found.findings]
    assert rows == [
        ["T2V R@1", "43.0 ± 0.3", between[0], "43.1", "-0.1", "within"],
        ["T2V R@5", "70.0 ± 0.0", between[1], "(99.0)", "-29.0", "below, worse"],
    ]
    assert "Published: paper/a, a paper, table 2." in text
    assert "Differs: selection: last epoch here, best on test there." in text
    assert "Not compared: T2V R@50: not measured." in text


def test_json_has_the_same():
    """Plain values with the outcome, as a script would read them."""
    found = to_json(verdict([42.7, 43.0, 43.3], {"R@1": 43.1}, selection="test"))
    assert (found["outcome"], found["upheld"], found["seeds"]) == ("within", True, (0, 1, 2))
    assert found["differences"][0]["what"] == "selection"
    assert '"published": 43.1' in readable_json(found)

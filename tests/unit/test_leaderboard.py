"""Leaderboards: what shares a table, what a row shows, and that pages follow from records."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest
from sample_records import protocol, sample

from harness.errors import HarnessError
from harness.results import leaderboard, record_file
from harness.results.record import Missing, MissingClip, ResultRecord
from harness.results.table import escape, group_seeds


def _save(folder: Path, *records: ResultRecord) -> None:
    for one in records:
        record_file.write(one, record_file.record_path(folder, one))


def _page(*records: ResultRecord) -> str:
    return leaderboard.pages(records)["toys.md"]


def _rows(page: str) -> list[list[str]]:
    """The cells of all table rows of a page, headings and rulers left out."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return [row for row in cells if row[0] != "Method" and not row[0].startswith(":-")]


def _cells(page: str) -> dict[str, str]:
    """The first row of a page by column heading."""
    head = next(line for line in page.splitlines() if line.startswith("| Method"))
    return dict(zip([cell.strip() for cell in head.split("|")[1:-1]], _rows(page)[0], strict=True))


def test_sections_share_a_table() -> None:
    """Train split and selection make sections, the strictest selection first."""
    page = _page(sample(selection="test"), sample("method_b"), sample("method_c", selection="val"))
    titles = re.findall(r"^### .*, (.*)$", page, re.MULTILINE)
    assert titles == ["last epoch", "best on validation", "best on test"]
    assert page.count("\n## ") == 1


def test_seeds_share_a_row() -> None:
    """Runs of one recipe are one row with mean, spread and the seeds; another recipe is not."""
    runs = [sample(seed=seed) for seed in (2, 0, 1)]
    cells = _cells(_page(*runs))
    values = [run.metrics.t2v["R@1"] for run in runs]
    mean = sum(values) / 3
    spread = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert cells["T2V R@1"] == f"{mean:.1f} ± {spread:.1f}"
    assert cells["Seeds"] == "3 (0, 1, 2)"
    assert len(_rows(_page(*runs, sample(seed=3, recipe_digest="0" * 64)))) == 2


def test_one_seed_shows_its_query_interval() -> None:
    """A single seed has no spread, so R@1 comes with the interval over queries."""
    one = sample()
    low_high = re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", _cells(_page(one))["T2V R@1"])
    value, low, high = (float(text) for text in low_high.groups())
    assert low < value < high and value == pytest.approx(one.metrics.t2v["R@1"], abs=0.05)


def test_rows_are_sorted_by_recall_then_name() -> None:
    """The best T2V R@1 comes first, equals in the order of their names."""
    strong, weak = sample("method_z", lift=0.9), sample("method_b", lift=0.3)
    equal = msgspec.structs.replace(weak, method="method_a")
    names = [row[0] for row in _rows(_page(weak, equal, strong))]
    assert names == ["method_z", "method_a", "method_b"]


def test_missing_clips_show_on_the_row() -> None:
    """A row with missing clips has their number in its cell and a footnote that names them."""
    lost = Missing(
        test=tuple(MissingClip(f"clip{i}", "not found") for i in range(7)),
        train=(MissingClip("other", "cannot decode"),),
    )
    page = _page(sample(missing=lost))
    assert _cells(page)["Missing"] == "7 test / 1 train"
    assert _cells(page)["Method"] == "method_a <sup>1, 2</sup>"
    assert "1. 7 test clips missing or undecodable (clip0, clip1, clip2, clip3, clip4 and 2 more)" in page
    assert _cells(_page(sample()))["Missing"] == "0"


def test_dropped_clips_stand_in_a_table_of_their_own() -> None:
    """A row whose missing clips were dropped shares no table with the others, nor leads the page."""
    lost = Missing(test=(MissingClip("clip0", "not found"),), policy="drop")
    page = _page(sample(missing=lost), sample("method_b"), sample("method_c", missing=lost))
    whole, dropped = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    assert "not comparable" in dropped and "not comparable" not in whole
    assert page.index("method_b") < page.index("method_a")
    assert "(clip0): dropped with their queries, so both are fewer than the protocol has." in page
    overview = leaderboard.pages([sample(missing=lost)])[leaderboard.OVERVIEW]
    assert "toys: test clips were dropped from every row, so none is comparable." in overview
    assert "ranked last" not in overview


def test_doubtful_rows_have_footnotes() -> None:
    """An unverified protocol and a dirty source tree are said on the row."""
    page = _page(sample(dirty=True, protocol=protocol(hash_status="unverified")))
    assert "ids and texts of the test protocol were not verified" in page
    assert "uncommitted changes" in page


def test_contrasts_have_columns_only_when_present() -> None:
    """A contrast is a column as soon as one row has it; the others show a dash."""
    plain = sample("method_b", lift=0.3)
    metrics = msgspec.structs.replace(plain.metrics, contrasts={"reversed twin": 62.5})
    page = _page(plain, msgspec.structs.replace(plain, method="method_a", metrics=metrics))
    assert _cells(page)["reversed twin"] == "62.5"
    assert "—" in _rows(page)[1]
    assert "reversed twin" not in _page(plain)


def test_cells_cannot_break_the_table() -> None:
    """Text with pipes, markup and line breaks stays one cell; names with underscores stay plain."""
    assert escape("a|b\n*c* <d> _e_ f_g") == r"a\|b \*c\* &lt;d> \_e\_ f_g"
    assert _cells(_page(sample()).replace("\\|", "/"))["Backbone"] == "tower/32"


def test_overview_takes_the_default_table() -> None:
    """The overview shows plain scores only, and never a test-selected row without saying so."""
    records = [
        sample("method_a", lift=0.5),
        sample("method_a", lift=0.9, selection="test"),
        sample("method_a", lift=0.95, postprocess="dual_softmax(tau=100,axis=texts)"),
        sample("method_b", lift=0.5),
        sample("method_c", lift=0.9, selection="test"),
        sample("method_b", dataset="dolls"),
    ]
    overview = leaderboard.pages(records)["README.md"]
    rows = {row[0]: row[1:] for row in _rows(overview)}
    assert list(rows) == ["method_a", "method_b", "method_c"]
    assert rows["method_a"][0] == "not measured"
    assert rows["method_a"][1].startswith(f"{records[0].metrics.t2v['R@1']:.1f} [")
    assert rows["method_c"][1].endswith("<sup>1, 2</sup>")
    assert "1. Trained on train_9k, best on test, unlike the rest of its column." in overview


def test_a_lucky_seed_does_not_stand_for_a_method() -> None:
    """In the overview a row of one seed does not take the place of a lower one of three."""
    lucky = sample("method_a", lift=0.9)
    records = [lucky, *(sample("method_a", seed=seed, lift=0.5) for seed in range(3))]
    assert all(lucky.metrics.t2v["R@1"] > record.metrics.t2v["R@1"] for record in records[1:])
    [row] = _rows(leaderboard.pages(records)["README.md"])
    assert "±" in row[1]


def test_regeneration_is_stable(tmp_path: Path) -> None:
    """The same records give the same bytes, whatever order they come in."""
    records = [sample(f"method_{m}", seed, lift) for m in "abc" for seed in (0, 1) for lift in (0.3, 0.6)]
    _save(tmp_path, *records)
    first = leaderboard.regenerate(tmp_path)
    assert leaderboard.write_all(tmp_path) == sorted(first)
    assert leaderboard.write_all(tmp_path) == []
    random.Random(0).shuffle(records)
    again = {tmp_path / name: text for name, text in leaderboard.pages(records).items()}
    assert again == first == {path: path.read_text(encoding="utf-8") for path in first}
    starts = {".md": leaderboard.HEADER + "\n", ".csv": "dataset,task,protocol,"}
    assert all(text.startswith(starts[path.suffix]) for path, text in first.items())


def test_check_finds_an_edited_digit(tmp_path: Path) -> None:
    """Changing any digit of any page is found, and the page and line are named."""
    _save(tmp_path, sample(), sample("method_b", seed=1))
    leaderboard.write_all(tmp_path)
    assert leaderboard.check(tmp_path) == []
    rng = random.Random(0)
    found = sorted([*tmp_path.glob("*.md"), *tmp_path.glob("*.csv")])
    assert [path.name for path in found] == ["README.md", "toys.csv", "toys.md"]
    for path in found:
        text = path.read_text(encoding="utf-8")
        digits = [at for at, character in enumerate(text) if character in "0123456789"]
        for at in rng.sample(digits, 20):
            changed = str((int(text[at]) + 1) % 10)
            path.write_text(text[:at] + changed + text[at + 1 :], encoding="utf-8")
            [problem] = leaderboard.check(tmp_path)
            assert f"{path} line {text[:at].count(chr(10)) + 1} " in problem
        path.write_text(text, encoding="utf-8")
    assert leaderboard.check(tmp_path) == []


def test_a_message_shows_the_place_and_not_the_whole_row(tmp_path: Path) -> None:
    """However wide a table is, both versions of an edited digit are in a line that can be read."""
    _save(tmp_path, sample(backbone="tower " * 100))
    leaderboard.write_all(tmp_path)
    page = tmp_path / "toys.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("1 h 02 min", "1 h 03 min"), encoding="utf-8")
    [problem] = leaderboard.check(tmp_path)
    assert len(problem) - len(str(page)) < 400 and "1 h 03 min" in problem and "1 h 02 min" in problem


def test_a_folder_in_a_pages_place(tmp_path: Path) -> None:
    """One that no page needs is left alone; one in the place of a page is named in one line."""
    _save(tmp_path, sample())
    (tmp_path / "notes.md").mkdir()
    leaderboard.write_all(tmp_path)
    assert leaderboard.check(tmp_path) == [f"{tmp_path / 'notes.md'} belongs to no record"]
    (tmp_path / "toys.md").unlink()
    (tmp_path / "toys.md").mkdir()
    with pytest.raises(HarnessError, match=re.escape(f"{tmp_path / 'toys.md'} cannot be written")):
        leaderboard.write_all(tmp_path)


def test_check_finds_missing_and_extra_pages(tmp_path: Path) -> None:
    """A page without records and records without a page are both problems."""
    _save(tmp_path, sample())
    leaderboard.write_all(tmp_path)
    for ending in ("md", "csv"):
        (tmp_path / f"toys.{ending}").rename(tmp_path / f"other.{ending}")
    assert leaderboard.check(tmp_path) == [
        *(f"{tmp_path / name} is missing" for name in ("toys.csv", "toys.md")),
        *(f"{tmp_path / name} belongs to no record" for name in ("other.csv", "other.md")),
    ]
    leaderboard.write_all(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["README.md", "toys.csv", "toys.md"]


def test_write_all_keeps_foreign_files(tmp_path: Path) -> None:
    """A page or CSV that the harness did not generate is reported but never deleted."""
    names = ("notes.csv", "notes.md")
    for name in names:
        (tmp_path / name).write_text("mine")
    leaderboard.write_all(tmp_path)
    assert [(tmp_path / name).read_text() for name in names] == ["mine", "mine"]
    assert leaderboard.check(tmp_path) == [f"{tmp_path / name} belongs to no record" for name in names]


def test_check_finds_a_changed_record(tmp_path: Path) -> None:
    """A page no longer follows from its records once a figure in a record was changed."""
    _save(tmp_path, sample())
    leaderboard.write_all(tmp_path)
    path = record_file.record_path(tmp_path, sample())
    path.write_text(re.sub(r'"MnR": \d', '"MnR": 9', path.read_text()))
    page, table = leaderboard.check(tmp_path)
    assert "toys.csv line" in page and "toys.md line" in table
    path.write_text("{}")
    [problem] = leaderboard.check(tmp_path)
    assert str(path) in problem


def test_misplaced_record_is_refused(tmp_path: Path) -> None:
    """A copy of a record under another name would count a seed twice, so it is an error."""
    _save(tmp_path, sample())
    path = record_file.record_path(tmp_path, sample())
    path.with_name("copy.json").write_bytes(path.read_bytes())
    with pytest.raises(HarnessError, match=r"copy\.json holds a record whose place is"):
        leaderboard.regenerate(tmp_path)
    assert len(leaderboard.check(tmp_path)) == 1


def test_empty_leaderboard(tmp_path: Path) -> None:
    """Without records there is an overview that says so, and it passes its check."""
    leaderboard.write_all(tmp_path)
    assert "No result has been recorded yet." in (tmp_path / "README.md").read_text()
    assert leaderboard.check(tmp_path) == []


def test_runs_are_ordered_by_seed() -> None:
    """A row keeps its runs in the order of their seeds."""
    [row] = group_seeds([sample(seed=seed) for seed in (10, 2, 1)])
    assert [run.seed for run in row.runs] == [1, 2, 10]


def test_a_qualified_data_set_has_a_page(tmp_path: Path) -> None:
    """Names with their plugin's stand on the page as they are; files and links have no colon."""
    one = sample(dataset="mine:toys", method="mine:method_a")
    _save(tmp_path, one)
    leaderboard.write_all(tmp_path)
    assert leaderboard.read_records(tmp_path) == [one]
    assert not [path for path in tmp_path.rglob("*") if ":" in path.name]
    assert "(mine@toys.md)" in (tmp_path / "README.md").read_text()
    assert "# mine:toys" in (tmp_path / "mine@toys.md").read_text()

"""Published results: a strict form, honest tables, and pages that follow from the copies alone."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sample_records import protocol, sample

from harness import DatasetSpec, HarnessError, PublishedResultsSpec
from harness.cli import main
from harness.plan.recipe import describe_component
from harness.plan.yaml_io import locate
from harness.plugins import Plugin, Registry, registry
from harness.results import leaderboard, published, record
from harness.results.record import ResultRecord

ROW: dict[str, Any] = {
    "method": "method_a",
    "dataset": "toys",
    "protocol": "test_a",
    "n_queries": 50,
    "n_gallery": 50,
    "train_split": "train_9k",
    "t2v": {"R@1": 44.5, "R@5": 71.5, "MdR": 2},
    "v2t": {"R@1": 42.5},
    "source": "a paper, table 2",
    "confidence": "read",
}


def put(path: Path, *changes: dict[str, Any]) -> Path:
    """A file with a row for each set of changes; a field changed to None is left out."""
    rows = {
        f"row-{number}": {field: value for field, value in {**ROW, **change}.items() if value is not None}
        for number, change in enumerate(changes, start=1)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(rows, sort_keys=False, default_flow_style=None))
    return path


def page(tmp_path: Path, *changes: dict[str, Any], measured: tuple[ResultRecord, ...] = ()) -> str:
    """The page of the data set with these published rows, and measured ones."""
    rows = published.read(put(tmp_path / "rows.yaml", *changes), "rows.yaml").values()
    return leaderboard.pages([*measured, *rows])["toys.md"]


def declaring(**files: Path) -> Registry:
    """A registry of one plugin for each file, which declares it as the published results of that name."""
    result = Registry()
    for name, path in files.items():
        spec = PublishedResultsSpec(name=name.partition("__")[0], summary="", rows=str(path))
        plugin = Plugin(name, f"{name}-dist", "1", name)
        result.components.setdefault("published results", {}).setdefault(spec.name, []).append((spec, plugin))
    return result


# the form


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"metod": "x"}, "metod", "there is no such field"),
        ({"method": None}, "method", "is missing"),
        ({"source": None}, "source", "is missing"),
        ({"n_queries": "many"}, "n_queries", "expected `int`, got `str`"),
        ({"n_gallery": 0}, "n_gallery", "expected `int` >= 1"),
        ({"confidence": "sure"}, "confidence", "invalid enum value 'sure'"),
        ({"selection": "luck"}, "selection", "invalid enum value 'luck'"),
        ({"t2v": {"R@1": "high"}}, "t2v", "expected `float`, got `str`"),
        ({"t2v": {"r1": 44.5}}, "t2v", "'r1' is no figure"),
        ({"t2v": {"R@1": 445.0}}, "t2v", "R@1 is 445.0, not a percentage"),
        ({"t2v": {"MdR": 0}}, "t2v", "ranks count from 1"),
        ({"v2t": {"MnR": 51}}, "v2t", "no more than 50 entries"),
        ({"t2v": {"R@5": 71.5, "R@10": 17.5}}, "t2v", "R@5 is 71.5, more than R@10 with 17.5"),
        ({"t2v": {}, "v2t": {}}, "t2v", "there is no figure"),
        ({"recalled_fields": ["t2v.R@10"]}, "recalled_fields", "'t2v.R@10' is no figure of the row"),
        ({"recalled_fields": [7]}, "recalled_fields", "expected `str`, got `int`"),
        (
            {"confidence": "recalled", "recalled_fields": ["v2t.R@1"]},
            "recalled_fields",
            "the whole row is recalled",
        ),
        ({"v2t": {}, "t2v": {"R@1": 1}, "recalled_fields": ["t2v.R@1"]}, "confidence", "every figure"),
        ({"recipe": "published"}, "recipe", "expected `array | null`, got `str`"),
        ({"n_queries": 100}, "v2t_protocol", "say caption_rank or group_rank"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_with_file_row_and_field(tmp_path, change, field, says):
    """Whatever is wrong with a field, the message has the file and line, the row and the field."""
    path = put(tmp_path / "rows.yaml", {"method": "other"}, change)
    with pytest.raises(HarnessError) as caught:
        published.read(path, "rows.yaml")
    message = caught.value.message
    place, _, rest = message.partition(": ")
    name, line = place.split(":")
    assert name == "rows.yaml" and "\n" not in message
    assert rest.startswith(f"row 'row-2', field '{field}': ") and says in rest
    lines = path.read_text().splitlines()
    start = lines.index("row-2:") + 1
    # A field that is not there has no line; the first one of its row is named instead.
    there = [
        number for number, text in enumerate(lines, 1) if number > start and text.startswith(f"  {field}:")
    ]
    assert int(line) == (there[0] if there else start + 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "a/b"}, "method 'a/b' cannot be used as a file name"),
        ({"train_split": " "}, "train_split must not be empty"),
        ({"protocol": " "}, "a protocol needs a name"),
        ({"source": ""}, "needs its source"),
        ({"method": "other"}, "is the same setting as row 'row-1'"),
    ],
)
def test_a_row_that_cannot_be_a_record_is_named(tmp_path, change, says):
    """What a record refuses, and a setting given twice, is refused with file, line and row."""
    path = put(tmp_path / "rows.yaml", {"method": "other"}, change)
    with pytest.raises(HarnessError, match=rf"rows\.yaml:\d+: row 'row-2': .*{says}"):
        published.read(path, "rows.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "rows.yaml has no row"),
        ("- 1\n", "published results rows.yaml is not a mapping"),
        ("7: {}\n", "row 7: the name is no text"),
        ("a: 7\n", "rows.yaml:1: row 'a': expected `object`, got `int`"),
        ("a: {method: x, method: y}\n", "rows.yaml:1: 'a.method' is given twice"),
        ("a: !!python/object/apply:os.getcwd []\n", "rows.yaml:1"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(tmp_path, text, says):
    """Anything but a mapping of rows is a message with the file."""
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        published.read(path, "rows.yaml")
    assert says in caught.value.message


# the tables


def test_recalled_figures_look_different(tmp_path):
    """Every figure from memory is in parentheses, in a row that was read and in one that was not."""
    text = page(
        tmp_path,
        {"recalled_fields": ["t2v.MdR", "v2t.R@1"]},
        {"method": "method_b", "confidence": "recalled", "t2v": {"R@1": 40.0}, "v2t": None},
    )
    first, second = (line for line in text.splitlines() if line.startswith("| *"))
    assert [cell.strip() for cell in first.split("|")[2:-1]] == ["44.5", "71.5", "(2.0)", "(42.5)"]
    assert [cell.strip() for cell in second.split("|")[2:-1]] == ["(40.0)", "—", "—", "—"]
    assert "1. Read: a paper, table 2.\n2. From memory: a paper, table 2.\n" in text
    assert "A figure in parentheses is from memory" in text


def test_a_figure_stands_under_its_own_k(tmp_path):
    """R@50 has a column of its own between the recalls and the ranks, and makes none of R@10."""
    text = page(tmp_path, {"t2v": {"MdR": 2, "R@50": 98.2, "R@1": 40.5}, "v2t": {"R@10": 85.8}})
    head = next(line for line in text.splitlines() if line.startswith("| Method"))
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["T2V R@1", "T2V R@50", "T2V MdR", "V2T R@10"]


def test_published_rows_are_never_ranked_among_measured_ones(tmp_path):
    """They stand below the measured sections of the same table, by train split, zero-shot rows last."""
    better = {"t2v": {"R@1": 100.0}, "v2t": None}
    text = page(
        tmp_path, better, {**better, "train_split": "none"}, {"train_split": "z"}, measured=(sample(),)
    )
    assert text.count("\n## ") == 1
    sections = [line for line in text.splitlines() if line.startswith("### ")]
    assert sections == [
        "### Trained on train_9k, last epoch",
        "### Published, trained on train_9k",
        "### Published, trained on z",
        "### Published, zero-shot",
    ]
    assert "*method_a*" not in text.partition("### Published")[0]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "test_b"},
        {"n_queries": 49, "v2t": None},
        {"n_gallery": 49, "v2t": None},
        {"query_unit": "paragraph"},
        {"postprocess": "dual_softmax"},
        {"task": "moment_retrieval"},
    ],
    ids=str,
)
def test_another_setting_is_another_table(tmp_path, change):
    """A published row that differs in what it states stands under a heading that claims no ties, in a place
    that is said to be empty."""
    text = page(tmp_path, change, measured=(sample(),))
    measured, other = text.split("\n## ")[1:]
    assert "Published" not in measured and "*method_a*" in other
    assert "ties" not in other.lower() and "**Not measured.**" in other


def test_a_table_with_clips_dropped_has_no_published_rows(tmp_path):
    """Beside rows whose missing clips were left out a published row would look comparable."""
    lost = record.Missing(test=(record.MissingClip("clip0", "not found"),), policy="drop")
    text = page(tmp_path, {}, measured=(sample(missing=lost),))
    assert [("dropped" in part, "*method_a*" in part) for part in text.split("\n## ")[1:]] == [
        (True, False),
        (False, True),
    ]


def test_clips_with_several_texts_say_how_video_to_text_was_counted(tmp_path):
    """The definition is a footnote where the two differ, and no footnote elsewhere."""
    several = {"n_queries": 100, "v2t_protocol": "group_rank"}
    assert "Video-to-text by group rank." in page(tmp_path, several)
    assert "Video-to-text by" not in page(tmp_path, {})


CAPTIONS: dict[str, Any] = {
    "task": "captioning",
    "protocol": "captioning",
    "query_unit": "clip",
    "t2v": None,
    "v2t": None,
    "figures": {"CIDEr": 74.9, "ROUGE-L": 68.3},
    "recalled_fields": ["figures.ROUGE-L"],
}


def test_tasks_without_ranks_come_after_ranks(tmp_path):
    """Their tables follow those of retrieval, post-processed ones too, and say a name once."""
    text = page(tmp_path, CAPTIONS, {"postprocess": "dual_softmax"}, {"method": "method_b"})
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    ranks, other = "## test_a: 50 sentences x 50 videos", "; differs in: post-processing dual_softmax"
    assert titles == [ranks, f"{ranks}{other}", "## captioning: 50 videos"]


def test_figures_of_other_tasks_are_told_apart_too(tmp_path):
    """They stand in their own order, one from memory in parentheses, on a page that explains no ranks."""
    text = page(tmp_path, CAPTIONS)
    head, _, row = (line for line in text.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["CIDEr", "ROUGE-L"]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["74.9", "(68.3)"]
    assert "T2V" not in text and "tasks without ranks" in text
    assert "tasks without ranks" not in page(tmp_path, {})


def test_the_overview_has_measured_and_published_figures_side_by_side(tmp_path):
    """A column has the best published row of its train split beside what was measured; an empty place says
    so, and what to type; a data set of which nothing was published stands apart."""
    best = {"t2v": {"R@1": 50.5}, "backbone": "larger"}
    elsewhere = {"method": "method_c", "train_split": "none", "confidence": "recalled"}
    file = put(tmp_path / "rows.yaml", {}, best, elsewhere, {"t2v": {"R@1": 99.9}, "protocol": "test_b"})
    rows = published.read(file, "rows.yaml").values()
    overview = leaderboard.pages([*rows, sample("method_b"), sample("method_b", dataset="dolls")])[
        "README.md"
    ]
    both, alone = overview.split("\n## ")[1:]
    assert "99.9" not in overview and "[dolls](dolls.md)" not in both and "[toys](toys.md)" not in alone
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in both.splitlines() if "|" in line]
    assert cells[0] == ["Method", "[toys](toys.md), measured", "published"]
    measured = f"{sample('method_b').metrics.t2v['R@1']:.1f} ["
    assert cells[2:][0] == ["method_a", "not measured", "*50.5* <sup>1</sup>"]
    assert cells[2:][1][1].startswith(measured) and cells[2:][1][2] == "—"
    assert cells[2:][2] == ["method_c", "not measured", "*(44.5)* <sup>2, 3</sup>"]
    assert "1. Read: a paper, table 2.\n2. Zero-shot, unlike the rest of its column.\n3. From memory" in both
    assert "`harness run --method M --dataset toys --protocol test_a`" in both


def test_one_run_by_another_protocol_does_not_hide_the_published_ones(tmp_path):
    """The overview's column stays the table of most methods, measured or quoted, when a run of another protocol
    is recorded; where most methods were measured by that one, it is theirs."""
    file = put(tmp_path / "rows.yaml", {}, {"method": "method_b"})
    rows = [*published.read(file, "rows.yaml").values()]
    aside = [sample(f"method_{name}", protocol=protocol(name="test_b")) for name in "xyz"]
    few, most = (leaderboard.pages([*rows, *aside[:count]])["README.md"] for count in (1, 3))
    assert "*44.5*" in few and "--protocol test_a`" in few and "method_x" not in few
    assert "--protocol test_b`" in most and "method_x" in most


# the folder


def test_pages_follow_from_the_folder(tmp_path):
    """Once copied, the rows need no plugin: deleted pages come back, and an edited copy is found."""
    place = tmp_path / "leaderboards"
    source = put(tmp_path / "rows.yaml", {})
    assert published.export(declaring(paper=source), place) == [place / "published" / "paper.yaml"]
    leaderboard.write_all(place)
    before = {path.name: path.read_bytes() for path in place.glob("*.md")}
    source.unlink()
    (place / "toys.md").unlink()
    assert published.export(Registry(), place) == []
    leaderboard.write_all(place)
    assert {path.name: path.read_bytes() for path in place.glob("*.md")} == before
    assert leaderboard.check(place) == []
    copy = place / "published" / "paper.yaml"
    whole = copy.read_text()
    copy.write_text(whole.replace("44.5", "45.5"))
    problems = leaderboard.check(place)
    assert [Path(said.partition(" line ")[0]).name for said in problems] == [
        "README.md",
        "toys.csv",
        "toys.md",
    ]
    copy.write_text(whole.replace("44.5", "high"))
    [problem] = leaderboard.check(place)
    assert f"{copy}:" in problem and "row 'row-1', field 't2v'" in problem


def test_nothing_is_copied_when_one_file_is_wrong(tmp_path):
    """A mistake in the last file leaves the folder as it was."""
    good, bad = put(tmp_path / "good.yaml", {}), put(tmp_path / "bad.yaml", {"method": None})
    with pytest.raises(HarnessError, match=r"bad\.yaml:"):
        published.export(declaring(a_good=good, b_bad=bad), tmp_path / "leaderboards")
    assert not (tmp_path / "leaderboards").exists()


def test_rows_of_two_plugins_do_not_collide(tmp_path):
    """Two reports of one method are two rows with their own figures and sources, in a fixed order."""
    place = tmp_path / "leaderboards"
    one = put(tmp_path / "one.yaml", {})
    two = put(tmp_path / "two.yaml", {"t2v": {"R@1": 40.0}})
    published.export(declaring(one=one, two=two), place)
    text = leaderboard.regenerate(place)[place / "toys.md"]
    rows = [line for line in text.splitlines() if line.startswith("| *method_a*")]
    assert len(rows) == 2 and "44.5" in rows[0] and "40.0" in rows[1]
    turned = leaderboard.pages(reversed(published.read_copies(place)))["toys.md"]
    assert turned == text


def test_one_name_for_two_sets_is_refused(tmp_path):
    """Of two plugins whose sets share a name neither overwrites the other's copy."""
    path = put(tmp_path / "rows.yaml", {})
    with pytest.raises(HarnessError, match="published result 'paper' is declared twice"):
        published.export(declaring(paper=path, paper__again=path), tmp_path / "leaderboards")


def test_the_command_copies_and_checks(tmp_path):
    """`harness leaderboard` writes copies and pages once; ``--check`` passes with them alone."""
    place = tmp_path / "leaderboards"
    place.mkdir()
    arguments = ["leaderboard", "--leaderboards", str(place)]
    written = CliRunner().invoke(main, arguments, catch_exceptions=False).stdout
    names = {spec.name for spec, _ in registry().specs("published results")}
    assert names and all(f"{name}.yaml" in written for name in names)
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).stdout == ""
    assert CliRunner().invoke(main, [*arguments, "--check"], catch_exceptions=False).exit_code == 0
    shutil.rmtree(place / "published")
    assert CliRunner().invoke(main, [*arguments, "--check"]).exit_code == 1


# what the plugins carry


def rows() -> list:
    """Every published row of every installed plugin."""
    return [
        pytest.param(row, id=f"{spec.name}-{name}")
        for spec, _ in registry().specs("published results")
        for name, row in published.read(*locate(spec.rows, published.WHAT)).items()
    ]


@pytest.mark.parametrize("row", rows())
def test_rows_belong_to_a_known_protocol(row):
    """Data set, protocol, its counts and query unit, train split and method are those that plugins declare."""
    spec: DatasetSpec = registry().find("datasets", row.dataset)[0]
    assert spec.name == row.dataset
    [stated] = [known for known in spec.protocols if known.name == row.protocol.name]
    counts = (stated.n_queries or row.protocol.n_queries, stated.n_gallery or row.protocol.n_gallery)
    assert (row.protocol.n_queries, row.protocol.n_gallery) == counts
    assert row.protocol.query_unit == stated.query_unit
    module = importlib.import_module(spec.factory.partition(":")[0])
    assert row.train_split in {published.ZERO_SHOT, *module.SPLITS}
    assert registry().find("methods", row.method)[0].name == row.method
    assert registry().find("tasks", row.task)[0].name == row.task


@pytest.mark.parametrize("row", rows())
def test_post_processing_is_described_as_measured_rows_are(row):
    """So that a row stands in the table of what it can be compared with."""
    name, _, options = row.postprocess.removesuffix(")").partition("(")
    given = dict(option.split("=") for option in options.split(", ") if option)
    value = {"name": name} | {key: yaml.safe_load(text) for key, text in given.items()}
    assert describe_component(value, "postprocessors", registry()) == row.postprocess

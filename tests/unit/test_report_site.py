"""Leaderboards as web pages: the same text as in Markdown, sorted by value, and nothing unforeseen."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from harness.names import in_path
from harness.report.markdown import inline, to_html
from harness.report.site import site, write_site
from harness.report.sort_value import sort_value
from harness.results.table import escape, markdown_table

PAGES = sorted((Path(__file__).parents[2] / "leaderboards").glob("*.md"))
TABLE = markdown_table(["Method", "R@1"], [["a <sup>1</sup>", "50.0 ± 2.9"], ["b", "—"]])


def _words(html: str) -> list[str]:
    return unescape(re.sub(r"<[^>]+>", " ", html)).split()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_say_the_same(path):
    """Every committed page converts, with as many tables, rows and footnotes, and the figures of every row."""
    text = path.read_text(encoding="utf-8")
    html = to_html(text)
    lines = text.split("\n")
    tables = sum(line.startswith("|:") for line in lines)
    assert html.count("<table") == tables
    assert html.count("<tr>") == sum(line.startswith("|") for line in lines) - tables
    assert len(re.findall(r'<li id="t\d+-n\d+">', html)) == sum(
        bool(re.match(r"\d+\. ", line)) for line in lines
    )
    figures = re.findall(r"\d+\.\d", text)
    assert re.findall(r"\d+\.\d", " ".join(_words(html))) == figures


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a|b", r"c\d", "*e* `f` [g](h)", "_i_ j_k", "&amp; <sup>1</sup>"]
)
def test_escaped_text_comes_back(text):
    """What tables escape for Markdown is the same text on the web page, without an element."""
    html = inline(escape(text))
    assert "<" not in html
    assert unescape(html) == text


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("50.0 ± 2.9", 50.0),
        ("86.5 [80.9, 90.6]", 86.5),
        ("(47.0)", 47.0),
        ("**93.2 ± 4.6** <sup>2</sup>", 93.2),
        ("≈ 93.2 ± 4.6", 93.2),
        ("+0.3 ± 0.2 (read, best on test)", 0.3),
        ("-1.5 (recalled)", -1.5),
        ("3 (0, 1, 2)", 3.0),
        ("2M frames", 2e6),
        ("1G frames", 1e9),
        ("632 MiB", 632.0),
        ("3.5 GiB", 3584.0),
        ("1,234 clips/s", 1234.0),
        ("1.2e-05", 1.2e-05),
        ("151.3M", 151.3e6),
        ("4.5k", 4500.0),
        ("241 s", 241.0),
        ("9 min", 540.0),
        ("1 h 05 min", 3900.0),
        ("—", None),
        ("ViT-B/32", None),
        ("2nd try", None),
        ("`6faec767`", None),
    ],
)
def test_what_a_cell_sorts_by(cell, value):
    """Cells sort by the figure they begin with, times by seconds and sizes by their unit; text has none."""
    assert sort_value(cell) == value


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_column_of_figures_sorts_by_them(path):
    """In the columns of committed pages that a reader sorts by, every cell with a digit has a number."""
    heads = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        heads = heads if cells and heads else cells
        for head, cell in zip(heads, cells):
            if re.match(r"[TV]2[TV] |CIDEr|accuracy|Peak|Train time", head) and cell != head:
                assert sort_value(cell) is not None or not re.search(r"\d", cell), (head, cell)


def test_a_link_to_a_data_set_of_two_plugins():
    """The page of a data set whose name two plugins declare has an @ in its name, and is linked like any."""
    page = in_path("birds:test")
    html = inline(f"[{escape('birds:test')}]({page}.md)")
    assert html == '<a href="birds@test.html">birds:test</a>'


@pytest.mark.parametrize(
    "line",
    ["<b>raw</b>", "> quoted", "```", "#### deep", "| a | b", "[x](javascript:alert(1))", "  indented"],
)
def test_an_unknown_line_is_a_mistake(line):
    """Markdown that leaderboards are not written in is refused."""
    with pytest.raises(AssertionError):
        to_html(line)


def test_marks_lead_to_their_footnotes():
    """The mark of a row links to the footnote below its own table."""
    html = to_html(f"{TABLE}\n\n1. first\n\n{TABLE}\n\n1. second")
    assert '<a href="#t2-n1">1</a>' in html
    assert (
        html.index('<li id="t1-n1">first') < html.index('href="#t2-n1"') < html.index('<li id="t2-n1">second')
    )


def test_the_site_of_a_folder(tmp_path):
    """Pages link to each other by their new names, obsolete ones go, and other people's pages stay."""
    pages = {"README.md": "# Leaderboards\n\n[toys](toys.md)", "toys.md": f"# toys\n\n{TABLE}"}
    made = site({**pages, "toys.csv": "a,b\n"})
    assert set(made) == {"index.html", "toys.html", "toys.csv"} and made["toys.csv"] == "a,b\n"
    assert re.findall(r'<p><a href="([^"]+)"', made["index.html"]) == ["toys.html"]
    (tmp_path / "mine.html").write_text("mine")
    write_site(tmp_path, pages)
    write_site(tmp_path, {"README.md": pages["README.md"]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "mine.html"]

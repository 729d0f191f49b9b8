"""Pages of a real run, as the commands write them and as a real browser shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness.report.atlas import atlas
from harness.report.folder import open_folder
from harness.report.pictures import Pictures
from harness.report.run_page import run_page
from tests.support.browser import Browser, find_browser
from tests.support.command import Harness
from tests.support.run_folders import write_run

#: Tells a page's width, its own width, and whether something from the data ran.
MEASURE = "document.body.dataset.widths = [innerWidth, document.documentElement.scrollWidth].join();"
EVIL = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"


@pytest.fixture(scope="module")
def made(tmp_path_factory, own_places, small_shapes) -> Path:
    """A working folder with two quick runs, their reports, their atlas, and the site of their leaderboard."""
    place = Harness(tmp_path_factory.mktemp("made"), own_places)
    for seed in ("0", "1"):
        place.record("run", "--method", "clip4clip_meanp", *small_shapes, "--seed", seed)
    runs = sorted(str(path) for path in (place.folder / "runs").iterdir() if not path.name.startswith("."))
    for arguments in (
        ("report", runs[0]),
        ("compare", *runs, "--atlas", "atlas.html"),
        ("leaderboard", "--html"),
    ):
        done = place.finish(*arguments)
        assert done.returncode == 0, done.stderr
    Path(runs[0], "report.html").rename(place.folder / "report.html")
    return place.folder


@pytest.fixture
def browser(tmp_path) -> Browser:
    command = find_browser()
    if command is None:
        pytest.skip("no chromium or chrome on the path")
    return Browser(command, tmp_path / "profile")


@pytest.mark.slow
def test_the_pages_of_real_runs(made):
    """The report shows strips of the hardest queries and the atlas of both runs, whole files without an address
    from outside; every page of the site is there."""
    for name, least in (("report.html", 100), ("atlas.html", 100)):
        page = (made / name).read_text()
        assert page.count('<img src="data:image/jpeg;base64,') >= least
        assert set(re.findall(r'\b(?:src|href)="([^"]{5})', page)) == {"data:"}
        assert "no picture" not in page
    assert {path.name for path in (made / "site").iterdir()} >= {"index.html", "shapes.html"}
    for path in (made / "site").iterdir():
        assert not re.search(r'<(?:link|img|iframe)|<script src|src="', path.read_text())


@pytest.mark.slow
def test_what_an_evaluation_leaves(made, own_places):
    """`evaluate` leaves what it retrieved too, the same as the run, and its folder can be reported; a moved data
    set is said to be gone, and a wrong --data-root is refused."""
    run = next(path for path in (made / "runs").iterdir() if path.name.endswith("-s0"))
    place = Harness(made, own_places)
    size = json.loads((run / "plan.json").read_text())["recipe"]["data"]["options"]["train_clips"]
    settings = ("--dataset", "shapes", "--set", f"data.options.train_clips={size}")
    place.record("evaluate", str(run), *settings, "--runs", "again")
    again = place.only_run("again")
    assert (again / "retrieved.json").read_bytes() == (run / "retrieved.json").read_bytes()
    done = place.finish("report", str(again), "--out", "again.html")
    assert done.returncode == 0 and done.stdout == "wrote again.html\n"
    plan = json.loads((again / "plan.json").read_text())
    (again / "plan.json").write_text(json.dumps({**plan, "data_root": str(made / "gone")}))
    done = place.finish("report", str(again), "--out", "again.html")
    assert done.returncode == 0 and "without pictures" in done.stdout
    assert "Without pictures" in (made / "again.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "nowhere"), "no folder of a finished run"),
        (("compare", "a", "b", "c", "--atlas", "x.html"), "of two runs"),
        (("compare", "record.json", "record.json", "--atlas", "x.html"), "no run folder"),
        (("compare", "a", "b", "--data-root", "."), "pictures of an atlas"),
        (("leaderboard", "--check", "--html", "x"), "--html"),
    ],
)
def test_refusals(cli, workplace, arguments, said):
    """What has no page is one line, exit code 2, and nothing written."""
    (workplace / "leaderboards").mkdir()
    done = cli(*arguments)
    assert done.exit_code == 2 and said in done.stderr
    assert [path.name for path in workplace.iterdir()] == ["leaderboards"]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["report.html", "atlas.html", "site/index.html", "site/shapes.html"])
def test_a_browser_has_no_complaint(browser, made, page):
    """A page opens without a line on the console."""
    shown = browser.show(made / page)
    assert shown.console == []
    assert "</html>" in shown.dom


def test_a_complaint_is_heard(browser, tmp_path):
    """An error in a page's script, and a picture from outside that the policy stops, are lines on the console."""
    (tmp_path / "page.html").write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; script-src 'unsafe-inline'\">"
        "<body><img src='http://localhost:9/x.png'><script>nothing.here</script></body>"
    )
    console = "\n".join(browser.show(tmp_path / "page.html").console)
    assert "nothing is not defined" in console and "Content Security Policy" in console


@pytest.mark.slow
@pytest.mark.parametrize("page", ["site/index.html", "site/shapes.html"])
def test_no_page_is_wider_than_a_phone(browser, made, page):
    """Only tables scroll to the side, each in its own box."""
    dom = browser.show(made / page, width=500, after=MEASURE).dom
    window, content = map(int, re.search(r'data-widths="(\d+),(\d+)"', dom).groups())
    assert content <= window


def test_tables_sort_by_a_click(browser, tmp_path):
    """A first click on a column puts the largest value first, a second one the smallest, with aria-sort and empty
    cells last; a column of words sorts by the alphabet."""
    from harness.report.site import write_site
    from harness.results.table import markdown_table

    body = [
        ["b", "9.5 ± 1.0", "9 min"],
        ["a", "—", "1 h 05 min"],
        ["d", "100.0", "241 s"],
        ["c", "10.2", "—"],
    ]
    text = "# toys\n\n" + markdown_table(["Method", "R@1", "Time"], body)
    write_site(tmp_path, {"README.md": "# Leaderboards", "toys.md": text})

    def order(*columns: int) -> tuple[str, list[str | None]]:
        """First cells from above and the aria-sort of all columns after clicks."""
        clicks = f"for (const n of {list(columns)}) document.querySelectorAll('th button')[n].click();"
        dom = browser.show(tmp_path / "toys.html", after=clicks).dom
        heads = [
            sort[1] if (sort := re.search(r'aria-sort="(\w+)"', head)) else None
            for head in re.findall(r"<th [^>]*>", dom)
        ]
        return "".join(re.findall(r"<tr><td[^>]*>(\w)</td>", dom)), heads

    assert order() == ("badc", [None, None, None])
    assert order(1) == ("dcba", [None, "descending", None])
    assert order(1, 1) == ("bcda", [None, "ascending", None])
    assert order(1, 2) == ("abdc", [None, None, "descending"])
    assert order(0) == ("abcd", ["ascending", None, None])


def test_markup_in_data_is_inert(browser, tmp_path):
    """Texts and ids that are scripts change nothing in a page that a browser has opened."""
    gallery = [f"clip{n}{EVIL}" for n in range(12)]
    texts = [f"text {n}{EVIL}" for n in range(12)]
    for seed, name in enumerate("ab"):
        scores = np.random.default_rng(seed).random((12, 12))
        write_run(tmp_path / name, scores, texts=texts, gallery=gallery, lost=2, note=EVIL)
    a, b = (open_folder(tmp_path / name) for name in "ab")
    (tmp_path / "report.html").write_text(run_page(a, Pictures(), EVIL))
    (tmp_path / "atlas.html").write_text(atlas(a, b, Pictures(), EVIL))
    for name in ("report.html", "atlas.html"):
        shown = browser.show(tmp_path / name)
        assert shown.console == []
        assert "<title>ran</title>" not in shown.dom and "<img" not in shown.dom
        assert "&lt;script&gt;" in shown.dom

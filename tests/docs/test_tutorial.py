"""docs/tutorial.md: its blocks are the files of examples/xpool, and what it shows is what happens."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.plugins import registry
from harness.scaffold import plugin as scaffold
from tests.docs.blocks import blocks, plugins_of, write_files
from tests.docs.pages import DOCS

PAGE = (DOCS / "tutorial.md").read_text("utf-8")
EXAMPLE = DOCS.parent / "examples" / "xpool"
PLUGIN = "src/harness_xpool"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder that somebody has who typed all files of the page, without the tags that name them."""
    folder = tmp_path_factory.mktemp("tutorial") / "harness-xpool"
    for name in write_files(PAGE, folder):
        place = folder / name
        text = place.read_text("utf-8").replace(f"# {name}\n", "")
        place.write_text(text.removesuffix("\n"), encoding="utf-8")
    return folder


@pytest.fixture
def loaded(built, tmp_path, monkeypatch) -> Iterator[Path]:
    """The plugin of the page, found by HARNESS_PLUGINS, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    with plugins_of(built, PLUGIN):
        yield tmp_path


def said(output: str, first: str) -> bool:
    """Whether the page has a text block that begins with ``first`` and whose lines stand in ``output``, in
    their order; ``...`` stands for anything."""
    (block,) = [b.text for b in blocks(PAGE) if b.language == "text" and b.text.startswith(first)]
    lines = [re.escape(line).replace(r"\.\.\.", ".*") for line in block.splitlines()]
    return re.search(r"^" + r"\n(?:.*\n)*?".join(lines) + r"$", output, re.MULTILINE) is not None


def in_a_shell() -> list[str]:
    """The Python blocks that are no files: what is typed into a shell, one after the other."""
    return [block.text for block in blocks(PAGE) if block.language == "python" and not block.file]


def _written(folder: Path) -> list[Path]:
    """The files of a distribution, without those that an installation leaves beside them."""
    left = re.compile(r"__pycache__|build|.*\.egg-info")
    return [
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(map(left.fullmatch, p.relative_to(folder).parts))
    ]


def test_the_blocks_are_the_example(built):
    """All files of the example but its README are in the page, byte for byte, and no others."""
    there, typed = ({p.relative_to(folder) for p in _written(folder)} for folder in (EXAMPLE, built))
    assert typed == there - {Path("README.md")}
    for name in typed:
        assert (built / name).read_bytes() == (EXAMPLE / name).read_bytes(), name


def test_the_tests_that_stay(tmp_path, monkeypatch):
    """Of the tests that ``harness new plugin`` writes only the kit's are left: the others import what is replaced."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scaffold, "check_name", lambda name, registry: None)  # the example may be installed
    scaffold.create("xpool", "temporal", Path("harness-xpool"), registry())
    for line in re.findall(r"^rm (\S+)$", PAGE, re.MULTILINE):
        Path(line).unlink()
    assert [path.name for path in Path("harness-xpool/tests").iterdir()] == ["test_conformance.py"]


def test_the_shell(loaded, built, monkeypatch):
    """What is typed into a shell prints what the page says: shapes, and which changes leave the scores alone."""
    monkeypatch.syspath_prepend(str(built / "src"))
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for text in in_a_shell():
            exec(compile(text, "docs/tutorial.md", "exec"), names)
    shown = [
        b.text for b in blocks(PAGE) if b.language == "text" and re.match(r"torch\.Size|True|False", b.text)
    ]
    assert len(shown) == len(in_a_shell()) == 2
    assert printed.getvalue() == "".join(shown)


def test_described(loaded, cli):
    """`harness describe` shows the module as the page does, and of the method the layers' files and lines."""
    assert said(cli("describe", "text_pooling").stdout, "text_pooling\n")
    recipe = cli("describe", "xpool", "--dataset", "shapes").stdout
    assert re.search(r"dropout = 0\.0 .*# harness_xpool/shapes\.yaml:\d+\n", recipe)
    assert re.search(r"heads = 1 .*# harness_xpool/recipe\.yaml:\d+\n", recipe)


def test_a_proof_is_planned(loaded, cli):
    """`harness prove` finds the published row, and says by which command it repeats it and what differs."""
    cli("data", "sample", "msrvtt", "DIR")
    done = cli("prove", "xpool", "--dataset", "msrvtt", "--data-root", "DIR", "--dry-run")
    assert said(done.stdout, "xpool/msrvtt-9k")


def test_it_runs(loaded, cli, small_shapes):
    """The page's short run ends in a record of its plugin, and in a row and a published row."""
    (line,) = re.findall(r"^harness (run .* --backbone tiny .*)$", PAGE, re.MULTILINE)
    done = cli(*line.split(), "--workers", 0, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["protocol"]["n_queries"] == 192
    assert [name for name in record["versions"] if name.endswith(":harness_xpool")]
    pages = loaded / "leaderboards"
    assert re.search(r"^\| xpool\b", (pages / "shapes.md").read_text("utf-8"), re.MULTILINE)
    cli("leaderboard")
    assert re.search(r"^\| \*xpool\*.*46\.9", (pages / "msrvtt.md").read_text("utf-8"), re.MULTILINE)

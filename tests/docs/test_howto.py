"""The code of the documentation: plugins are loaded and used, commands and recipes are checked."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
import torch
from PIL import Image

from harness.cli import main
from harness.data.dataset import Dataset
from harness.models.assembly import build_loss
from harness.models.loss import LossInputs
from harness.plan import yaml_io
from harness.plan.plan import Request, build_plan
from harness.plugins import load_factory, registry
from harness.testing import subjects
from tests.docs.blocks import blocks, plugins_of, write_files
from tests.docs.pages import DOCS

HOWTO = (DOCS / "howto.md").read_text("utf-8")
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]

_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ +)*harness (.*)$")


@pytest.fixture
def howto(tmp_path) -> Path:
    write_files(HOWTO, tmp_path)
    return tmp_path


def picture_clip(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8), "red").save(folder / f"{number}.png")


def test_the_data_set(howto, cli):
    """The commands of the page make the data set's files and find them whole; of those that are not there
    `harness data check` tells."""
    root = howto / "root"
    with plugins_of(howto, "birds"):
        assert cli("data", "sample", "birds", root).exit_code == 0
        assert cli("data", "check", "birds", "--data-root", root).exit_code == 0
        run = ("--method", "clip_vip", "--dataset", "birds", "--data-root", root, "--dry-run")
        small = (
            "--backbone",
            "tiny",
            "--set",
            "data.frames=2",
            "--set",
            "train.batch_size=2",
        )  # not the page's: quick
        assert cli("run", *run, *small).exit_code == 0
        (root / "heron.mp4").unlink()
        done = cli("data", "check", "birds", "--data-root", root, "--no-decode")
        assert done.exit_code == 1 and "heron" in done.output


def test_the_captions_of_the_data_set(howto, cli):
    """The csv of the page is what its plugin reads, beside a clip that is there and one that is not."""
    root = howto / "root"
    picture_clip(root / "owl")
    (howto / "birds_test.csv").rename(root / "birds_test.csv")
    with plugins_of(howto, "birds"):
        spec, plugin = registry().find("datasets", "birds")
        dataset: Dataset = load_factory(spec.factory, plugin)(spec.options(), root)
        assert [clip.id for clip in dataset.clips("test")] == ["owl", "heron"]
        assert [clip.path is not None for clip in dataset.clips("test")] == [True, False]
        assert dataset.captions("test")[0].text == "an owl turns its head"


def test_the_data_set_passes_the_kit(howto, cli):
    """Who copies the page has a data set that `harness check` finds no fault with, its sample included."""
    with plugins_of(howto, "birds"):
        assert [s.kind for s in subjects(registry(), "birds")] == ["plugins", "datasets"]
        done = cli("check", "birds")
    assert done.exit_code == 0 and "ok     a clip can be read" in done.stdout


def test_the_loss(howto, cli):
    """The loss takes its option from a recipe, and is the hinge that the page says."""
    with plugins_of(howto, "margin"):
        assert "width = 0.2" in cli("describe", "margin").stdout
        settings = ("train.loss={name: margin, width: 0.3}",)
        request = Request(method="clip4clip_meanp", dataset="shapes", backbone="tiny", settings=settings)
        plan, _ = build_plan(request, registry())
        loss = build_loss(next(iter(plan.recipe.stages.values())).loss, registry())
    scores = torch.tensor([[0.9, 0.5], [0.7, 0.8]], requires_grad=True)
    inputs = LossInputs({}, torch.eye(2, dtype=torch.bool), torch.tensor(1.0), lambda a, b: scores, None, sum)
    value = loss(inputs)
    value.backward()
    assert value.item() == pytest.approx((0.0 + 0.2) / 2)
    assert scores.grad.tolist() == [[0.0, 0.0], [0.5, -0.5]]


def test_every_python_block_belongs_to_a_plugin_that_runs():
    """In hooks and how-to each Python block is a file of a tested plugin, or a hook's signature."""
    for name, plugins in (("hooks.md", {"colours"}), ("howto.md", {"birds", "margin"})):
        for block in blocks((DOCS / name).read_text("utf-8")):
            if block.language == "python" and not block.text.startswith("def harness_"):
                assert block.file.partition("/")[0] in plugins, block.text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_and_yaml_are_read(path):
    """Every Python block of the documentation compiles (but signatures), every YAML block is a mapping."""
    for block in blocks(path.read_text("utf-8")):
        if block.language == "python" and not block.text.startswith("def harness_"):
            ast.parse(block.text)
        if block.language == "yaml":
            assert isinstance(yaml_io.parse_scalar(block.text), dict)


def test_the_recipes_of_the_page_are_resolved(tmp_path):
    """The recipes of docs/recipes.md are accepted by the harness itself."""
    page = (DOCS / "recipes.md").read_text("utf-8")
    found = [block.text for block in blocks(page) if block.language == "yaml"]
    assert len(found) == 2
    for number, text in enumerate(found):
        (tmp_path / f"{number}.yaml").write_text(text)
        recipes = (str(tmp_path / f"{number}.yaml"),)
        build_plan(Request(method="clip4clip_meanp", dataset="shapes", backbone="tiny", recipes=recipes, settings=("data.val_split=test",)), registry())  # fmt: skip


def commands(page: str) -> list[str]:
    """The command lines of `harness` in the bash blocks of a page, without comments."""
    shell = [block.text.replace("\\\n", " ") for block in blocks(page) if block.language == "bash"]
    lines = [line for text in shell for line in text.splitlines()]
    return [found[1] for line in lines if (found := _COMMAND.match(line))]


def misused(line: str) -> str:
    """What is wrong with a command line: an unknown command or option; values are not looked at."""
    command, words = main, shlex.split(line, comments=True)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command '{words[0]}'"
        command = command.commands[words.pop(0)]
    context = click.Context(command, help_option_names=["-h", "--help"])
    try:
        command.make_parser(context).parse_args([word for word in words if word != "..."])
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_exist(path):
    """Every command line in the documentation names a command and options that there are."""
    wrong = {line: misused(line) for line in commands(path.read_text("utf-8"))}
    assert {line: problem for line, problem in wrong.items() if problem} == {}


def test_a_wrong_command_is_found():
    """An option or command that does not exist is told, behind variables too."""
    page = "```bash\nA=b harness run --methd x\nharness nothing\nharness list losses   # fine\n```\n"
    told = [misused(line) for line in commands(page)]
    assert "--methd" in told[0] and "nothing" in told[1] and told[2] == ""

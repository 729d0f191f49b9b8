"""The example distributions: found by their own entry points, and their heads are what the papers say."""

from __future__ import annotations

import ast
import math
import os
import sys
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from harness import HarnessError
from harness.models import Features
from harness.plan.plan import Request, build_plan
from harness.plugins import GROUP, Plugin, Registry, discover, registry
from tests.support.command import Harness

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))
METHODS = {"xpool": "xpool", "drl": "drl_wti"}
DIM = 12


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The examples' packages, as `pip install` would make them importable."""
    for name in NAMES:
        monkeypatch.syspath_prepend(str(EXAMPLES / name / "src"))


def project(name: str) -> dict:
    """What an example's pyproject.toml says of its distribution."""
    return tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())["project"]


def declared(name: str) -> dict[str, str]:
    """The entry points of an example, as its pyproject.toml has them."""
    return project(name)["entry-points"][GROUP]


def head(name: str, **options):
    """An example's head with parameters that have left their start, ready to score in float64."""
    package, module = {"xpool": ("harness_xpool", "module"), "drl": ("drl_example", "interaction")}[name]
    plugin, made = import_module(f"{package}.plugin"), import_module(f"{package}.{module}")
    torch.manual_seed(0)
    if name == "xpool":
        model = made.TextPooling(DIM, plugin.XPoolOptions(**options))
    else:
        model = made.TokenWise(DIM, plugin.TokenWiseOptions(**options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def features(lengths: list[int], longest: int, seed: int) -> Features:
    """Random tokens ``[B, longest, DIM]`` of which ``lengths`` are real; what is padding is random too."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(len(lengths), longest, DIM, dtype=torch.float64, generator=generator)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return Features(tokens, mask, tokens[:, 0])


def test_there_are_examples():
    """The tests below are about both example distributions."""
    assert sorted(METHODS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_found_by_its_entry_point(name):
    """What the distribution's own pyproject.toml declares loads without a problem and gives its method."""
    found = discover(EntryPoint(key, value, GROUP) for key, value in declared(name).items())
    assert [plugin.problem for plugin in found.plugins] == [""]
    assert [spec.name for spec, _ in found.specs("methods")] == [METHODS[name]]


@pytest.mark.parametrize("name", NAMES)
def test_imports_only_public_names(name):
    """A stranger's plugin imports nothing of the harness but `harness` and `harness.models`."""
    for path in (EXAMPLES / name / "src").rglob("*.py"):
        own = f"{path.parent.name}."
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("harness"):
                public = node.module in ("harness", "harness.models") or node.module.startswith(own)
                assert public, f"{path}: {node.module}"


@pytest.mark.parametrize("name", NAMES)
def test_the_recipes_resolve(name):
    """The method's recipe for `shapes` makes a plan: every name and value in it is known."""
    both = [
        *registry().plugins,
        *discover(EntryPoint(*pair, GROUP) for pair in declared(name).items()).plugins,
    ]
    found = Registry()
    for plugin in both:
        found.add(Plugin(plugin.name, plugin.distribution, plugin.version, plugin.target, plugin.module))
    plan, _ = build_plan(Request(method=METHODS[name], dataset="shapes"), found)
    assert plan.recipe.data.frames == 3 and plan.recipe.model.backbone["name"] == "tiny_clip"


@pytest.mark.parametrize("name", NAMES)
def test_padding_never_changes_a_score(name):
    """Scores are the same with padding or without, whatever is in it, on both sides."""
    model = head(name)
    texts, clips = features([3, 2, 4], 6, seed=1), features([1, 4], 5, seed=2)
    scores = model.score(texts, clips)
    for row, words in enumerate([3, 2, 4]):
        for column, frames in enumerate([1, 4]):
            text = texts[row : row + 1]
            clip = clips[column : column + 1]
            alone = model.score(
                Features(text.tokens[:, :words], text.mask[:, :words], text.pooled),
                Features(clip.tokens[:, :frames], clip.mask[:, :frames]),
            )
            torch.testing.assert_close(alone[0, 0], scores[row, column])


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_without_a_frame_has_a_score(name):
    """A clip that nothing is known of scores finitely, and its gradient poisons nothing."""
    model = head(name)
    scores = model.score(features([3, 2], 4, seed=1), features([2, 0], 3, seed=2))
    assert scores.isfinite().all()
    scores.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("heads", [1, 3])
def test_xpool_pair_by_pair(heads):
    """The head equals the paper's equations, written out for one text and one clip at a time."""
    model = head("xpool", heads=heads)
    pool = model.pool
    texts, clips = features([1, 1, 1], 1, seed=1), features([4, 2], 4, seed=2)
    scores = model.score(texts, clips)
    for row in range(3):
        for column, frames in enumerate([4, 2]):
            text, clip = texts.vector[row], clips.tokens[column, :frames]
            query, keys = pool.query(pool.norm_in(text)), pool.key(pool.norm_in(clip))
            values, wide, parts = pool.value(pool.norm_in(clip)), DIM // heads, []
            for start in range(0, DIM, wide):
                part = slice(start, start + wide)
                weights = torch.softmax(keys[:, part] @ query[part] / math.sqrt(wide), dim=0)
                parts.append(sum(w * v for w, v in zip(weights, values[:, part], strict=True)))
            seen = pool.norm_pooled(pool.out(torch.cat(parts)))
            pooled = pool.norm_out(seen + pool.linear(seen))
            torch.testing.assert_close(functional.cosine_similarity(text, pooled, dim=0), scores[row, column])


def test_xpool_starts_from_clips_space():
    """At its start every linear map is the identity: with one frame, a clip is that frame, normed."""
    from harness_xpool.module import TextPooling, XPoolOptions

    model = TextPooling(DIM, XPoolOptions(dropout=0)).double().eval()
    texts, clips = features([1, 1], 1, seed=1), features([1, 1, 1], 1, seed=2)
    normed = functional.layer_norm(clips.tokens[:, 0], [DIM])
    expected = functional.normalize(texts.vector, dim=-1) @ functional.normalize(normed, dim=-1).T
    torch.testing.assert_close(model.score(texts, clips), expected, atol=1e-4, rtol=0)


def test_xpool_heads_that_do_not_fit():
    """Heads that do not divide the features are refused in one line."""
    from types import SimpleNamespace

    from harness_xpool.module import XPoolOptions, build

    context = SimpleNamespace(backbone=SimpleNamespace(dim=DIM, name="tower"))
    with pytest.raises(HarnessError, match="5 heads do not divide the 12 channels of tower"):
        build(XPoolOptions(heads=5), context)


@pytest.mark.parametrize("weighted", [True, False])
def test_token_wise_pair_by_pair(weighted):
    """The head equals the paper's equations, written out for one text and one clip at a time."""
    model = head("drl", weighted=weighted)
    texts, clips = features([3, 4, 1], 4, seed=1), features([2, 3], 3, seed=2)
    scores = model.score(texts, clips)
    for row, words in enumerate([3, 4, 1]):
        for column, frames in enumerate([2, 3]):
            text, clip = texts.tokens[row, :words], clips.tokens[column, :frames]
            cosines = functional.cosine_similarity(text[:, None], clip[None], dim=-1)
            if weighted:
                by_word = torch.softmax(model.text_weight(text)[:, 0], dim=0)
                by_frame = torch.softmax(model.frame_weight(clip)[:, 0], dim=0)
            else:
                by_word, by_frame = torch.full((words,), 1 / words), torch.full((frames,), 1 / frames)
            best_frame, best_word = cosines.max(dim=1).values, cosines.max(dim=0).values
            expected = (sum(by_word * best_frame) + sum(by_frame * best_word)) / 2
            torch.testing.assert_close(scores[row, column], expected, check_dtype=False)


@pytest.fixture
def installed(tmp_path, monkeypatch, own_places) -> Harness:
    """The command beside both examples, as they would be installed."""
    for name in NAMES:
        called = project(name)["name"]
        metadata = tmp_path / f"{called.replace('-', '_')}-0.1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {called}\nVersion: 0.1.0\n")
        entries = "".join(f"{key} = {value}\n" for key, value in declared(name).items())
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}")
    sources = [str(EXAMPLES / name / "src") for name in NAMES]
    already = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [already, str(tmp_path), *sources])))
    work = tmp_path / "work"
    work.mkdir()
    return Harness(work, own_places, python=sys.executable)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run(installed, small_shapes, name):
    """`harness run` trains the example to a record that names its distribution, and the loss falls."""
    small = (*small_shapes, "--workers", "0", "--set", "train.epochs=4")
    record = installed.record("run", "--method", METHODS[name], *small, "--runs", "one")
    assert record["versions"][f"{project(name)['name']}:{name}"] == "0.1.0"
    assert record["protocol"]["n_queries"] == 192
    losses = [event["loss"] for event in installed.log("one")]
    assert sum(losses[-4:]) < sum(losses[:4])

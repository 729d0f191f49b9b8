"""The language gap: mutual information of clusters and sources, whatever the order, by the seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from harness import HarnessError
from harness.engine.gap import TOWER, Source, build_tower, measure, open_sources, summary
from harness.plan.recipe import Layers, resolve_component
from harness.plugins import registry

NOTES = (
    "the quarterly budget was approved",
    "please find attached the minutes of the meeting",
    "interest rates rose by a quarter of a point, again",
    "she bought three kilos of potatoes",
)


def encode(texts: Sequence[str]) -> np.ndarray:
    """Texts that spell their own features."""
    return np.array([[float(value) for value in text.split()] for text in texts])


def cloud(centre: float, count: int, seed: int) -> list[str]:
    """Points of unit variance around ``(centre, 0, 0, 0)``, as texts."""
    points = np.random.default_rng(seed).normal(size=(count, 4)) + np.array([centre, 0, 0, 0])
    return [" ".join(f"{value:.6f}" for value in point) for point in points]


def test_sources_far_apart():
    """Two clouds that do not touch are told apart in every draw: all information is shared."""
    gap = measure(cloud(-20, 300, 1), cloud(20, 300, 2), encode, samples=200, draws=4, seed=0)
    assert gap.values == pytest.approx([1.0] * 4, abs=1e-12)
    assert gap.table == ((800, 0), (0, 800))


def test_one_source_twice():
    """Two draws from the same texts share next to nothing with any clusters."""
    texts = cloud(0, 2000, 3)
    gap = measure(texts, texts, encode, samples=1000, draws=5, seed=0)
    assert 0 <= gap.spread.mean < 0.005
    assert gap.spread.n == 5


def test_value_follows_from_the_table():
    """The figure is mutual information over the mean of both entropies, counted from the table."""
    gap = measure(cloud(-1, 400, 4), cloud(1, 400, 5), encode, samples=300, draws=1, seed=2)
    shares = np.array(gap.table) / np.sum(gap.table)
    sides, clusters = shares.sum(1), shares.sum(0)
    shared = sum(
        shares[i, j] * math.log(shares[i, j] / sides[i] / clusters[j]) for i in (0, 1) for j in (0, 1)
    )
    entropies = [-sum(p * math.log(p) for p in part) for part in (sides, clusters)]
    assert gap.values[0] == pytest.approx(shared / np.mean(entropies), abs=1e-9)
    assert 0.1 < gap.values[0] < 0.9


def test_order_does_not_matter():
    """Exchanging the sources, or the texts within one, changes nothing but the table's order."""
    a, b = cloud(-1, 250, 6), cloud(1, 150, 7)
    gap = measure(a, b, encode, samples=100, draws=3, seed=1)
    other = measure(b[::-1], a, encode, samples=100, draws=3, seed=1)
    assert other.values == gap.values
    assert other.table == tuple(row[::-1] for row in gap.table[::-1])


def test_seed_decides():
    """One seed gives one result, another seed other draws."""
    a, b = cloud(-1, 300, 8), cloud(1, 300, 9)
    results = [measure(a, b, encode, samples=50, draws=4, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1]
    assert results[0].values != results[2].values
    assert len(set(results[0].values)) > 1


def test_shorter_source_limits_the_draw():
    """As many texts are drawn from the longer source as the shorter one has."""
    gap = measure(cloud(-9, 500, 1), cloud(9, 20, 2), encode, samples=100, draws=2, seed=0)
    assert gap.samples == 20
    assert [sum(row) for row in gap.table] == [40, 40]


def test_texts_that_are_all_alike():
    """What cannot be parted shares nothing with its source."""
    assert measure(["1 1"] * 9, ["1 1"] * 9, encode, samples=5, draws=2, seed=0).values == (0.0, 0.0)


def test_sources_are_opened_by_what_they_are(tmp_path, monkeypatch):
    """Data sets by name, split and source; captions by their file's form; other files by line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("one, two\n\n  three\n")
    (tmp_path / "captions.csv").write_text('video_id,sentence\nv1,"one, two"\nv2,three\n')
    (tmp_path / "shapes").write_text("first\nsecond\n")
    names = ("notes.txt", "captions.csv", "./shapes", "shapes", "shapes/test", "shapes/test/text")
    found = [source.texts for source in open_sources(names, (), registry())]
    assert found[0] == found[1] == ("one, two", "three")
    assert found[2] == ("first", "second")
    assert len(found[3]) > len(found[4]) == 192
    assert found[5] == found[4]


@pytest.mark.parametrize(
    ("names", "roots", "said"),
    [
        (("shapes", "nowhere.txt"), (), "nowhere.txt is neither a file nor a data set"),
        (("shapes", "shapes/val"), (), "no split 'val'"),
        (("shapes", "shapes/test/speech"), (), "no text source 'speech'"),
        (("shapes", "short.txt"), (), "short.txt has 1 texts"),
        (("short.txt", "short.txt"), ("here",), "does not say whose it is"),
        (("msrvtt", "didemo"), ("here",), "does not say whose it is"),
        (("msrvtt", "shapes"), ("didemo=here",), "didemo is not compared"),
        (("msrvtt", "shapes"), ("DiDeMo=here",), "DiDeMo is not compared"),
        (("msrvtt", "shapes"), ("msrvtt=nowhere",), "the data root of 'msrvtt' is no folder"),
    ],
)
def test_sources_that_cannot_be_opened(tmp_path, monkeypatch, names, roots, said):
    """What is no source of texts, or of whom a root is not said, is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("one line\n")
    with pytest.raises(HarnessError, match=said) as caught:
        open_sources(names, roots, registry())
    assert caught.value.hint


def test_a_data_set_may_go_by_an_alias(tmp_path):
    """Name and alias are one data set, as a source and as the owner of a root."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        texts = f"video_id,sentence\nv0,{name} one\nv1,{name} two\n"
        (tmp_path / name / "MSRVTT_JSFUSION_test.csv").write_text(texts)
    for names in (("msrvtt", "MSRVTT"), ("MSR-VTT", "msrvtt")):
        asked = [f"{name}/test-1k-A" for name in names]
        for root in (f"MSRVTT={tmp_path / 'a'}", f"msrvtt={tmp_path / 'a'}", str(tmp_path / "a")):
            sources = open_sources(asked, (root,), registry())
            assert [source.texts for source in sources] == [("a one", "a two")] * 2
            assert [source.name for source in sources] == asked


def test_tower_where_none_is_named():
    """The default tower is one that the installed backbones provide, with weights that it can have."""
    found = resolve_component(TOWER, "backbones", ("model", "backbone"), Layers(), registry())
    assert found["pretrained"] == TOWER["pretrained"]


@pytest.mark.parametrize("pretraining", ["weights:mine.safetensors", "mine.safetensors"])
def test_weights_are_called_so_once(pretraining):
    """Where the tower came from is told in words, whether or not it is a file."""
    gap = measure(cloud(-9, 9, 1), cloud(9, 9, 2), encode, samples=5, draws=1, seed=0)
    tower = SimpleNamespace(name="tiny", pretraining=pretraining)
    page = summary([Source("a", ("x", "y")), Source("b", ("x", "y"))], tower, gap)
    assert "text tower tiny, weights mine.safetensors; 5 texts of each" in page


def test_only_the_tower_can_be_set():
    """A setting outside the text tower would have no effect, so it is refused."""
    with pytest.raises(HarnessError, match="only the text tower"):
        build_tower("tiny", "", ("train.lr=1",), 0, registry())


def test_command_from_data_set_and_file_to_figure(cli, workplace):
    """The command compares a data set's captions with a text file, the same for the same seed."""
    (workplace / "notes.txt").write_text("\n".join(f"{text} {n}" for n in range(20) for text in NOTES))
    asked = ("data", "gap", "shapes/train", "notes.txt", "--backbone", "tiny", "--draws", "3")
    done = cli(*asked, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sources"] == [{"name": "shapes/train", "texts": 1152}, {"name": "notes.txt", "texts": 80}]
    assert (found["samples"], len(found["draws"])) == (80, 3)
    assert found["nmi"] == pytest.approx(np.mean(found["draws"])) and 0 <= found["nmi"] <= 1
    assert cli(*asked, "--json").stdout == done.stdout
    shown = cli(*asked).stdout
    assert f"NMI {found['nmi']:.4f} ± {found['spread']:.4f}" in shown
    assert "tiny, weights none (random)" in shown

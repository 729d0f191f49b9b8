"""Pages of runs: what a run retrieved, the report, and the failure atlas."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from PIL import Image

from harness.data import Clip
from harness.errors import HarnessError
from harness.report.atlas import atlas, check_sides, group
from harness.report.folder import open_folder
from harness.report.pictures import FRAMES, Pictures
from harness.report.run_page import run_page
from harness.report.scores import histogram
from harness.results import retrieved
from harness.results.compare import compare
from harness.results.ranks import Counts, ranks
from harness.results.record import Example, Metrics, Probe, Protocol, QueryCounts, Resampling
from harness.results.retrieved import TOP, best_clips
from harness.results.sides import Side
from tests.support.clips import number_of, write_clip
from tests.support.run_folders import write_run

SIZE = 40
#: What must come out as text, wherever it stands.
EVIL = "<script>alert('x')</script>\"&"
GALLERY = [f"clip{n}{EVIL if n == 3 else ''}" for n in range(SIZE)]
TEXTS = [f"a dog number {n}{EVIL if n == 3 else ''}" for n in range(SIZE)]


def _scores(seed: int, lift: float = 0.3) -> np.ndarray:
    """Scores with ties: a few levels only."""
    rng = np.random.default_rng(seed)
    return np.round(rng.random((SIZE, SIZE)) + lift * np.eye(SIZE), 1)


def _run(folder, seed=0, **changes):
    write_run(folder, _scores(seed), texts=TEXTS, gallery=GALLERY, **changes)
    return open_folder(folder)


class _Tags(HTMLParser):
    """The names of all elements of a page, what they refer to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names, self.addresses, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("missing", [(), (2, 7), tuple(range(35))])
def test_the_best_clips_of_a_query(missing, monkeypatch):
    """The clips kept are the first of a stable full sort without the missing ones, block after block, ties too."""
    monkeypatch.setattr(retrieved, "BLOCK_ELEMENTS", 3 * SIZE)
    scores, gone = _scores(1), np.isin(np.arange(SIZE), missing)
    rows = [(str(n), text, GALLERY[n]) for n, text in enumerate(TEXTS)]
    found = best_clips(scores, gone, rows, GALLERY)
    for row, query in zip(scores, found.queries, strict=True):
        order = [place for place in np.argsort(-row, kind="stable") if place not in missing][:TOP]
        assert list(query.found) == order
        assert np.allclose(query.scores, row[order], rtol=1e-5)


def test_what_was_retrieved_agrees_with_the_ranks(tmp_path):
    """The right clip stands among those kept where its rank says, within its ties."""
    run = _run(tmp_path / "run", lost=5)
    counts = Counts.unpack(run.record.queries.t2v)
    seen = 0
    for query, better, tied in zip(run.found.queries, counts.better, counts.tied, strict=True):
        clips = run.found.clips(query)
        if query.clip in clips:
            assert better <= clips.index(query.clip) < better + tied
            seen += 1
        else:
            assert better + tied > TOP or query.clip == GALLERY[5]
    assert seen > 10


@pytest.mark.parametrize("damage", ["cut", "another gallery", "beyond"])
def test_a_file_of_something_else_is_refused(tmp_path, damage):
    """A damaged file of what was retrieved, or another run's, is one clear error."""
    run = _run(tmp_path / "run")
    file = tmp_path / "run" / retrieved.RETRIEVED
    other = msgspec.structs.replace(run.found, gallery=(*GALLERY[1:], "else"))
    query = msgspec.structs.replace(run.found.queries[0], found=(SIZE,), scores=(0.0,))
    beyond = msgspec.structs.replace(run.found, queries=(query, *run.found.queries[1:]))
    contents = {
        "cut": file.read_bytes()[:50],
        "another gallery": retrieved.dumps(other),
        "beyond": retrieved.dumps(beyond),
    }
    file.write_bytes(contents[damage])
    with pytest.raises(HarnessError, match=re.escape(str(file))):
        open_folder(tmp_path / "run")


def test_a_report_is_text_where_data_is_text(tmp_path):
    """Ids, texts and names with markup in them add no element to a page, and are all to be read there."""
    run = _run(tmp_path / "run", lost=3, note=EVIL)
    tags = _Tags(run_page(run, Pictures(), EVIL))
    assert "script" not in tags.names
    assert tags.text.count(EVIL) >= 4  # as query, clip, missing clip, note and reason


def test_a_report_has_every_part(tmp_path):
    """Scores with both kinds of interval, probes, curves, missing clips and the worst query are on the page."""
    counts = QueryCounts.of([0] * len(TEXTS), [1] * len(TEXTS), len(GALLERY))
    lifted = Probe(metrics=Metrics(t2v={"R@1": 12.5, "MdR": 3.0}), queries=counts)
    run = _run(
        tmp_path / "run",
        lost=5,
        probes={"shuffled": lifted},
        resampling=Resampling(samples=100, seed=0, intervals={"t2v.MdR": (1.25, 9.75)}),
    )
    page = run_page(run, Pictures(), "")
    text = _Tags(page).text
    for part in ("1.2 to 9.8", "shuffled", "Loss: 30 steps", "Learning rate", "not found", f"rank {SIZE} of"):
        assert part in text
    assert page.count("<svg") == 5
    worst = int(np.argmax(ranks(Counts.unpack(run.record.queries.t2v))))
    assert page.index(f">{TEXTS[worst]}</p>") == min(
        page.index(f">{text}</p>") for text in TEXTS if f">{text}</p>" in page
    )


def test_bars_have_every_query():
    """The counts of a histogram add up to the queries, whatever the gallery and the half ranks."""
    for gallery in (1, 2, 7, 100, 501, 3000):
        places = np.random.default_rng(gallery).integers(2, 2 * gallery + 1, 500) / 2
        assert sum(count for _, count in histogram(places, gallery)) == 500


def test_examples_of_tasks_without_ranks(tmp_path):
    """What was asked, said and meant stands on the page, and an accuracy has Wilson's interval of its outcomes."""
    record = dict(
        task="video_qa",
        queries=None,
        protocol=Protocol(name="q", query_unit="question", n_queries=4, n_gallery=SIZE),
        metrics=Metrics(figures={"accuracy": 75.0}, main="accuracy"),
        evidence={"right": "1 1 0 1"},
        examples=(Example(clip=GALLERY[3], asked="what is it", said="a cat", meant="a dog"),),
    )
    text = _Tags(run_page(_run(tmp_path / "run", **record), Pictures(), "")).text
    for part in (GALLERY[3], "what is it", "a cat", "a dog", "30.1 to 95.4"):
        assert part in text


def test_strips_show_the_clip(tmp_path):
    """The picture of a clip in the page is its first, middle and last frame; a clip that is not there has none."""
    write_clip(tmp_path / "a.mp4", frames=61)
    pictures = Pictures({"a": Clip("a", tmp_path / "a.mp4"), "b": Clip("b", tmp_path / "b.mp4")})
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', pictures.tile("a", "meant"))
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).resize((3 * 96 + 2, 64)))
    numbers = [number_of(strip[:, n * 97 : n * 97 + 96]) for n in range(FRAMES)]
    assert numbers == [0, 30, 60]
    assert "<img" not in pictures.tile("b", "1")


def test_groups_of_an_atlas_are_those_of_the_comparison(tmp_path):
    """Who solves what agrees with `harness compare`, and every query is in one group."""
    a, b = _run(tmp_path / "a", 0), _run(tmp_path / "b", 1)
    check_sides(a, b)
    found = group(a, b)
    (compared,) = compare(Side((a.record,)), Side((b.record,)), ("t2v",))
    assert sorted(found.only_a) == list(compared.only_a) != []
    assert sorted(found.only_b) == list(compared.only_b) != []
    everything = [*found.only_a, *found.only_b, *found.neither, *found.both]
    assert sorted(everything) == list(range(SIZE))


def test_an_atlas_shows_both_sides(tmp_path):
    """A query that only A solves is on the page with both ranks and what B found first; markup stays text."""
    a, b = _run(tmp_path / "a", 0), _run(tmp_path / "b", 1)
    tags = _Tags(atlas(a, b, Pictures(), EVIL))
    first = group(a, b).only_a[0]
    assert "script" not in tags.names and EVIL in tags.text
    assert TEXTS[first] in tags.text
    case = tags.text[tags.text.index(TEXTS[first]) :]
    rank = ranks(Counts.unpack(b.record.queries.t2v))[first]
    assert f"B: rank {rank:g}" in case
    assert b.found.clips(b.found.queries[first])[0] in case


def test_an_atlas_says_what_is_missing(tmp_path):
    """A run that left no file of what it retrieved, and a task without ranks, are refused by name."""
    a, b = _run(tmp_path / "a", 0), _run(tmp_path / "b", 1)
    (tmp_path / "b" / retrieved.RETRIEVED).unlink()
    with pytest.raises(HarnessError, match=f"{tmp_path / 'b'} has no {retrieved.RETRIEVED}"):
        check_sides(a, open_folder(tmp_path / "b"))
    other = msgspec.structs.replace(b.found, queries=tuple(reversed(b.found.queries)))
    (tmp_path / "b" / retrieved.RETRIEVED).write_bytes(retrieved.dumps(other))
    with pytest.raises(HarnessError, match="another order"):
        check_sides(a, open_folder(tmp_path / "b"))


def test_pages_fetch_nothing(tmp_path):
    """No element of a report or an atlas refers to anything but data in the page, and its policy forbids it."""
    write_clip(tmp_path / "a.mp4", frames=5)
    pictures = Pictures(dict.fromkeys(GALLERY, Clip("a", tmp_path / "a.mp4")))
    a, b = _run(tmp_path / "a", 0), _run(tmp_path / "b", 1)
    for page in (run_page(a, pictures, ""), atlas(a, b, pictures, "")):
        tags = _Tags(page)
        assert len(tags.addresses) > 20 and all(each.startswith("data:image/jpeg") for each in tags.addresses)
        assert "default-src 'none'" in page and "url(" not in page and "@import" not in page

"""Scores from elsewhere: a matrix becomes a record that follows from it and says what it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness import HarnessError, ProtocolSpec
from harness.data import Caption, Clip, Dataset
from harness.plugins import registry
from harness.results import imported, ranks, softmax
from harness.results.digest import sha256_file, texts_hash
from harness.results.legacy_ranks import legacy_expand
from harness.results.record import ResultRecord
from harness.results.record_file import load
from harness.results.resampling import resampled

SIDE = 12
#: A protocol that states no counts, so that a matrix of any size may be its test.
ASKED = ("--dataset", "folder", "--method", "theirs", "--one-text-per-video")


def matrix(seed: int = 0, levels: int = 0) -> np.ndarray:
    """Scores ``[SIDE, SIDE]`` in which the diagonal stands out a little; with few ``levels`` many tie."""
    scores = np.random.default_rng(seed).random((SIDE, SIDE)) + 0.3 * np.eye(SIDE)
    return np.floor(scores * levels) / levels if levels else scores


@pytest.fixture
def saved(workplace) -> Callable[..., Path]:
    """Write a matrix as the working folder's ``scores.npy``, or under another name."""

    def call(scores: np.ndarray, name: str = "scores.npy") -> Path:
        np.save(workplace / name, scores)
        return workplace / name

    return call


@pytest.fixture
def taken(cli, workplace) -> Callable[..., ResultRecord]:
    """Import a file; returns the record as it lies in the leaderboards."""

    def call(*arguments: object) -> ResultRecord:
        done = cli("import-scores", *arguments, "--json")
        assert done.exit_code == 0, done.stderr
        printed = json.loads(done.stdout)
        (written,) = (
            path
            for path in (workplace / "leaderboards" / "results").rglob("*.json")
            if json.loads(path.read_text()) == printed
        )
        return load(written)

    return call


@pytest.mark.parametrize("form", ["npy", "npz", "csv", "txt"])
def test_every_form_gives_the_same_counts(form, taken, workplace):
    """Counts of every query are those of the matrix, and the record says which file it was."""
    scores, file = matrix(), workplace / f"scores.{form}"
    write = {"npy": np.save, "npz": np.savez, "txt": np.savetxt}.get(form)
    write(file, scores) if write else np.savetxt(file, scores, delimiter=",")
    record = taken(file, *ASKED, "--train-split", "none", "--selection", "last", "--note", "Theirs.")
    gold = np.arange(SIDE)
    assert record.queries.t2v == ranks.text_to_video(scores, gold).pack()
    assert record.queries.v2t == ranks.video_to_text(scores, gold)[0].pack()
    assert record.metrics.t2v == ranks.metrics(ranks.text_to_video(scores, gold))
    assert record.kind == "measured" and record.commit is None and record.train_split == "none"
    assert record.environment == {"imported_file": file.name, "imported_sha256": sha256_file(file)}
    assert record.note == "Theirs."
    assert record.resampling == resampled(record.queries, record.ties)
    for page in ("folder.md", "README.md"):
        text = (workplace / "leaderboards" / page).read_text()
        assert f"Scores imported from {file.name} (SHA-256 " in text and "were not verified" in text


def test_rows_of_videos_are_turned(saved, taken):
    """The transpose with the other direction is the same test."""
    scores = matrix()
    turned = taken(saved(scores.T, "turned.npy"), *ASKED, "--direction", "video_rows")
    assert turned.queries.t2v == ranks.text_to_video(scores, np.arange(SIDE)).pack()


def test_ties_and_post_processing_have_tables_of_their_own(cli, saved, taken, workplace):
    """One file under every policy is as many records, each with the figures of its own policy, and the
    pages follow from them."""
    scores = matrix(levels=4)
    counts = ranks.text_to_video(scores, np.arange(SIDE))
    file = saved(scores)
    for ties in ("average", "optimistic", "pessimistic", "average_ce"):
        record = taken(file, *ASKED, "--ties", ties)
        assert record.ties == ties and record.metrics.t2v == ranks.metrics(counts, ties=ties)
    assert len({str(ranks.metrics(counts, ties=t)) for t in ("average", "optimistic", "pessimistic")}) == 3
    ten = "evaluation.postprocess.temperature=10"
    processed = taken(file, *ASKED, "--post", "dsl", "--set", ten)
    over_texts = softmax.dual_softmax(scores, 10.0, "texts")
    assert processed.queries.t2v == ranks.text_to_video(over_texts, np.arange(SIDE)).pack()
    assert "temperature=10" in processed.postprocess
    page = (workplace / "leaderboards" / "folder.md").read_text()
    assert page.count("\n## ") == 5
    assert cli("leaderboard", "--check").exit_code == 0


def test_the_legacy_mode_warns_and_records_nothing(cli, saved, workplace):
    """It prints what the copied code would, in both directions, and says that ties are counted twice."""
    scores = matrix(levels=4)
    done = cli("import-scores", saved(scores), *ASKED, "--ties", "legacy", "--json")
    assert done.exit_code == 0
    expected = [legacy_expand(table, np.arange(SIDE)) for table in (scores, scores.T)]
    assert list(json.loads(done.stdout).values()) == expected
    assert "warning" in done.stderr and f"{expected[1]['n']} in v2t, of {SIDE} queries" in done.stderr
    assert not (workplace / "leaderboards").exists()


def test_seeds_are_one_row_and_no_file_hides_another(cli, saved, taken, workplace):
    """Other seeds join the row; other scores of a seed that is there are refused; the same file again
    takes its own place."""
    for seed in (0, 1):
        taken(saved(matrix(seed), f"{seed}.npy"), *ASKED, "--seed", seed)
    page = (workplace / "leaderboards" / "folder.md").read_text()
    assert "2 (0, 1)" in page
    before = sorted((workplace / "leaderboards").rglob("*.json"))
    refused = cli("import-scores", saved(matrix(2), "2.npy"), *ASKED, "--seed", 1)
    assert refused.exit_code == 2 and "the scores of another file, 1.npy" in refused.stderr
    taken(workplace / "1.npy", *ASKED, "--seed", 1)
    assert sorted((workplace / "leaderboards").rglob("*.json")) == before


class Two(Dataset):
    """Two clips, of which the second has two texts that stand before the first one's."""

    def splits(self) -> Sequence[str]:
        return ("test",)

    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip("a", None), Clip("b", None)]

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        return [Caption("b0", "b", "red"), Caption("b1", "b", "blue"), Caption("a0", "a", "grey")]


def two(**stated: object) -> ProtocolSpec:
    return ProtocolSpec(name="two", summary="", train="train", test="test", **stated)


def test_the_data_set_says_which_text_is_whose():
    """Gold and identity come from its files in their order, and a stated hash is compared."""
    layout = imported.layout_of(Two(), two())
    assert layout.gold.tolist() == [1, 1, 0]
    own = texts_hash([("b0", "red", "b"), ("b1", "blue", "b"), ("a0", "grey", "a")], ["a", "b"])
    assert (layout.protocol.ids_texts_hash, layout.protocol.hash_status) == (own, "computed")
    for stated, status in ((own, "verified"), ("0" * 64, "unverified")):
        assert imported.layout_of(Two(), two(texts_hash=stated)).protocol.hash_status == status


def test_a_refused_score_is_named_by_its_text_and_clip():
    """With the data set at hand a NaN is named as the annotations name it."""
    scores = imported.Scores(np.array([[0.1, 0.2], [0.3, np.nan], [0.5, 0.6]]), "x.npy", "0" * 64)
    with pytest.raises(HarnessError, match=r"1 of 6 scores in x\.npy are NaN.*b1 and b"):
        imported.check_scores(scores, imported.layout_of(Two(), two()))


def test_a_masked_pair_is_below_every_number(saved, taken):
    """Minus infinity counts as a number below all others would: a mask of it leaves the ranks of what is
    unmasked, and masked pairs tie."""
    scores = matrix()
    masked = scores < 0.5
    by_mask = taken(saved(np.where(masked, -np.inf, scores), "mask.npy"), *ASKED, "--method", "mask")
    by_number = taken(saved(np.where(masked, -1.0, scores), "number.npy"), *ASKED, "--method", "number")
    assert masked.diagonal().any() and by_mask.queries == by_number.queries


@pytest.mark.parametrize("place", ["boards", "boards/own/results"])
def test_leaderboards_that_cannot_be_written_are_refused(place, cli, saved, workplace):
    """A file in the place of a folder that records go to is one line, and nothing is written."""
    file = saved(matrix())
    (workplace / place).parent.mkdir(parents=True, exist_ok=True)
    (workplace / place).write_text("in the way")
    before = sorted(workplace.rglob("*"))
    assert_refused(
        cli("import-scores", file, *ASKED, "--leaderboards", "boards/own"),
        "records cannot be written to .*: Not a directory",
    )
    assert sorted(workplace.rglob("*")) == before


def test_a_generated_data_set_needs_no_clips(taken, saved, own_places):
    """Its texts are known, so the row is of the same protocol as a run's."""
    (protocol,) = (p for p in registry().find("datasets", "shapes")[0].protocols if "retrieval" in p.tasks)
    side = 192
    record = taken(saved(np.eye(side)), "--dataset", "shapes", "--method", "theirs")
    assert record.protocol.name == protocol.name and record.protocol.n_queries == side
    assert record.protocol.hash_status != "unverified" and record.metrics.t2v["R@1"] == 100.0


NAN = np.where(np.eye(SIDE) > 0, np.nan, 0.5)
ONE = ASKED[:-1]
BAD = {
    "shape": (np.ones((SIDE, SIDE + 1)), ASKED, "not one text for each clip"),
    "counts": (matrix(), ("--dataset", "msrvtt", *ASKED[2:]), "12 texts x 12 clips, but 1k-A has 1000 texts"),
    "rows": (np.ones((3, 192)), ("--dataset", "shapes", "--method", "m"), "3 texts x 192 clips, .* 192 x 192"),
    "nan": (NAN, ASKED, "12 of 144 scores in scores.npy are NaN, the first of text 0, clip 0"),
    "overflow": (np.where(np.eye(SIDE) > 0, np.inf, 0.5), ASKED, "12 of 144 scores in scores.npy are plus infinity, the first of text 0, clip 0"),
    "masked post": (np.where(np.eye(SIDE) > 0, 0.5, -np.inf), (*ASKED, "--post", "dsl"), "needs finite scores"),
    "vector": (np.ones(SIDE), ASKED, r"an array of shape \[12\]"),
    "words": (np.array([["a", "b"]]), ASKED, "values of type <U1"),
    "objects": (np.array([[None, "b"]]), ASKED, "holds no matrix of numbers"),
    "data set": (matrix(), ("--dataset", "shape", *ASKED[2:]), "unknown dataset 'shape'"),
    "protocol": (matrix(), (*ASKED, "--protocol", "1k-C"), "no protocol '1k-C'"),
    "task": (matrix(), ("--dataset", "msrvtt", *ASKED[2:], "--protocol", "qa"), "not for retrieval"),
    "post": (matrix(), (*ASKED, "--post", "softmax"), "unknown postprocessor 'softmax'"),
    "option": (matrix(), (*ASKED, "--set", "evaluation.postprocess.scale=2"), "unknown key"),
    "method": (matrix(), (*ASKED, "--method", "a/b"), "'a/b' cannot be used as a file name"),
    "split": (matrix(), (*ASKED, "--train-split", "None"), "no training split 'None'"),
    "no data": (matrix(), ("--dataset", "msrvtt", "--method", "m"), "needs a data root"),
    "both": (matrix(), (*ASKED, "--data-root", "."), "whose data set is not at hand"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_counted_is_refused_in_one_line(name, cli, saved, workplace):
    """Exit code 2, one error and one hint, and nothing is written."""
    scores, arguments, says = BAD[name]
    done = cli("import-scores", saved(scores), *arguments)
    assert_refused(done, says)
    assert not (workplace / "leaderboards").exists()


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("absent.npy", None, "cannot read .*absent.npy"),
        ("scores.csv", b"a,b\n1,2\n", "scores.csv holds no matrix of numbers"),
        ("scores.txt", b"1 2\n3\n", "scores.txt holds no matrix of numbers"),
        ("scores.csv", b"", r"an array of shape"),
        ("scores.npy", b"\x93NUMPY", "holds no matrix of numbers"),
        ("scores.npz", b"PK\x03\x04 not a zip", "holds no matrix of numbers"),
        ("scores.pt", b"", "is of no known kind"),
    ],
)
def test_a_file_that_holds_no_matrix_is_refused(file, content, says, cli, workplace):
    """Whatever is wrong with it, the message names the file."""
    if content is not None:
        (workplace / file).write_bytes(content)
    assert_refused(cli("import-scores", workplace / file, *ASKED), says)


def test_a_file_of_two_arrays_is_refused(cli, workplace):
    """Which of them holds the scores is not guessed."""
    np.savez(workplace / "two.npz", a=matrix(), b=matrix())
    assert_refused(cli("import-scores", workplace / "two.npz", *ASKED), "2 arrays: a, b")


def assert_refused(done, says: str) -> None:
    assert done.exit_code == 2 and done.stdout == "", done.output
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    assert re.search(says, error), error


def test_importing_scores_needs_no_torch(saved, workplace):
    """Neither counting nor post-processing loads torch or what decodes videos."""
    program = (
        "import sys\nfrom harness.cli import main\n"
        f"main(['import-scores', {str(saved(matrix()))!r}, *{ASKED!r}, '--post', 'dsl'], standalone_mode=False)\n"
        "print('LOADED', *sorted({'torch', 'ray', 'av', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"

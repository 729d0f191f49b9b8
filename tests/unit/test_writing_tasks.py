"""Captioning and questions: what counts, out of how many, and what the record can prove."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch

from harness.data import Caption, Clip, Question
from harness.engine import Evaluation
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel, build_backbone, make
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness_standard.caption_metrics import bleu, evaluate
from harness_standard.caption_metrics.bleu import BleuCounts
from harness_standard.caption_metrics.evidence import figures as audited
from tests.support.writers import NoiseBatches, PixelWriter, small_vlab, spelling

ALONE = Workers(0, 1, torch.device("cpu"))
#: Of six clips one is missing and one is damaged.
MISSING, DAMAGED = "clip1", "clip4"
UNREADABLE = {MISSING: "not found", DAMAGED: "no key frame"}


class SixClips:
    """A data set of six clips, two captions and two questions each; ``train`` has answers to choose from."""

    def __init__(self, captions=None, questions=None, answers=()) -> None:
        names = [f"clip{number}" for number in range(6)]
        self.gallery = [Clip(name, None if name == MISSING else Path(f"{name}.mp4")) for name in names]
        self.texts = captions or [
            Caption(f"{name}-{n}", name, f"a{n} dog number{name}") for name in names for n in range(2)
        ]
        self.asked = (
            [
                Question(f"{name}-{kind}", name, f"{kind} is it", "w5", kind)
                for name in names
                for kind in ("what", "who")
            ]
            if questions is None
            else questions
        )
        self.answers = [Question(f"t{n}", "train0", "what", answer) for n, answer in enumerate(answers)]

    def clips(self, split):
        return self.gallery

    def captions(self, split, source="text"):
        return self.texts

    def questions(self, split):
        return self.asked if split == "test" else self.answers


def _scored(
    task: str,
    dataset: SixClips,
    *settings: str,
    spoilt: frozenset[str] = frozenset(),
    unreadable: Mapping[str, str] = UNREADABLE,
    drop: bool = False,
    model: VideoTextModel | None = None,
):
    """The task's result on ``model``, or on one that writes what follows from pixels and question."""
    chosen = (*settings, "evaluation.batch_size=2", *(["evaluation.missing=drop"] if drop else []))
    request = Request(method="vlab_tiny", dataset="shapes", task=task, settings=chosen)
    plan = build_plan(request, registry())[0]
    if model is None:
        backbone = build_backbone({"name": "tiny"}, registry(), load=False)
        model = VideoTextModel(backbone, PixelWriter(spelling(), spoilt))
    damaged = {name: reason for name, reason in unreadable.items() if name != MISSING}
    batches = NoiseBatches(model.writer.writes, damaged)
    evaluation = Evaluation(plan, model, dataset, batches, ALONE, registry())
    made = make(plan.recipe.evaluation.task | {"name": plan.task}, "tasks", registry())
    return made.evaluate(evaluation)


@cache
def _answers() -> dict[str, str]:
    """What the model says to each question about a readable clip; one at a time, as examples are few."""
    asked = [q for q in SixClips().asked if q.clip_id not in UNREADABLE]
    return {q.id: _scored("video_qa", SixClips(questions=[q])).examples[0].said for q in asked}


def _knowing(wrong: Collection[str] = ()) -> SixClips:
    """The same clips, with what the model says as the right answer but for the ``wrong`` clips; nothing is
    right for those that cannot be read."""
    answers = _answers()
    asked = [
        Question(q.id, q.clip_id, q.text, "no" if q.clip_id in wrong else answers.get(q.id, ""), q.kind)
        for q in SixClips().asked
    ]
    return SixClips(questions=asked)


def test_questions_of_unreadable_clips_are_wrong():
    """With all readable clips answered 8 of 12 questions are right, even where the unreadable clips'
    reference is empty; by kind 4 of 6."""
    found = _scored("video_qa", _knowing())
    share = pytest.approx(100 * 8 / 12)
    assert found.metrics.figures == {"accuracy": share, "accuracy, what": share, "accuracy, who": share}
    assert found.score == share and found.missing == UNREADABLE
    assert (found.protocol.n_queries, found.protocol.n_gallery) == (12, 6)


def test_dropped_questions_are_counted_nowhere():
    """With ``drop`` the same answers are 8 of 8, and the record says 8 questions, 4 clips and which are
    missing; its texts are others, so it is never taken for the whole test."""
    whole, found = _scored("video_qa", _knowing()), _scored("video_qa", _knowing(), drop=True)
    assert found.metrics.figures["accuracy"] == 100 and found.missing == UNREADABLE
    assert (found.protocol.n_queries, found.protocol.n_gallery) == (8, 4)
    assert found.protocol.ids_texts_hash != whole.protocol.ids_texts_hash


@pytest.mark.parametrize("drop", [False, True])
def test_accuracies_follow_from_the_evidence(drop):
    """The figures come out of the columns of right answers and kinds alone."""
    found = _scored("video_qa", _knowing({"clip2", "clip3"}), drop=drop)
    right, kinds = (found.evidence[name].split() for name in ("right", "kind"))
    assert len(right) == len(kinds) == found.protocol.n_queries and 0 < right.count("1") < len(right)
    assert found.metrics.figures["accuracy"] == 100 * right.count("1") / len(right)
    for kind in ("what", "who"):
        own = [ok for ok, of in zip(right, kinds, strict=True) if of == kind]
        assert found.metrics.figures[f"accuracy, {kind}"] == 100 * own.count("1") / len(own)


def test_answers_are_compared_in_lower_case_and_single_blanks():
    """A reference in capitals with wide gaps is met; another word is not."""
    dataset = _knowing()
    wide = [
        Question(q.id, q.clip_id, q.text, f"  {q.answer.upper()}  ".replace(" ", "  "), q.kind)
        for q in dataset.asked
    ]
    assert _scored("video_qa", SixClips(questions=wide)).score == _scored("video_qa", dataset).score > 0
    other = [Question(q.id, q.clip_id, q.text, f"{q.answer} x", q.kind) for q in dataset.asked]
    assert _scored("video_qa", SixClips(questions=other)).score == 0


def test_the_likeliest_candidate_is_the_answer():
    """Of the three most frequent training answers each question gets the one of the highest summed log
    probability, and no answer but those."""
    answers = ["w", "w", "q", "q", "z", "z", "rare"]
    found = _scored("video_qa", SixClips(answers=answers), "evaluation.task.candidates=3")
    examples = [example for example in found.examples if example.clip not in UNREADABLE]
    assert len({example.said for example in examples}) > 1
    writer, tokenizer, batches = PixelWriter(spelling()), spelling(), NoiseBatches(spelling())
    for example in examples:
        memory = writer.encode_with_memory(None, batches.videos([Clip(example.clip, None)])).memory
        prompt = batches.texts([Caption("", "", example.asked)]).encoding("spelling")
        scores = {}
        for answer in ("w", "q", "z"):
            word, end = tokenizer.encode([answer], 3).tokens[0, 1:]
            started = writer.start(memory, prompt)
            first = started.logits().log_softmax(-1)[0, word]
            started.append(word[None])
            scores[answer] = first + started.logits().log_softmax(-1)[0, end]
        assert example.said == max(scores, key=scores.get)


def test_of_equally_frequent_candidates_the_first_by_name_are_taken():
    """One candidate of three that occur once each is the same in any order of the training set."""
    for answers in (["z", "m", "b"], ["m", "b", "z"]):
        found = _scored("video_qa", SixClips(answers=answers), "evaluation.task.candidates=1")
        assert {e.said for e in found.examples} == {"b", ""}


@pytest.mark.parametrize(
    ("dataset", "settings", "told"),
    [
        (SixClips(questions=[]), (), "has no questions"),
        (SixClips(), ("evaluation.task.candidates=3",), "no answers to choose from"),
    ],
)
def test_nothing_to_ask_or_to_choose_is_an_error(dataset, settings, told):
    """A split without questions, and candidates from a training set without answers."""
    with pytest.raises(HarnessError) as caught:
        _scored("video_qa", dataset, *settings)
    assert told in caught.value.message and caught.value.hint


def test_questions_about_unreadable_clips_alone_are_no_test():
    """With ``drop`` and no question left the run ends in one line; otherwise all of them are wrong."""
    only = [q for q in SixClips().asked if q.clip_id in UNREADABLE]
    assert _scored("video_qa", SixClips(questions=only)).score == 0
    with pytest.raises(HarnessError) as caught:
        _scored("video_qa", SixClips(questions=only), drop=True)
    assert "no test clip of shapes/test with a question can be read" in caught.value.message


def test_captions_of_unreadable_clips_are_empty():
    """They stay in the denominator: what the metrics say of the captions with two empty ones is what comes
    out; with ``drop`` the other four are scored alone, and the record says so."""
    dataset = SixClips()
    references = {c.id: [t.text for t in dataset.texts if t.clip_id == c.id] for c in dataset.gallery}
    found, dropped = _scored("captioning", dataset), _scored("captioning", dataset, drop=True)
    captions = {e.clip: e.said for e in found.examples}
    assert list(captions) == [c.id for c in dataset.gallery]
    assert {name for name, text in captions.items() if not text} >= set(UNREADABLE)
    assert any(captions.values())
    for result, scored in (
        (found, captions),
        (dropped, {n: t for n, t in captions.items() if n not in UNREADABLE}),
    ):
        wanted = evaluate(scored, references).corpus
        figures = {k: v for k, v in result.metrics.figures.items() if k != "exact"}
        assert figures == pytest.approx(wanted) and result.score == figures["CIDEr"]
        assert result.missing == UNREADABLE
        assert result.protocol.n_queries == result.protocol.n_gallery == len(scored)


def _with_own_words() -> SixClips:
    """References that hold what the model says of some clips, so that no figure is zero."""
    said = {e.clip: e.said for e in _scored("captioning", SixClips()).examples}
    texts = []
    for number, (name, text) in enumerate(said.items()):
        texts.append(Caption(f"{name}-0", name, f"a dog {name}"))
        texts.append(Caption(f"{name}-1", name, text.upper() if number % 2 else f"{text} and more"))
    texts = [Caption(c.id, c.clip_id, c.text.strip() or "nothing") for c in texts]
    return SixClips(captions=texts)


def test_caption_figures_follow_from_the_evidence():
    """BLEU from summed counts, the others as means of their columns."""
    found = _scored("captioning", _with_own_words())
    figures, columns = found.metrics.figures, {k: v.split() for k, v in found.evidence.items()}
    assert {len(column) for column in columns.values()} == {6}
    counts = []
    for one in columns["bleu"]:
        matches, totals, length, reference = one.split(";")
        counts.append(
            BleuCounts(
                *(tuple(map(int, n.split(","))) for n in (matches, totals)), int(length), int(reference)
            )
        )
    for n, score in enumerate(bleu(counts), start=1):
        assert figures[f"BLEU-{n}"] == pytest.approx(100 * score)
    for name, column in (("ROUGE-L", "rouge"), ("CIDEr", "cider"), ("exact", "exact")):
        assert figures[name] == pytest.approx(100 * sum(map(float, columns[column])) / 6)
    assert audited(found.evidence) == pytest.approx(figures, abs=1e-9)
    assert figures["BLEU-1"] > 0 and figures["CIDEr"] > 0 and 0 < figures["exact"] < 100


def test_a_test_clip_without_reference_is_an_error():
    """It is named before anything is scored."""
    texts = [c for c in SixClips().texts if c.clip_id != "clip3"]
    with pytest.raises(HarnessError) as caught:
        _scored("captioning", SixClips(captions=texts))
    assert "clip3" in caught.value.message


@pytest.mark.parametrize("task", ["captioning", "video_qa"])
def test_a_test_without_a_readable_clip_is_none(task):
    """All clips missing or damaged is an error, with the first of them and its reason."""
    lost = {f"clip{number}": "no key frame" for number in range(6)}
    with pytest.raises(HarnessError) as caught:
        _scored(task, SixClips(), unreadable=lost)
    assert "none of the 6 test clips can be read" in caught.value.message
    assert "clip0 (no key frame)" in caught.value.message


@pytest.mark.parametrize("task", ["captioning", "video_qa"])
def test_a_memory_that_is_no_number_names_its_clip(task):
    """NaN features end the run with the clip's name, and are never written about."""
    with pytest.raises(HarnessError) as caught:
        _scored(task, SixClips(), spoilt=frozenset({"clip3"}))
    assert "clip3" in caught.value.message


@pytest.mark.parametrize(
    ("task", "settings"),
    [("captioning", ()), ("video_qa", ()), ("video_qa", ("evaluation.task.candidates=2",))],
)
def test_a_model_with_a_weight_that_is_no_number_is_not_scored(task, settings):
    """A NaN behind the memory is an error, and never a text."""
    model = VideoTextModel(*small_vlab(stirred=True))
    model.writer.mlm_head.bias.data[7] = torch.nan
    with pytest.raises(HarnessError, match=r"probabilities of the words .* are no numbers"):
        _scored(task, SixClips(answers=["a", "b"]), *settings, model=model)


@pytest.mark.parametrize("task", ["captioning", "video_qa"])
def test_texts_are_cut_where_the_model_has_no_more_room(task):
    """Asked for longer texts than its positions hold, VLAB writes as long as it can."""
    model = VideoTextModel(*small_vlab(stirred=True, positions=8))
    found = _scored(task, SixClips(), "evaluation.task.length=400", model=model)
    assert any(example.said for example in found.examples)


def _spy_on_beams(monkeypatch) -> list[int]:
    seen = []
    start = PixelWriter.start

    def spying(self, memory, prompt=None, width=1, cache="all"):
        seen.append(width)
        return start(self, memory, prompt, width, cache)

    monkeypatch.setattr(PixelWriter, "start", spying)
    return seen


def test_options_reach_the_task(monkeypatch):
    """Two beams by ``--set`` are two rows for each clip, and three by default."""
    seen = _spy_on_beams(monkeypatch)
    _scored("captioning", SixClips(), "evaluation.task.beams=2")
    _scored("captioning", SixClips())
    assert seen == [2, 2, 3, 3]


def test_a_misspelt_option_is_refused(cli, workplace):
    """``evaluation.task.beam`` ends with exit code 2, its place and the option that is meant."""
    run = ("run", "--method", "vlab_tiny", "--dataset", "shapes", "--task", "captioning")
    done = cli(*run, "--set", "evaluation.task.beam=2")
    assert done.exit_code == 2 and "Traceback" not in done.stderr
    assert "evaluation.task.beam" in done.stderr and "beams" in done.stderr


def test_meteor_stands_beside_the_others_where_it_is_installed(monkeypatch):
    """With a scorer in place of the Java program its figure and its column are in the result; without
    one there is neither, and a note says why."""
    from harness_standard.caption_metrics import scores
    from harness_standard.caption_metrics.meteor import MeteorScores

    monkeypatch.setattr(scores, "meteor", lambda hyps, refs: MeteorScores(0.25, [0.5, 0.0] * 3))
    found = _scored("captioning", SixClips())
    assert (
        found.notes == ()
        and found.metrics.figures["METEOR"] == 25
        and len(found.evidence["meteor"].split()) == 6
    )
    monkeypatch.setattr(scores, "meteor", lambda hyps, refs: MeteorScores(absent="no java"))
    found = _scored("captioning", SixClips())
    assert "METEOR" not in found.metrics.figures and "meteor" not in found.evidence
    assert found.notes == ("no METEOR: no java",)


def test_an_answer_counts_against_its_foil():
    """Of the answers that are right or the foil the right ones are counted; others are left out."""
    known = _knowing().asked
    right = [Question(q.id, q.clip_id, q.text, q.answer, q.kind, foil="another") for q in known]
    wrong = [Question(q.id, q.clip_id, q.text, "another", q.kind, foil=q.answer) for q in known]
    neither = [Question(q.id, q.clip_id, q.text, "another", q.kind, foil="a third") for q in known]
    figures = [
        _scored("video_qa", SixClips(questions=asked)).metrics.figures.get("right against foil")
        for asked in (right, wrong, neither)
    ]
    assert figures == [100, 0, None]

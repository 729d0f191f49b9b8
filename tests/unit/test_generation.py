"""How the most likely text is found, with and without caches, and texts for a whole split."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from harness.data import Caption, Clip
from harness.engine.generate import write_texts
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.models import Encoding, beam_search, forced_scores, said
from harness.models.assembly import VideoTextModel, build_backbone
from harness.plan.schema import Evaluation
from harness.plugins import registry
from tests.support.writers import NoiseBatches, PixelWriter, TableDecoding, clips, small_vlab, spelling, texts

ALONE = Workers(0, 1, torch.device("cpu"))
END, WORDS, LENGTH = 1, 5, 4


def _table(count: int, seed: int = 0):
    """Log probabilities ``[count, LENGTH, WORDS, WORDS]``."""
    draw = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(count, LENGTH, WORDS, WORDS, generator=draw)).log_softmax(dim=-1)


def _search(table, beams, penalty=0.0):
    return beam_search(TableDecoding(table, beams), len(table), beams, LENGTH, END, penalty)


def _every_text(table):
    """All texts of one clip with their summed log probabilities, ended or of full length."""
    found = {}
    for ids in itertools.product(range(WORDS), repeat=LENGTH):
        kept = ids[: ids.index(END) + 1] if END in ids else ids
        score, last = 0.0, 0
        for place, token in enumerate(kept):
            score, last = score + table[place, last, token].item(), token
        found[kept] = score
    return found


@pytest.mark.parametrize("beams", [1, 2, 3, 7])
def test_a_clips_text_does_not_depend_on_its_batch(beams):
    """Each of six clips has the same ids and score alone as among the others, whenever those end.

    To the bit in ids; the scores to one rounding, which depends on how many numbers are added up at once."""
    table = _table(6)
    ids, scores = _search(table, beams, 0.7)
    assert len({tuple(row) for row in ids.tolist()}) > 1
    for number in range(6):
        alone, score = _search(table[number : number + 1], beams, 0.7)
        assert torch.equal(alone[0], ids[number])
        torch.testing.assert_close(score[0], scores[number], rtol=1e-6, atol=0)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_text_of_all(penalty):
    """With a beam for every text the result is the best of all texts over its length to the penalty."""
    for seed in range(5):
        table = _table(1, seed)
        ids, score = _search(table, WORDS**LENGTH, penalty)
        every = {text: value / len(text) ** penalty for text, value in _every_text(table[0]).items()}
        best = max(every, key=every.get)
        assert tuple(ids[0, : len(best)].tolist()) == best and (ids[0, len(best) :] == END).all()
        assert score.item() == pytest.approx(every[best], abs=1e-5)


@pytest.mark.parametrize("beams", [1, 2, 3, 4])
def test_the_score_is_that_of_the_text(beams):
    """The score that comes out is the sum of the text's own log probabilities, at any number of beams."""
    for seed in range(5):
        table = _table(1, seed)
        ids, score = _search(table, beams)
        row = tuple(ids[0].tolist())
        kept = row[: row.index(END) + 1] if END in row else row
        assert score.item() == pytest.approx(_every_text(table[0])[kept], abs=1e-5)


def test_one_beam_takes_the_likeliest_word_each_time():
    """Greedy search goes on with the first by probability and stops at the end token."""
    table = _table(1, 3)
    wanted, last = [], 0
    while len(wanted) < LENGTH and last != END:
        last = int(table[0, len(wanted), last].argmax())
        wanted.append(last)
    ids, _ = _search(table, 1)
    assert ids[0].tolist() == wanted + [END] * (LENGTH - len(wanted))


def test_two_beams_find_what_greedy_search_misses():
    """Where the second word is nearly sure after the less likely first one, two beams score better."""
    table = torch.full((1, LENGTH, WORDS, WORDS), -20.0)
    table[0, 0, 0, [2, 3]] = torch.tensor([0.6, 0.4]).log()
    table[0, 1, 2, [2, 3, 4]] = torch.tensor([0.4, 0.3, 0.3]).log()
    table[0, 1, 3, 4] = 0.0
    table[0, 2:, :, END] = 0.0
    greedy, low = _search(table, 1)
    ids, high = _search(table, 2)
    assert greedy[0].tolist() == [2, 2, END, END] and ids[0].tolist() == [3, 4, END, END]
    assert high > low


def test_an_ended_hypothesis_keeps_its_place():
    """A short text that ended early wins over two that go on and become worse, with its old score."""
    table = torch.full((1, LENGTH, WORDS, WORDS), -3.0)
    table[0, 0, 0] = torch.tensor([-9.0, -1.0, -0.5, -0.6, -9.0])
    ids, score = _search(table, 3)
    assert ids[0].tolist() == [END] * LENGTH and score.item() == pytest.approx(
        table[0, 0, 0].log_softmax(-1)[END].item()
    )


@pytest.mark.parametrize("beams", [1, 3])
def test_nothing_is_predicted_once_every_text_has_ended(beams):
    """When all hypotheses of all clips end with the second token, the third is never asked for."""
    table = torch.full((2, LENGTH, WORDS, WORDS), -30.0)
    table[:, 0, :, [0, 2, 3]] = 0.0
    table[:, 1, :, END] = 0.0
    started = TableDecoding(table, beams)
    ids, _ = beam_search(started, 2, beams, LENGTH, END)
    assert started.asked == 2
    assert ids.shape == (2, LENGTH) and (ids[:, 1:] == END).all()


def test_the_length_penalty_chooses_among_the_beams():
    """Divided by its length the longer of two texts wins that loses by the plain sum."""
    table = torch.full((1, LENGTH, WORDS, WORDS), -30.0)
    table[0, 0, 0, [END, 2]] = torch.tensor([0.6, 0.4]).log()
    table[0, 1:3, 2, 2] = 0.0
    table[0, 3, 2, END] = 0.0
    assert _search(table, 2)[0][0].tolist() == [END] * LENGTH
    assert _search(table, 2, 1.0)[0][0].tolist() == [2, 2, 2, END]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_probabilities_that_are_no_numbers_are_refused(beams, spoilt):
    """One such word of one of two clips, at any place before the last, ends search and scoring, and never
    chooses a text."""
    for place in range(LENGTH):
        table = _table(2)
        table[..., END] = -30.0  # no text ends before that place
        table[1, place, :, 3] = spoilt
        with pytest.raises(HarnessError, match="of 1 of 2 texts are no numbers"):
            _search(table, beams)
        ids = torch.full((2, LENGTH), 3)
        with pytest.raises(HarnessError, match="of 1 of 2 texts are no numbers"):
            forced_scores(TableDecoding(table, 1), ids, torch.ones_like(ids, dtype=torch.bool))


def test_a_word_that_cannot_be_is_a_number():
    """A probability of zero is no mistake, and neither is anything behind the end of a text."""
    table = torch.full((2, LENGTH, WORDS, WORDS), -torch.inf)
    table[:, 0, 0, END], table[:, 1:] = 0.0, torch.nan
    table[1, 0, 0], table[1, 1:] = _table(1)[0, 0, 0], _table(1)[0, 1:]
    ids, score = _search(table, 1)
    assert ids[0].tolist() == [END] * LENGTH and score[0] == 0
    assert torch.equal(ids[1], _search(_table(1), 1)[0][0])


def test_a_given_texts_score_is_the_sum_of_its_steps():
    """Every text of a clip, padded or not, scores what its steps add up to, its end included."""
    table = _table(1)
    every = _every_text(table[0])
    ids = torch.tensor([[*text, *[END] * (LENGTH - len(text))] for text in every])
    mask = torch.arange(LENGTH) < torch.tensor([len(text) for text in every])[:, None]
    found = forced_scores(TableDecoding(table, len(every)), ids, mask)
    torch.testing.assert_close(found, torch.tensor(list(every.values())), rtol=0, atol=1e-5)


def test_only_what_is_before_the_end_is_said():
    """Ids after the end token are not turned into words."""
    assert said([5, 7, 2, 6, 2], spelling()) == "w5 w7" and said([5, 7], spelling()) == "w5 w7"


@pytest.fixture(scope="module")
def vlab():
    """A small VLAB of random weights, and the memory of two clips."""
    backbone, module = small_vlab(stirred=True)
    with torch.no_grad():
        yield module, module.encode_with_memory(backbone, clips(2)).memory


@pytest.mark.parametrize("cache", ["memory", "all"])
@pytest.mark.parametrize(("asked", "beams"), [(0, 1), (0, 3), (2, 1), (2, 2)])
def test_caches_change_no_text(vlab, cache, asked, beams):
    """Ids and scores are those of decoding without a cache, with beams, and with two questions of unlike
    lengths about each clip."""
    module, memory = vlab
    prompt = None
    if asked:
        given = texts(module, *(7, 4, 5, 6) if asked == 2 else (4, 7))
        prompt = Encoding(*(t.repeat_interleave(beams, 0) for t in (given.tokens, given.mask)))
    rows, end = len(memory) * (asked or 1), module.writes.vocabulary.end

    def written(cache):
        started = module.start(memory, prompt, (asked or 1) * beams, cache)
        return beam_search(started, rows, beams, 6, end)

    with torch.no_grad():
        ids, scores = written(cache)
        wanted, of_it = written("nothing")
    assert torch.equal(ids, wanted) and len({tuple(row) for row in ids.tolist()}) == rows
    torch.testing.assert_close(scores, of_it, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cache", ["nothing", "memory", "all"])
def test_a_question_has_the_answer_that_it_has_alone(vlab, cache):
    """Four questions about two clips score given answers as each question does about its clip alone."""
    module, memory = vlab
    prompt, answers = texts(module, 7, 4, 5, 6), texts(module, 5, 3, 4, 6, seed=1)
    ids, mask = answers.tokens[:, 1:], answers.mask[:, 1:]
    with torch.no_grad():
        together = forced_scores(module.start(memory, prompt, 2, cache), ids, mask)
        for row, length in enumerate((7, 4, 5, 6)):
            own = Encoding(prompt.tokens[row : row + 1, :length], prompt.mask[row : row + 1, :length])
            started = module.start(memory[row // 2 : row // 2 + 1], own, 1, cache)
            alone = forced_scores(started, ids[row : row + 1], mask[row : row + 1])
            torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-4)


def _everything(sizes: int, asked: bool, damaged=(), spoilt=frozenset()):
    """The texts of nine clips in batches of ``sizes``, and the batches that the model saw."""
    module = PixelWriter(spelling(), spoilt)
    model = VideoTextModel(build_backbone({"name": "tiny"}, registry(), load=False), module)
    gallery = [Clip(f"clip{number}", None if number == 4 else Path(f"{number}.mp4")) for number in range(9)]
    prompts = None
    if asked:  # no question about clip 2, one to three about the others
        prompts = {
            clip.id: [Caption(f"{clip.id}-{n}", clip.id, "why " * n + str(n)) for n in range(1 + number % 3)]
            for number, clip in enumerate(gallery)
            if number != 2
        }

    def write(writer, memory, prompt, width):
        assert (prompt is None) == (not asked)
        assert prompt is None or len(prompt.tokens) == len(memory) * width
        beams = 1 if asked else 3
        started = writer.start(memory, prompt, width * beams)
        ids, _ = beam_search(started, len(memory) * width, beams, 5, 2)
        return [said(row, writer.writes) for row in ids.tolist()]

    batches = NoiseBatches(module.writes, damaged)
    return *write_texts(model, gallery, prompts, write, batches, ALONE, Evaluation(batch_size=sizes)), module


@pytest.mark.parametrize("asked", [False, True])
def test_texts_do_not_depend_on_the_batch_size(asked):
    """Every clip has the same texts in batches of one, four and nine, as many as it has questions."""
    texts, _, _ = _everything(1, asked)
    for size in (4, 9):
        others, _, module = _everything(size, asked)
        assert others == texts
        assert max(map(len, module.batches)) == (4 if size == 4 else 7 if asked else 8)
    wanted = {f"clip{n}": 1 + n % 3 if asked else 1 for n in range(9) if n != 4 and not (asked and n == 2)}
    assert {name: len(each) for name, each in texts.items()} == wanted
    assert len({tuple(each) for each in texts.values()}) > 4


def test_clips_without_a_text_are_named():
    """A missing and a damaged clip come back with the reason, and the others are written about."""
    texts, unreadable, module = _everything(3, False, damaged={"clip7": "no key frame"})
    assert unreadable == {"clip4": "not found", "clip7": "no key frame"}
    assert set(texts) == {f"clip{number}" for number in range(9)} - set(unreadable)
    assert not {"clip4", "clip7"} & {name for batch in module.batches for name in batch}


def test_features_that_are_no_numbers_are_blamed_on_their_clip():
    """NaN in the memory of one clip of a batch is an error with the name of that clip."""
    with pytest.raises(HarnessError) as caught:
        _everything(4, False, spoilt=frozenset({"clip6"}))
    assert "clip6" in caught.value.message and "clip5" not in caught.value.message

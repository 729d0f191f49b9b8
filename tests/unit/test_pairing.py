"""Measured rows and the published rows that they may be held against."""

from __future__ import annotations

from statistics import fmean, stdev

import msgspec
import numpy as np
import pytest
from sample_records import SIZE, protocol, sample

from harness.results import ranks
from harness.results.pairing import closest, delta_notes, mismatches, pairs, same_backbone, signed
from harness.results.record import Metrics, Missing, MissingClip, Queries, ResultRecord
from harness.results.table import NOTHING, Row


def measured(seeds: int = 3, **changes) -> Row:
    return Row(tuple(sample(seed=seed, **{"backbone": "ViT-B-32", **changes}) for seed in range(seeds)))


def quoted(**changes) -> ResultRecord:
    values = {
        "kind": "published",
        "method": "method_a",
        "dataset": "toys",
        "task": "retrieval",
        "protocol": protocol(ids_texts_hash="", hash_status="unverified"),
        "train_split": "train_9k",
        "metrics": Metrics(t2v={"R@5": 90.0, "R@1": 60.0, "MdR": 1.0}, v2t={"R@1": 61.0}),
        "backbone": "ViT-B/32",
        "source": "a paper, table 2",
        "confidence": "read",
    }
    return ResultRecord(**{**values, **changes})


def test_every_figure_of_both_has_its_difference():
    """A difference is the mean over the seeds minus the published figure; R@1 of text-to-video is first."""
    row = measured()
    [pair] = pairs(row, [quoted()])
    values = [run.metrics.t2v["R@1"] for run in row.runs]
    assert [delta.label for delta in pair.deltas] == ["T2V R@1", "T2V R@5", "T2V MdR", "V2T R@1"]
    first = pair.deltas[0]
    assert first.difference == pytest.approx(fmean(values) - 60.0)
    assert first.measured.spread == pytest.approx(stdev(values)) and first.measured.n == 3
    assert pair.differences == () and pair.unpaired == ()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"method": "method_b"}, "method"),
        ({"dataset": "dolls"}, "data set"),
        ({"task": "moment_retrieval"}, "task"),
        ({"protocol": protocol(name="test_b")}, "protocol"),
        ({"protocol": protocol(n_queries=SIZE - 1)}, "queries"),
        ({"protocol": protocol(query_unit="paragraph")}, "queries"),
        ({"protocol": protocol(n_gallery=SIZE - 1)}, "gallery"),
        ({"postprocess": "dual_softmax"}, "post-processing"),
        ({"train_split": "train_7k"}, "train split"),
    ],
    ids=str,
)
def test_another_setting_is_no_pair(change, what):
    """What a paper states of its table has to agree, and what does not is named."""
    other = quoted(**change)
    assert pairs(measured(), [other]) == []
    assert [one.what for one in mismatches(measured(), other)] == [what]


def test_rows_with_clips_left_out_and_parts_of_ablations_are_no_pair():
    """Neither a smaller test nor a changed method stands for what was published."""
    lost = Missing(test=(MissingClip("clip0", "not found"),), policy="drop")
    assert pairs(measured(missing=lost), [quoted()]) == []
    assert pairs(measured(variant="no head"), [quoted()]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"selection": "test"}, "selection: last epoch here, best on test there"),
        ({"frames": 64}, "frames: 12 here, 64 there"),
        ({"resolution": 384}, "resolution: 224 here, 384 there"),
        ({"pretraining": "CLIP, web"}, "pretraining, as each calls it: openai here, CLIP, web there"),
        ({"backbone": "ViT-B/16"}, "backbone: ViT-B-32 here, ViT-B/16 there"),
    ],
    ids=str,
)
def test_other_conditions_are_stated(change, said):
    """What decides a figure without making another table of it stands beside the difference."""
    row = measured(resolution=224, pretraining="openai")
    [pair] = pairs(row, [quoted(**change)])
    assert [str(one) for one in pair.differences] == [said]
    assert said.replace("_", "\\_") in delta_notes(row, [quoted(**change)]).footnotes[0]


def test_what_a_paper_does_not_say_is_no_difference():
    """An unknown selection, backbone or number of frames differs from nothing."""
    [pair] = pairs(measured(), [quoted(backbone=None, frames=None, selection="unknown")])
    assert pair.differences == ()


def test_a_budget_is_stated():
    """A row that trained for a budget, and not as long as was published, says so in its cell and its note."""
    row = measured(budget="2M frames")
    [pair] = pairs(row, [quoted()])
    assert [str(one) for one in pair.differences] == [
        "training: a budget of 2M frames here, as long as was published there"
    ]
    assert "(read, other training)" in delta_notes(row, [quoted()]).cell


def test_missing_and_unverified_clips_are_stated():
    """A row that had to do without clips, or was asked other texts, says so beside its differences."""
    lost = Missing(train=(MissingClip("a", "not found"),), test=(MissingClip("b", "not found"),))
    [pair] = pairs(measured(missing=lost, protocol=protocol(hash_status="unverified")), [quoted()])
    assert [one.what for one in pair.differences] == ["training clips", "test clips", "test ids and texts"]


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ("ViT-B-32-quickgelu", "ViT-B/32", True),
        ("ViT-L-14", "vit_l/14", True),
        ("ViT-B-16", "ViT-B/32", False),
        ("ViT-B-32-256", "ViT-B/32", False),
        ("EVA01-g-14", "EVA-g/14", False),
    ],
)
def test_spellings_of_a_backbone(here, there, same):
    """Separators, case and the activation do not tell towers apart; anything else does."""
    assert same_backbone(here, there) is same


def test_the_same_backbone_goes_before_another():
    """A row of another backbone is shown only where none has the same, and then said to be that."""
    same, other = quoted(frames=64), quoted(backbone="ViT-B/16")
    assert [pair.published for pair in pairs(measured(), [other, same])] == [same]
    assert "other backbone" in delta_notes(measured(), [other]).cell


def test_the_more_similar_row_is_shown():
    """Of several published rows the cell has that with fewest differences, and all have a footnote."""
    far, near = quoted(selection="test", frames=64), quoted(selection="test", source="a log")
    notes = delta_notes(measured(), [far, near])
    assert notes.cell.endswith("(read, best on test)")
    assert [note.partition(":")[0] for note in notes.footnotes] == [
        "Against a log",
        "Against a paper, table 2",
    ]


def test_a_cell_has_the_spread_of_several_seeds():
    """One seed has no spread to show."""
    row = measured()
    difference = row.figure("t2v", "R@1").mean - 60.0
    spread = row.figure("t2v", "R@1").spread
    assert delta_notes(row, [quoted()]).cell == f"{difference:+.1f} ± {spread:.1f} (read)"
    assert "±" not in delta_notes(measured(1), [quoted()]).cell


def test_recalled_figures_are_marked():
    """A figure from memory is called that in the cell, and is in parentheses in the footnote."""
    notes = delta_notes(measured(), [quoted(recalled_fields=("t2v.R@1",))])
    assert notes.cell.endswith("(recalled)")
    assert "from (60.0)" in notes.footnotes[0] and "from 90.0" in notes.footnotes[0]
    assert delta_notes(measured(), [quoted(confidence="recalled")]).cell.endswith("(recalled)")


def test_another_definition_of_video_to_text_is_not_compared():
    """With several texts to a clip only figures by the same definition are held against each other."""

    gold = np.repeat(np.arange(SIZE), 2)  # two texts to each clip
    scores = np.random.default_rng(0).random((2 * SIZE, SIZE))
    forth, back = ranks.text_to_video(scores, gold), ranks.video_to_text(scores, gold)[0]
    several = protocol(n_queries=2 * SIZE)
    row = measured(
        protocol=several,
        queries=Queries(t2v=forth.pack(), v2t=back.pack()),
        metrics=Metrics(t2v=ranks.metrics(forth), v2t=ranks.metrics(back)),
    )
    [pair] = pairs(row, [quoted(protocol=msgspec.structs.replace(several, v2t="group_rank"))])
    assert {delta.direction for delta in pair.deltas} == {"t2v"}
    assert pair.unpaired == ("V2T R@1: by caption rank here, by group rank there",)
    [pair] = pairs(row, [quoted(protocol=several)])
    assert {delta.direction for delta in pair.deltas} == {"t2v", "v2t"}


def test_a_figure_that_was_not_measured_is_said_to_be_that():
    """R@50 has nothing to be held against, and the rest still has."""
    row = measured()
    [pair] = pairs(row, [quoted(metrics=Metrics(t2v={"R@5": 90.0, "R@50": 99.0}))])
    assert pair.unpaired == ("T2V R@50: not measured",)
    assert delta_notes(row, [pair.published]).cell.startswith("T2V R@5 ")


def test_tasks_without_ranks_are_paired_by_their_figures():
    """Their main figure is the one in the cell."""
    captions = Metrics(figures={"BLEU-4": 54.0, "CIDEr": 75.0}, main="CIDEr")
    row = Row((sample(metrics=captions, queries=None, evidence={"cider": "1 2"}, backbone="ViT-B/32"),))
    notes = delta_notes(row, [quoted(metrics=Metrics(figures={"BLEU-4": 54.6, "CIDEr": 74.9}))])
    assert notes.cell == "+0.1 (read)" and "BLEU-4 -0.6 from 54.6" in notes.footnotes[0]


def test_where_nothing_pairs_the_closest_row_is_named():
    """The footnote has the row of the same method with the fewest mismatches, and what they are."""
    far = quoted(train_split="train_7k", postprocess="dual_softmax")
    near = quoted(train_split="train_7k", source="another paper")
    assert closest(measured(), [far, near]) is near
    notes = delta_notes(measured(), [far, near])
    assert notes.cell == NOTHING
    assert notes.footnotes == (
        "No published row is the same setting. Closest: another paper; "
        "train split: train_9k here, train_7k there.",
    )
    assert delta_notes(measured(), [quoted(method="method_b")]) == type(notes)(NOTHING, ())


def test_zero_has_no_sign():
    """What is printed as zero is neither more nor less."""
    assert [signed(value) for value in (-0.04, 0.0, 0.04, -0.06)] == ["0.0", "0.0", "0.0", "-0.1"]

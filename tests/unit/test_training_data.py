"""What a stage trains on: sources beside the video and its text, and a share of the clips."""

from __future__ import annotations

import json

import pytest
import torch

from harness.data import Clip
from harness.engine.loading import make_batches, new_model
from harness.engine.run_data import open_prepared
from harness.engine.training_data import check_sources, share_of, training_data
from harness.engine.workers import Workers
from harness.errors import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plugins import registry

ALONE = Workers(0, 1, torch.device("cpu"))
SOURCES = ("video", "text", "frame", "caption")


@pytest.fixture
def made(small_shapes, tmp_path):
    """A function from settings to the plan, the data set and the batches of a small run."""

    def make(*settings: str, dataset: str = "shapes"):
        request = Request(
            method="clip_vip",
            dataset=dataset,
            backbone="tiny",
            settings=("data.options.train_clips=24", *settings),
            use_cache=False,
        )
        plan, _ = build_plan(request, registry())
        opened = open_prepared(plan, registry())
        model = new_model(plan.recipe, registry(), ALONE.device, load=False)
        return plan, opened, make_batches(plan, model, 1)

    return make


def _data(made, *settings, sources=SOURCES):
    plan, dataset, batches = made(*settings)
    data, share = plan.recipe.data, plan.recipe.data.train_fraction
    return training_data("shapes", "train", dataset, data, share, sources, batches, ALONE), batches


def test_a_batch_has_every_source_of_the_same_clip(made):
    """Row by row the video, its text, its middle frame and its caption belong to one clip."""
    data, batches = _data(made)
    batch, damaged = batches.training(data.samples[:6], 0, "finetune", 0, sources=SOURCES)
    assert not damaged and set(batch.sources) == set(SOURCES)
    video, frame = batch.sources["video"], batch.sources["frame"]
    assert frame.frames.shape[:2] == (6, 1) and frame.ids == video.ids == batch.sources["caption"].video_ids
    for text, caption in zip(batch.sources["text"].raw, batch.sources["caption"].raw, strict=True):
        colour, shape = caption.split()[-2:]
        assert colour in text and shape in text
    # Eight of fifteen frames are every second one; the middle one, the eighth, is the ninth of sixteen.
    nearest = (video.frames.int() - frame.frames.int()).abs().flatten(2).sum(2).argmin(1)
    assert set(nearest.tolist()) <= {3, 4}


def test_further_sources_change_nothing_else(made):
    """The same texts and frames are drawn with further sources as without."""
    data, batches = _data(made, "data.jitter=true")
    plain, _ = batches.training(data.samples[:6], 0, "finetune", 0)
    more, _ = batches.training(data.samples[:6], 0, "finetune", 0, sources=SOURCES)
    assert torch.equal(plain.sources["video"].frames, more.sources["video"].frames)
    assert plain.sources["text"].raw == more.sources["text"].raw


def test_a_clip_without_caption_is_left_out_and_named(made, tmp_path):
    """A recipe's file of captions replaces the data set's own; who is not in it is not trained on."""
    file = tmp_path / "captions.jsonl"
    names = [f"train{i:05d}" for i in range(24) if i != 5]
    rows = [json.dumps({"clip_id": name, "caption": f"seen {name}"}) for name in names]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    data, _ = _data(made, f"data.auxiliary={{caption: {file}}}")
    assert data.unusable == {"train00005": "no caption"} and len(data.samples) == 23
    assert data.samples[0].others["caption"][0].text == "seen train00000"


def test_the_digest_holds_the_content_of_a_file_and_not_its_place(made, tmp_path):
    """Another folder is the same run, another caption is not."""
    digests = []
    for folder, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "captions.jsonl"
        file.write_text(json.dumps({"clip_id": "train00000", "caption": text}) + "\n", encoding="utf-8")
        digests.append(made(f"data.auxiliary={{caption: {file}}}")[0].digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_lock_of_a_database_is_no_part_of_the_digest(made, tmp_path):
    """Whoever reads a database may change its lock, which must not make another run of it; its data do."""
    digests = []
    for data, lock in (("x", "1"), ("x", "2"), ("y", "2")):
        (tmp_path / "data.mdb").write_text(data)
        (tmp_path / "lock.mdb").write_text(lock)
        digests.append(made(f"data.auxiliary={{caption: {tmp_path}}}")[0].digest)
    assert digests[0] == digests[1] != digests[2]


def test_steps_are_counted_on_what_the_whole_set_would_train_on(made, tmp_path):
    """A clip without a caption is no sample of the whole set, so a share of it has no step for that clip."""
    file = tmp_path / "captions.jsonl"
    rows = [json.dumps({"clip_id": f"train{i:05d}", "caption": "seen"}) for i in range(24) if i % 3]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    whole, half = (
        _data(made, f"data.auxiliary={{caption: {file}}}", f"data.train_fraction={share}")[0]
        for share in (1.0, 0.5)
    )
    assert len(half.samples) < len(whole.samples) == 16
    assert half.of == whole.of == 16


def test_a_loss_that_reads_what_is_not_there_is_refused(made):
    """Before any work, with the command that makes it; a file of the recipe stands in."""
    _, dataset, _ = made()
    wanted = ("video", "text", "subtitle")
    with pytest.raises(HarnessError) as caught:
        check_sources("shapes", "train", dataset, "a_loss", wanted, {})
    assert "'a_loss' reads a subtitle of every clip, and shapes/train has none" in caught.value.message
    assert "harness caption shapes" in caught.value.hint
    check_sources("shapes", "train", dataset, "a_loss", wanted, {"subtitle": "file"})


def test_a_smaller_share_is_part_of_a_larger_one(made):
    """Shares are nested, in order, and the steps are counted on the whole set."""
    clips = [Clip(str(i), None) for i in range(100)]
    small, large = share_of(clips, 0.1), share_of(clips, 0.5)
    assert len(small) == 10 and set(small) < set(large) and large == [c for c in clips if c in large]
    assert share_of(clips, 1.0) == clips
    data, _ = _data(made, "data.train_fraction=0.25", sources=("video", "text"))
    assert len(data.samples) == 6 and data.of == 24

"""CoCa as a captioner: the most likely words, whoever is in the batch, and clear refusals."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from harness import HarnessError
from harness_clip.coca import Coca, build, build_tiny, greedy
from harness_clip.options import CocaOptions, TinyCocaOptions
from harness_clip.tokenizers import END, START, clip_bpe, clip_text

LENGTH = 12


@pytest.fixture(scope="module")
def captioner() -> Coca:
    """A tiny CoCa that ends some of its captions early, others never."""
    torch.manual_seed(0)
    made = build_tiny(TinyCocaOptions(length=LENGTH)).eval()
    with torch.no_grad():
        made.coca.text_decoder.text_projection[:, END] *= 4
    return made


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.randint(
        0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture(scope="module")
def ids(captioner, frames) -> list[list[int]]:
    """The tokens of each frame's caption, all frames in one batch."""
    return greedy(captioner.coca, normalised(captioner, frames), LENGTH).tolist()


def normalised(captioner: Coca, frames: torch.Tensor) -> torch.Tensor:
    return captioner.preprocess.normalise(frames, torch.float32)


def test_the_captions_differ_in_length_and_words(ids):
    """What follows is tried on rows that end at different steps and on one that does not end."""
    lengths = {row.index(END) if END in row else LENGTH for row in ids}
    assert len(lengths) > 2 and LENGTH in lengths and len({tuple(row) for row in ids}) > 3


def test_each_token_is_the_most_likely_one(captioner, frames, ids):
    """Frame by frame, the arg max of the model's whole forward pass over what was said so far is what comes next."""
    with torch.no_grad():
        for image, row in zip(normalised(captioner, frames), ids, strict=True):
            said = [START]
            while len(said) <= LENGTH and said[-1] != END:
                tokens = torch.tensor([said])
                logits = captioner.coca(image[None], tokens, output_labels=False)["logits"]
                said.append(int(logits[0, -1].argmax()))
            assert row == said[1:] + [END] * (LENGTH + 1 - len(said))


def test_a_caption_does_not_depend_on_its_batch(captioner, frames):
    """Alone, in pairs or in another order, a frame has the caption that it has among all."""
    together = captioner.caption(frames)
    assert [captioner.caption(frame[None])[0] for frame in frames] == together
    assert captioner.caption(frames.flip(0)) == together[::-1]
    assert [text for pair in frames.split(2) for text in captioner.caption(pair)] == together


def test_decoding_stops_when_all_have_ended(captioner, frames, ids):
    """No step is made after the last row's end."""
    short = [number for number, row in enumerate(ids) if END in row]
    found = greedy(captioner.coca, normalised(captioner, frames[short]), LENGTH)
    assert found.shape[1] == 1 + max(ids[number].index(END) for number in short) < LENGTH


def test_ids_become_the_text_again():
    """What the tokenizer made of a text reads the same, up to the end token, in single blanks."""
    tokens = clip_bpe().encode(["a dog , 2 cats & a 🐈 ."], 20).tokens[0].tolist()
    assert clip_text(tokens) == "a dog , 2 cats & a 🐈 ."
    assert clip_text([END, *tokens]) == "" and clip_text(tokens[:3]) == "a dog"


def test_weights_come_from_a_file(captioner, frames, tmp_path):
    """A file of a CoCa's tensors makes the same captions, and the wrong file is refused."""
    save_file({k: v.contiguous() for k, v in captioner.coca.state_dict().items()}, tmp_path / "w.safetensors")
    options = TinyCocaOptions(weights=str(tmp_path / "w.safetensors"), length=LENGTH)
    again = build_tiny(options).eval()
    assert again.caption(frames) == captioner.caption(frames)
    assert again.pretraining == "weights:w.safetensors"
    with pytest.raises(HarnessError, match="does not fit tiny_coca"):
        build_tiny(TinyCocaOptions(weights=options.weights, layers=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CocaOptions(), "could not be downloaded"),
        (CocaOptions(pretrained="nothing"), "no weights 'nothing' for coca_ViT-L-14"),
        (CocaOptions(pretrained=""), "without weights says nothing"),
        (CocaOptions(model="ViT-B-32"), "is no CoCa"),
        (CocaOptions(model="coca_base"), "not in CLIP's vocabulary"),
        (CocaOptions(model="coca_roberta-ViT-B-32"), "not in CLIP's vocabulary"),
        (CocaOptions(model="coca_ViT"), "has no model 'coca_ViT'"),
    ],
)
def test_what_cannot_caption_is_refused(options, message):
    """Missing weights and other models are one line with what to do, before a large model is built."""
    with pytest.raises(HarnessError, match=message) as caught:
        build(options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TinyCocaOptions(length=77), "77 tokens does not fit the decoder, which has 76"),
        (TinyCocaOptions(width=30, heads=4), "width 30"),
        (TinyCocaOptions(patch=7), "patch 7"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    """A length beyond the decoder's positions, and widths and patches that do not divide."""
    with pytest.raises(HarnessError, match=message):
        build_tiny(options)

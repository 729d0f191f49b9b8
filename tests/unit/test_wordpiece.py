"""BERT's tokens from a vocabulary file, and BERT's weights in the multimodal encoder."""

from __future__ import annotations

import pickle

import pytest
import torch

from harness.errors import HarnessError
from harness.plan.plan import Request, build_plan
from harness.plugins import registry
from harness_clip.tokenizers import clip_bpe
from harness_vlab.bert_files import VOCABULARY, folder_of, load_bert
from harness_vlab.encoder import MultimodalEncoder, PredictionHead, Sizes
from harness_vlab.wordpiece import wordpiece

PIECES = (
    *(
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "a",
        "cafe",
        "dog",
        "##s",
        "run",
        "##ning",
        "##ni",
        "##n",
    ),
    *("'", "?", ",", "t", "don", "$", "狗", "\u2028", "un", "##run"),
)
PAD, UNK, CLS, SEP, MASK = range(5)


@pytest.fixture
def vocabulary(tmp_path):
    """A vocabulary file of a few pieces."""
    file = tmp_path / VOCABULARY
    file.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a dog", "a dog"),
        ("A DOG", "a dog"),  # casing
        ("Café cafe\u0301", "cafe cafe"),  # accents, in one character or in two
        ("don't?", "don ' t ?"),  # punctuation stands alone
        ("a,dog$", "a , dog $"),
        ("dogs running", "dog ##s run ##ning"),  # the longest piece first
        ("unrunning", "un ##run ##ning"),
        ("cat dogx a", "[UNK] [UNK] a"),  # a word of which any part is unknown is unknown as a whole
        ("a狗dog", "a 狗 dog"),  # a Chinese character is a word
        ("  a\t\n dog\u00a0 ", "a dog"),
        ("a\u0000d\u200bog", "adog"),  # control characters vanish
        ("[MASK]", "[UNK] [UNK] [UNK]"),  # nobody writes a mark
        ("a" * 101, "[UNK]"),
        ("", ""),
    ],
)
def test_a_text_becomes_the_pieces_of_bert(vocabulary, text, pieces):
    """Words, split and looked up as BERT does it, between the marks of start and end."""
    known = {piece: number for number, piece in enumerate(PIECES)}
    wanted = [CLS, *(known.get(piece, UNK) for piece in pieces.split()), SEP]
    found = wordpiece(vocabulary, 16).encode([text], 12)
    assert found.tokens[0][found.mask[0]].tolist() == wanted
    assert (found.tokens[0][~found.mask[0]] == PAD).all() and found.mask[0].sum() == len(wanted)


def test_a_long_text_is_cut_and_keeps_its_end(vocabulary):
    """Of ten words four fit between start and end."""
    tokens = wordpiece(vocabulary, 16).encode(["dog a " * 5, "a"], 6).tokens
    assert tokens.tolist() == [[CLS, 7, 5, 7, 5, SEP], [CLS, 5, SEP, PAD, PAD, PAD]]


def test_the_shortest_text_of_a_recipe_holds_both_marks(vocabulary):
    """Two tokens are start and end for every tokenizer with a length of its own choice; one is refused while planning."""
    for tokenizer in (wordpiece(vocabulary, 16), clip_bpe()):
        encoding = tokenizer.encode(["a dog", ""], 2)
        words = tokenizer.vocabulary
        assert encoding.tokens.tolist() == [[words.start, words.end]] * 2 and encoding.mask.all()
    asked = Request(method="vlab_tiny", dataset="shapes", settings=("data.text_length=1",))
    with pytest.raises(HarnessError, match=r"data\.text_length"):
        build_plan(asked, registry())


def test_pieces_are_joined_to_words(vocabulary):
    """What is decoded has neither marks nor ##, and what was encoded comes back."""
    made = wordpiece(vocabulary, 16)
    ids = made.encode(["Dogs don't, a unrunning"], 16).tokens[0].tolist()
    assert made.vocabulary.decode(ids) == "dogs don ' t , a unrunning"
    assert made.vocabulary.decode([MASK, 7, UNK, PAD]) == "dog [UNK]"


def test_the_vocabulary_tells_its_marks(vocabulary):
    """Ids of the marks are those of the file, and the limit that of the model's positions."""
    made, words = wordpiece(vocabulary, 16), wordpiece(vocabulary, 16).vocabulary
    assert (words.size, words.start, words.end, words.mask, words.pad) == (len(PIECES), CLS, SEP, MASK, PAD)
    assert made.context == 16


def test_a_tokenizer_can_be_sent(vocabulary):
    """Pickled and back it encodes as before: a worker or a process gets it so."""
    made = wordpiece(vocabulary, 16)
    assert torch.equal(
        pickle.loads(pickle.dumps(made)).encode(["dogs"], 5).tokens, made.encode(["dogs"], 5).tokens
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", "it lacks [MASK]"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\n", "it has a piece twice"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "it lacks [PAD]"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, content, told):
    """The message names the file and what is wrong with it."""
    file = tmp_path / VOCABULARY
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        wordpiece(file, 16)
    assert told in caught.value.message and str(file) in caught.value.message and caught.value.hint


def _encoder(hidden: int = 12) -> tuple[MultimodalEncoder, PredictionHead]:
    sizes = Sizes(len(PIECES), hidden, 2, 3, 16, 8, streams=("crossattention_image", "crossattention_video"))
    return MultimodalEncoder(sizes, "stack", "sum"), PredictionHead(sizes)


def _bert(old: bool, seed: int = 0) -> dict[str, torch.Tensor]:
    """A BERT as it is published, every tensor random; ``old``: with gamma and beta for the norms."""
    torch.manual_seed(seed)
    encoder, head = _encoder()
    found = {f"bert.{k}": v for k, v in encoder.state_dict().items() if "crossattention" not in k}
    for key, value in head.state_dict().items():
        found[f"cls.predictions.{'' if key == 'bias' else 'transform.'}{key}"] = value
    found = {key: torch.randn_like(value) for key, value in found.items()}
    found["bert.pooler.dense.weight"] = torch.randn(12, 12)
    found["bert.embeddings.position_ids"] = torch.arange(8)
    found["cls.seq_relationship.weight"] = torch.randn(2, 12)
    found["cls.predictions.decoder.weight"] = found["bert.embeddings.word_embeddings.weight"].clone()
    found["cls.predictions.decoder.bias"] = torch.randn(len(PIECES))
    if old:
        for new, name in (("weight", "gamma"), ("bias", "beta")):
            found = {k.replace(f"LayerNorm.{new}", f"LayerNorm.{name}"): v for k, v in found.items()}
    return found


@pytest.mark.parametrize("old", [False, True])
def test_bert_fills_everything_but_cross_attention(tmp_path, old):
    """Each tensor of the encoder and of the head is BERT's, by either name of a norm's; the attention to
    the clip stays as it was, and what else a file has is left out."""
    bert = _bert(old)
    torch.save(bert, tmp_path / "pytorch_model.bin")
    encoder, head = _encoder()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    load_bert(tmp_path, encoder, head)
    plain = {k.replace("gamma", "weight").replace("beta", "bias"): v for k, v in bert.items()}
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key] if "crossattention" in key else plain[f"bert.{key}"]), key
    for key, value in head.state_dict().items():
        name = "cls.predictions.bias" if key == "bias" else f"cls.predictions.transform.{key}"
        assert torch.equal(value, plain[name]), key


@pytest.mark.parametrize("lost", [None, "bert.encoder.layer.1.output.dense.bias", "cls.predictions.bias"])
def test_weights_that_do_not_fit_change_nothing(tmp_path, lost):
    """A BERT of another size, or one that lacks a tensor, is refused with the file's name."""
    bert = _bert(False)
    if lost:
        del bert[lost]
    torch.save(bert, tmp_path / "pytorch_model.bin")
    encoder, head = _encoder(12 if lost else 24)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(HarnessError) as caught:
        load_bert(tmp_path, encoder, head)
    assert "does not fit the multimodal encoder" in caught.value.message
    assert str(tmp_path) in caught.value.message and caught.value.hint
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_a_folder_without_weights_is_refused(tmp_path):
    """Both names that the weights may have are told."""
    with pytest.raises(HarnessError) as caught:
        load_bert(tmp_path, *_encoder())
    assert "model.safetensors" in caught.value.message and "pytorch_model.bin" in caught.value.message


@pytest.mark.parametrize("name", ["/no/such/folder", "./no-such-folder", "no/such-model"])
def test_a_missing_bert_is_one_line(name):
    """A path that is not there, and a name that is not on this machine without a network, are errors with
    what to do."""
    with pytest.raises(HarnessError) as caught:
        folder_of(name)
    assert name in caught.value.message and "\n" not in caught.value.message and caught.value.hint

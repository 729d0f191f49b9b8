"""CLIP's tokenizer and the text tower behind it."""

import pickle
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from harness import HarnessError, lazy
from harness_clip import backbones, tokenizers
from harness_clip.architectures import build_model, configuration
from harness_clip.options import TinyOptions, ViTB16SigLIP
from harness_clip.text import encode
from harness_clip.tokenizers import CLIP_BPE, clip_bpe

END = 49407
TEXTS = [
    "a red circle!",
    "!!! a very long sentence about a blue square that moves slowly from left to right",
    "",
]


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return backbones.build_tiny(TinyOptions()).eval()


def test_tokens_are_those_of_open_clip():
    """At the full context the tokens are exactly what open_clip's own tokenizer returns."""
    tokens = clip_bpe().encode(TEXTS, 77).tokens
    assert torch.equal(tokens, lazy.open_clip().tokenize(TEXTS))


def test_mask_ends_with_the_first_end_token():
    """The mask is True from the start through the first end token, and nowhere after."""
    encoding = clip_bpe().encode(TEXTS, 24)
    for tokens, mask in zip(encoding.tokens, encoding.mask):
        count = int(mask.sum())
        assert mask[:count].all() and tokens[count - 1] == END and END not in tokens[: count - 1]


def test_an_exclamation_mark_is_not_padding():
    """The token of "!" has id 0 like the padding, and is still marked as real."""
    encoding = clip_bpe().encode(["! !"], 8)
    assert encoding.tokens[0, 1] != END and encoding.mask[0].tolist() == [True] * 4 + [False] * 4


def test_a_long_text_is_cut_and_keeps_its_end():
    """A text longer than the length fills it and ends with the end token."""
    encoding = clip_bpe().encode(TEXTS[1:2], 6)
    assert encoding.tokens[0, -1] == END and encoding.mask.all()


def test_no_texts_give_no_rows():
    """An empty list of texts is encoded to empty tensors of the right length."""
    encoding = clip_bpe().encode([], 9)
    assert encoding.tokens.shape == encoding.mask.shape == (0, 9)


@pytest.mark.parametrize("length", [1, 33])
def test_a_length_that_does_not_fit_is_refused(length):
    """A length without room for both ends, or beyond the context, is an error that says the range."""
    with pytest.raises(HarnessError, match="2 to 32"):
        clip_bpe(32).encode(TEXTS, length)


def test_the_tokenizer_travels_to_other_processes():
    """It is picklable and small, so that a spawned loader worker can have it."""
    tokenizer = clip_bpe(32)
    tokenizer.encode(TEXTS, 8)
    copied = pickle.dumps(tokenizer)
    assert len(copied) < 1000
    assert torch.equal(pickle.loads(copied).encode(TEXTS, 8).tokens, tokenizer.encode(TEXTS, 8).tokens)


def test_the_name_is_shared_and_the_context_is_the_towers(tiny):
    """Every tower with CLIP's vocabulary names its tokenizer alike, with its own context."""
    assert (tiny.tokenizer.name, tiny.tokenizer.context) == (CLIP_BPE, 77)


def test_pooled_text_equals_open_clip(tiny):
    """The pooled feature is open_clip's encode_text without normalisation."""
    encoding = tiny.tokenizer.encode(TEXTS, 77)
    with torch.no_grad():
        features = tiny.encode_text(encoding.tokens, encoding.mask)
        expected = tiny.clip.encode_text(encoding.tokens)
    torch.testing.assert_close(features.pooled, expected, atol=1e-5, rtol=0)
    assert features.tokens.shape == (3, 77, 64) and torch.equal(features.mask, encoding.mask)


@pytest.mark.parametrize("length", [7, 20, 77])
def test_padding_never_changes_a_text(tiny, length):
    """A text that fits has the same features at any length up to the context."""
    texts = ["a red circle", "two blue"]
    full, short = tiny.tokenizer.encode(texts, 77), tiny.tokenizer.encode(texts, length)
    with torch.no_grad():
        expected = tiny.encode_text(full.tokens, full.mask)
        features = tiny.encode_text(short.tokens, short.mask)
    torch.testing.assert_close(features.pooled, expected.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(features.tokens[short.mask], expected.tokens[full.mask], atol=1e-5, rtol=0)


def test_a_text_tower_of_its_own_module_is_run_alike():
    """A CustomTextCLIP, whose text tower is a module, gives open_clip's features too, also cut short."""
    torch.manual_seed(0)
    config = configuration("ViT-B-32", vision_layers=1, text_layers=2)
    clip = build_model({**config, "custom_text": True}).eval()
    encoding = clip_bpe().encode(["a red circle"], 77)
    with torch.no_grad():
        expected = clip.encode_text(encoding.tokens)
        for length in (9, 77):
            pooled = encode(clip.text, encoding.tokens[:, :length])[1]
            torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=0)


def test_a_bidirectional_text_tower_is_run_alike():
    """SigLIP's text tower (no causal mask, last position, projection with bias) equals open_clip's."""
    torch.manual_seed(0)
    clip = build_model(configuration("ViT-B-16-SigLIP", vision_layers=1, text_layers=2)).eval()
    tokens = torch.randint(2, 1000, (2, 64))
    with torch.no_grad():
        torch.testing.assert_close(encode(clip.text, tokens)[1], clip.encode_text(tokens), atol=1e-5, rtol=0)


class SpareTokenizer:
    """Stands in for a hub tokenizer: words to ids, padded with the end token as SigLIP's is."""

    def __init__(self):
        self.tokenizer = SimpleNamespace(pad_token_id=1, eos_token_id=1)

    def __call__(self, texts, context_length):
        rows = [[len(word) + 2 for word in text.split()] for text in texts]
        return torch.tensor([row + [1] * (context_length - len(row)) for row in rows])


def test_a_text_tower_that_reads_its_padding_gets_the_whole_context(monkeypatch):
    """A hub tokenizer takes its own context only, and marks one end token although it pads with it."""
    monkeypatch.setattr(tokenizers, "_hub_tokenizer", lambda model, source: SpareTokenizer())
    tokenizer = tokenizers.tokenizer_of("m", {"context_length": 6, "hf_tokenizer_name": "who/what"})
    assert (tokenizer.name, tokenizer.context) == ("who/what", 6)
    assert tokenizer.encode(["a red circle"], 6).mask[0].tolist() == [True] * 4 + [False] * 2
    with pytest.raises(HarnessError, match="exactly 6 tokens, not 5"):
        tokenizer.encode(["a red circle"], 5)


def test_a_tokenizer_that_is_not_here_is_refused_at_once(monkeypatch, tmp_path):
    """A SigLIP without its vocabulary is refused while it is built, saying what to install or fetch."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HarnessError, match=r"the tokenizer of ViT-B-16-SigLIP") as caught:
        backbones.build(ViTB16SigLIP(vision_layers=1, text_layers=1))
    assert caught.value.hint

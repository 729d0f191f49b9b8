"""Weights from files and tags: strictly, and without running what came in the file."""

import hashlib
import os
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness import HarnessError, lazy
from harness_clip import backbones, weights
from harness_clip.architectures import build_model, configuration
from harness_clip.options import OpenClipOptions, TinyOptions, ViTB32

SMALL = TinyOptions(width=16, layers=1, heads=2, text_width=16, text_layers=1, text_heads=2, dim=8)


def small(weights: str = ""):
    return backbones.build_tiny(
        TinyOptions(
            **{f: getattr(SMALL, f) for f in SMALL.__struct_fields__ if f != "weights"}, weights=weights
        )
    )


@pytest.fixture
def state():
    """The tensors of one model, as open_clip names them."""
    torch.manual_seed(1)
    return {key: value.clone() for key, value in small().clip.state_dict().items()}


def written(tmp_path, content, name="w.pt") -> str:
    path = tmp_path / name
    save_file(content, path) if name.endswith(".safetensors") else torch.save(content, path)
    return str(path)


def assert_loaded(backbone, state):
    own = backbone.clip.state_dict()
    assert own.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(own[key], value.float(), msg=key)


CONTAINERS = {
    "bare": lambda s: s,
    "in a checkpoint": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"step": 1}},
    "from distributed training": lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    "from a harness backbone": lambda s: {f"clip.{k}": v for k, v in s.items()},
    "in half precision": lambda s: {k: v.half() for k, v in s.items()},
    "scale in a vector": lambda s: {**s, "logit_scale": s["logit_scale"].reshape(1)},
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_torch_files_load_from_every_container(tmp_path, state, container):
    """The same tensors arrive whether bare, in a checkpoint or under a wrapper's prefix."""
    content = CONTAINERS[container](state)
    if container == "in half precision":
        state = {k: v.half() for k, v in state.items()}
    assert_loaded(small(written(tmp_path, content)), state)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin"])
def test_safetensors_are_told_by_content(tmp_path, state, name):
    """A safetensors file loads under any name, and the record says which file it was."""
    path = written(tmp_path, state, "w.safetensors")
    os.rename(path, tmp_path / name)
    backbone = small(str(tmp_path / name))
    assert_loaded(backbone, state)
    assert backbone.pretraining == f"weights:{name}"


def test_the_old_torch_format_loads(tmp_path, state):
    """A file from before torch 1.6, which is a plain pickle, loads as well."""
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert_loaded(small(str(tmp_path / "old.pt")), state)


def test_text_keys_find_their_place(tmp_path):
    """A CLIP's file loads into a CustomTextCLIP and the other way round."""
    config = configuration("ViT-B-32", vision_layers=1, text_layers=1)
    plain, custom = build_model(config), build_model({**config, "custom_text": True})
    weights.load(custom, written(tmp_path, plain.state_dict()), "custom")
    torch.testing.assert_close(custom.text.token_embedding.weight, plain.token_embedding.weight)
    torch.testing.assert_close(custom.visual.proj, plain.visual.proj)
    nn.init.ones_(custom.text.text_projection)
    weights.load(plain, written(tmp_path, custom.state_dict()), "plain")
    assert (plain.text_projection == 1).all()


def test_missing_and_unexpected_keys_are_counted_and_named(tmp_path, state):
    """A file with other keys is refused with the counts and the first names."""
    del state["ln_final.bias"]
    state.update({f"head.{i}": torch.zeros(1) for i in range(5)})
    with pytest.raises(HarnessError) as caught:
        small(written(tmp_path, state))
    message = str(caught.value)
    assert "1 missing: ln_final.bias" in message
    assert "5 unexpected: head.0, head.1, head.2 and 2 more" in message and "\n" not in message


def test_a_misshapen_key_is_named_with_both_shapes(tmp_path, state):
    """A tensor of another shape is refused with its name and both shapes."""
    state["visual.conv1.weight"] = torch.zeros(16, 3, 4, 4)
    with pytest.raises(HarnessError, match=r"visual.conv1.weight \[16, 3, 4, 4\] instead of \[16, 3, 8, 8\]"):
        small(written(tmp_path, state))


class Payload:
    """What an attacker would put in a checkpoint."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (self.mark,))


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, state, new_format):
    """A pickle that would call a function is refused in one line, and the function not called."""
    mark, path = str(tmp_path / "ran"), tmp_path / "evil.pt"
    torch.save({**state, "x": Payload(mark)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(HarnessError, match="could run code") as caught:
        small(str(path))
    assert not os.path.exists(mark) and "\n" not in str(caught.value)


class Archive(nn.Module):
    """A scripted module with a state dict of our choice, as OpenAI's archives are."""

    def __init__(self, tensors):
        super().__init__()
        for key, value in tensors.items():
            parent = self
            *path, leaf = key.split(".")
            for part in path:
                if not hasattr(parent, part):
                    parent.add_module(part, nn.Module())
                parent = getattr(parent, part)
            parent.register_buffer(leaf, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def archive(tmp_path, state) -> str:
    scalars = {name: torch.tensor(7) for name in ("input_resolution", "context_length", "vocab_size")}
    tensors = {**{k: v.half() for k, v in state.items()}, **scalars}
    path = str(tmp_path / "archive.pt")
    torch.jit.script(Archive(tensors)).save(path)
    return path


def test_a_program_that_openai_did_not_publish_is_refused(tmp_path, state):
    """A TorchScript archive with another SHA-256 than OpenAI's is not opened."""
    with pytest.raises(HarnessError, match="TorchScript program") as caught:
        small(archive(tmp_path, state))
    assert "state_dict" in caught.value.hint


def test_an_archive_of_openai_becomes_float_tensors(tmp_path, state, monkeypatch):
    """An archive with a known SHA-256 gives single-precision tensors without the three scalars."""
    path = archive(tmp_path, state)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    monkeypatch.setitem(weights.OPENAI_ARCHIVES, digest, "ViT-B-32-quickgelu")
    module = small().clip
    weights.load(module, path, "ViT-B-32-quickgelu")
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, state[key].half().float())
    with pytest.raises(HarnessError, match="has no QuickGELU") as caught:
        weights.load(module, path, "ViT-B-32")
    assert "ViT-B-32-quickgelu" in caught.value.hint


def test_the_known_archives_are_those_of_open_clips_addresses():
    """The four SHA-256 are the ones in the addresses that open_clip has for OpenAI's ViTs."""
    for digest, model in weights.OPENAI_ARCHIVES.items():
        assert f"/{digest}/" in lazy.open_clip().get_pretrained_url(model, "openai")


BROKEN = {
    "empty": b"",
    "a web page": b"<!doctype html><title>404</title>",
    "a zip cut short": b"PK\x03\x04" + bytes(60),
    "safetensors cut short": (500).to_bytes(8, "little") + b'{"a": ',
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_said_to_be_one(tmp_path, kind):
    """A file that is not weights, or only half of them, is refused in one line with its name."""
    path = tmp_path / "broken.pt"
    path.write_bytes(BROKEN[kind])
    with pytest.raises(HarnessError, match=r"broken\.pt") as caught:
        small(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": 1}}, {}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    """A torch file that holds something other than named tensors is refused."""
    with pytest.raises(HarnessError, match=r"holds"):
        small(written(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path):
    """A path without a file is an error that shows the path."""
    with pytest.raises(HarnessError, match="there is no weights file"):
        small(str(tmp_path / "none.pt"))


@pytest.mark.parametrize(
    ("model", "tag", "right"),
    [
        ("ViT-B-32", "openai", "ViT-B-32-quickgelu"),
        ("ViT-B-16", "metaclip_400m", "ViT-B-16-quickgelu"),
        ("ViT-L-14-quickgelu", "datacomp_xl_s13b_b90k", "ViT-L-14"),
    ],
)
def test_weights_of_the_other_gelu_are_refused(model, tag, right):
    """Published weights on a model with the other activation are refused, with the model to use."""
    with pytest.raises(HarnessError, match="GELU") as caught:
        backbones.build(OpenClipOptions(model=model, pretrained=tag))
    assert caught.value.hint == f"use {right}"


def test_an_unknown_tag_brings_the_known_ones():
    """A tag that open_clip does not have is refused with the tags that it has."""
    with pytest.raises(HarnessError, match="no weights 'laion3b'") as caught:
        backbones.build(ViTB32(pretrained="laion3b"))
    assert "laion2b_s34b_b79k" in caught.value.hint


def test_published_weights_without_a_network_say_which_file(monkeypatch, tmp_path):
    """Where nothing can be downloaded, the error names the file to pass."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HarnessError, match="could not be downloaded") as caught:
        backbones.build(OpenClipOptions(model="ViT-B-32-quickgelu", pretrained="openai"))
    assert "huggingface.co/timm/vit_base_patch32_clip_224.openai" in caught.value.hint
    assert "--weights FILE" in caught.value.hint and "\n" not in str(caught.value)


def test_a_file_wins_over_a_tag(tmp_path):
    """With both given, the file is read, nothing is downloaded, and the record names the file."""
    options = {"vision_layers": 1, "text_layers": 1}
    clip = build_model(configuration("ViT-B-32-quickgelu", **options))
    path = written(tmp_path, clip.state_dict())
    backbone = backbones.build(
        OpenClipOptions(model="ViT-B-32-quickgelu", pretrained="openai", weights=path, **options)
    )
    assert_loaded(backbone, clip.state_dict())
    assert (backbone.name, backbone.pretraining) == ("ViT-B-32-quickgelu", "weights:w.pt")

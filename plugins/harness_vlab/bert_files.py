"""Weights and vocabulary of bert-base-uncased, from a folder or from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from harness import HarnessError
from harness.models import differences, read_tensors
from harness_vlab.encoder import MultimodalEncoder, PredictionHead

VOCABULARY = "vocab.txt"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HEAD = "cls.predictions."


def folder_of(bert: str) -> Path:
    """The folder with the files: a local one, or that of a name on the hub."""
    local = Path(bert).expanduser()
    if local.is_dir():
        return local
    if local.is_absolute() or bert.startswith((".", "~")):
        raise HarnessError(f"there is no folder {bert}", "name a folder with the files of bert-base-uncased")
    import huggingface_hub  # of open_clip's own requirements

    try:
        return Path(huggingface_hub.snapshot_download(bert, allow_patterns=[VOCABULARY, *_WEIGHTS]))
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"{bert} is no folder, and not to be had from the Hugging Face hub: {error}".splitlines()[0],
            "copy its files here and name their folder with --set model.temporal.bert=DIR",
        ) from error


def load_bert(folder: Path, encoder: MultimodalEncoder, head: PredictionHead) -> None:
    """Fill everything that BERT has; cross-attention stays as initialised.

    Raises HarnessError, with nothing changed, where the file does not fit.
    """
    path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise HarnessError(
            f"{folder} has none of {', '.join(_WEIGHTS)}", "get the weights of bert-base-uncased"
        )
    own = {f"encoder.{k}": v for k, v in encoder.state_dict().items() if "crossattention" not in k}
    own |= {f"head.{k}": v for k, v in head.state_dict().items()}
    found = {new: value for key, value in read_tensors(path).items() if (new := _renamed(key))}
    if problems := differences(found, own):
        raise HarnessError(
            f"{path} does not fit the multimodal encoder: {problems}",
            "it has BERT-base's sizes by default; see model.temporal.hidden_size and layers",
        )
    encoder.load_state_dict(_under("encoder.", found), strict=False)
    head.load_state_dict(_under("head.", found))


def _renamed(key: str) -> str:
    """Our name of one of BERT's tensors; empty for what is not needed."""
    key = key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    if key.startswith(_HEAD):
        kept = key.removeprefix(_HEAD).replace("transform.", "")
        return "" if kept.startswith("decoder.") else f"head.{kept}"
    key = key.removeprefix("bert.")
    if key.startswith(("pooler.", "cls.")) or key.endswith("position_ids"):
        return ""
    return f"encoder.{key}"


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

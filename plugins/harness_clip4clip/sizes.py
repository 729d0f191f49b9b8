"""What a checkpoint is of: head, patches and sizes, and what to type where a model differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness_clip4clip.options import SeqTransformerOptions

# Patch, image, vision width and layers, text width and layers, dim: the ViTs that OpenAI published
# (https://github.com/openai/CLIP), by the backbone that computes the same.
_PUBLISHED = {
    (32, 224, 768, 12, 512, 12, 512): "ViT-B-32-quickgelu",
    (16, 224, 768, 12, 512, 12, 512): "ViT-B-16-quickgelu",
    (14, 224, 1024, 24, 768, 12, 768): "ViT-L-14-quickgelu",
    (14, 336, 1024, 24, 768, 12, 768): "open_clip/ViT-L-14-336-quickgelu",
}

_OF_HEAD = ("head", "linear_patch", "layers")


@dataclass(frozen=True)
class Description:
    """What a checkpoint is of, in the reference's words; ``layers`` of the head (0: it has none).

    Pixels for ``patch`` and ``image``. The cross-encoder's number of attention heads is in no file.
    """

    head: str
    linear_patch: str
    patch: int
    image: int
    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    context: int
    vocabulary: int
    dim: int
    layers: int

    @property
    def published_clip(self) -> str:
        """The backbone that is OpenAI's CLIP of these sizes; "" where OpenAI published none."""
        towers = (self.vision_width, self.vision_layers, self.text_width, self.text_layers)
        return _PUBLISHED.get((self.patch, self.image, *towers, self.dim), "")

    def __str__(self) -> str:
        return _listed(asdict(self))


def difference(held: Description, model: Description) -> tuple[str, str]:
    """How a file differs from a model, and what to type for the file's; empty where they agree."""
    theirs, ours = asdict(held), asdict(model)
    if held.head != model.head:  # the number of layers is the head's own affair
        del theirs["layers"]
    differing = {name: value for name, value in theirs.items() if value != ours[name]}
    if not differing:
        return "", ""
    said = f"the file has {_listed(differing)}, the model {_listed({name: ours[name] for name in differing})}"
    advice = []
    if held.head != model.head:
        advice.append(f"--method clip4clip_{held.head.lower()}")
    if held.linear_patch != model.linear_patch:
        advice.append(f"--set model.temporal.linear_patch={held.linear_patch}")
    if held.layers and held.layers != (model.layers or SeqTransformerOptions().layers):
        advice.append(f"--set model.temporal.layers={held.layers}")
    towers = {name: value for name, value in differing.items() if name not in _OF_HEAD}
    if towers and held.published_clip:
        advice.append(f"--backbone {held.published_clip}")
    elif towers:
        advice.append(f"--backbone NAME, one with {_listed(towers)}")
    return said, " ".join(advice)


def _listed(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())

"""What a recipe may set on the towers of this plugin."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from harness import Options

_Size = Annotated[int, Meta(ge=1)]
_Depth = Annotated[int, Meta(ge=0)]


class OpenClipOptions(Options):
    """A model of open_clip.

    ``model`` is open_clip's name for it. ``weights`` is a local file and wins over ``pretrained``,
    an open_clip tag such as ``openai``; with neither, training starts from random weights.
    ``vision_layers`` and ``text_layers`` cut the towers to that depth (0: as published), which is
    meant for tests.
    """

    model: str = ""
    pretrained: str = ""
    weights: str = ""
    vision_layers: _Depth = 0
    text_layers: _Depth = 0


class ViTB32(OpenClipOptions):
    model: Literal["ViT-B-32"] = "ViT-B-32"


class ViTB16(OpenClipOptions):
    model: Literal["ViT-B-16"] = "ViT-B-16"


class ViTL14(OpenClipOptions):
    model: Literal["ViT-L-14"] = "ViT-L-14"


class ViTB32QuickGELU(OpenClipOptions):
    model: Literal["ViT-B-32-quickgelu"] = "ViT-B-32-quickgelu"


class ViTB16QuickGELU(OpenClipOptions):
    model: Literal["ViT-B-16-quickgelu"] = "ViT-B-16-quickgelu"


class ViTL14QuickGELU(OpenClipOptions):
    model: Literal["ViT-L-14-quickgelu"] = "ViT-L-14-quickgelu"


class EVA01g14(OpenClipOptions):
    model: Literal["EVA01-g-14"] = "EVA01-g-14"


class ViTB16SigLIP(OpenClipOptions):
    model: Literal["ViT-B-16-SigLIP"] = "ViT-B-16-SigLIP"


class TimmOptions(Options):
    """A timm ViT or EVA beside a CLIP text tower, both from random weights unless given.

    ``model`` is timm's name; ``weights`` is a file with the whole dual tower; ``dim`` is the width
    of the shared space. ``vision_layers`` cuts the visual tower (0: as published).
    """

    model: str = ""
    weights: str = ""
    dim: _Size = 512
    vision_layers: _Depth = 0
    text_width: _Size = 512
    text_layers: _Size = 12
    text_heads: _Size = 8
    context: _Size = 77


class CocaOptions(Options):
    """A CoCa of open_clip, which captions pictures in at most ``length`` tokens.

    ``model`` is open_clip's name for it. ``weights`` is a local file and wins over ``pretrained``, an
    open_clip tag.
    """

    model: str = "coca_ViT-L-14"
    pretrained: str = "mscoco_finetuned_laion2B-s13B-b90k"
    weights: str = ""
    length: _Size = 20


class TinyCocaOptions(Options):
    """A CoCa that tests can run, sizes in pixels, tokens and widths; one width for all of its parts."""

    weights: str = ""
    length: _Size = 8
    width: _Size = 32
    layers: _Size = 1
    heads: _Size = 2
    patch: _Size = 8
    image_size: _Size = 32
    context: _Size = 76


class TinyOptions(Options):
    """A CLIP small enough to train on a laptop's processor; sizes in pixels, tokens and widths."""

    weights: str = ""
    width: _Size = 96
    layers: _Size = 3
    heads: _Size = 3
    patch: _Size = 8
    image_size: _Size = 32
    text_width: _Size = 64
    text_layers: _Size = 3
    text_heads: _Size = 2
    dim: _Size = 64
    context: _Size = 77

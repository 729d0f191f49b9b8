"""The visual towers taken apart, one module per family."""

from __future__ import annotations

from torch import nn

from harness import lazy
from harness.models import TowerView
from harness_clip.towers.parts import refuse


def view_of(visual: nn.Module, name: str) -> TowerView:
    """The visual tower of an open_clip model as a :class:`harness.models.TowerView`.

    ``visual`` is that model's ``visual`` module and ``name`` what an error calls it. The view
    shares the module's parameters and runs plainly to the same features. Raises
    :class:`harness.HarnessError` for a tower that cannot be taken apart, saying why.
    """
    open_clip = lazy.open_clip()
    if isinstance(visual, open_clip.transformer.VisionTransformer):
        from harness_clip.towers.open_clip_vit import OpenClipViT

        return OpenClipViT(visual, name)
    if isinstance(visual, open_clip.timm_model.TimmModel):
        return timm_view(visual.trunk, visual.head, name)
    refuse(name, f"its visual tower is a {type(visual).__name__}, not a transformer over patches")


def timm_view(trunk: nn.Module, head: nn.Module, name: str) -> TowerView:
    """A timm model (``trunk``) with what follows it (``head``) as a TowerView."""
    models = lazy.timm().models
    # Exact types: a subclass is a subclass because it computes something else.
    if type(trunk) is models.vision_transformer.VisionTransformer:
        from harness_clip.towers.timm_vit import TimmViT

        return TimmViT(trunk, head, name)
    if type(trunk) is models.eva.Eva:
        from harness_clip.towers.timm_eva import TimmEva

        return TimmEva(trunk, head, name)
    refuse(name, f"its visual tower is timm's {type(trunk).__name__}, not a plain ViT or EVA")

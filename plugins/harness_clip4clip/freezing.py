"""The reference's ``freeze_layer_num`` as name patterns for a recipe's ``trainable``."""

from __future__ import annotations

_ALWAYS = (
    "temporal.*",
    "backbone.*ln_final.*",
    "backbone.*text_projection*",
    "backbone.*logit_scale",
    "backbone.*visual.ln_post.*",
    "backbone.*visual.proj",
)


def trainable(freeze_layer_num: int, layers: int) -> tuple[str, ...]:
    """What stays trainable on towers of up to ``layers`` layers each.

    -1 freezes nothing. 0 freezes all embeddings, the patch projection and the norm before the
    first layer; ``k`` also the first ``k`` layers of both towers. The heads always train. With 3d
    patches the reference's code freezes nothing whatever it is told; these patterns do.
    """
    assert freeze_layer_num >= -1
    if freeze_layer_num == -1:
        return ("*",)
    return _ALWAYS + tuple(f"backbone.*resblocks.{layer}.*" for layer in range(freeze_layer_num, layers))

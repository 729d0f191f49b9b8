"""A plugin that takes the name of somebody else's loss."""

from harness import LossSpec, hookimpl


@hookimpl
def harness_losses():
    return [
        LossSpec(name="info_nce", summary="for tests", factory="tests.conformance.broken.losses:contrast")
    ]

"""A plugin that prints when it is imported, where other programs look for results."""

from harness import LossSpec, hookimpl

print("thank you for choosing loud")


@hookimpl
def harness_losses():
    return [
        LossSpec(name="broken_loud", summary="for tests", factory="tests.conformance.broken.losses:contrast")
    ]

"""The conformance kit: does a plugin keep its promises? `harness check PLUGIN`, and for its own tests::

    from harness.testing import conformance

    test_conformance = conformance("my-plugin")

Every component that the plugin declares is built small and tried on made-up clips and texts, in
seconds and without a network. ``docs/testing.md`` lists what is checked. Importing this package
costs no torch.
"""

from harness.testing.kit import Fault, NotChecked, Outcome, Subject, examine, subjects
from harness.testing.pytest_cases import conformance

__all__ = ["Fault", "NotChecked", "Outcome", "Subject", "conformance", "examine", "subjects"]

"""Looks through a data set before anything is run on it: what is there, sound, doubled or shared.

Counting what is missing is not enough. A file that opens may fail halfway, and a clip that lies in
the training and in the test split under two names makes a score better than it is. So every frame is
decoded, and files are compared by content.
"""

from harness.data.inspection.inspecting import Inspection, ProtocolFindings, SplitFindings, inspect

__all__ = ["Inspection", "ProtocolFindings", "SplitFindings", "inspect"]

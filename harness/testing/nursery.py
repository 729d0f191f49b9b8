"""What every member of a crew needs, imported once, in the process that they are copies of."""

import torch

from harness import lazy
from harness.testing import steps as steps

torch.set_num_threads(1)
lazy.open_clip()

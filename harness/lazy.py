"""The one door to torchvision, open_clip and timm.

They cost seconds to import, so each is a function here, called where the module is used and in
every process that uses it (command line, Ray worker, spawned loader worker). The functions also
repair one installation: torchvision's Linux wheel registers its compiled operators through a CUDA
library, so beside a CPU-only torch its import ends with ``operator torchvision::nms does not
exist``, and the imports of open_clip and timm with it. Declaring the missing operators' signatures
is enough for transforms and for every tower. ``nms`` and ``decode_jpeg`` themselves stay without
an implementation; nothing in the harness calls them.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_lock = threading.Lock()

# torch forgets an operator when the Library that declared it is collected, so it is kept here.
_declared: list[object] = []


def torchvision() -> ModuleType:
    """The ``torchvision`` module; :class:`ImportError` where it is not installed."""
    with _lock:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::" not in str(error) or _declared:
                raise
            _declare_operators()
            return importlib.import_module("torchvision")


def open_clip() -> ModuleType:
    """The ``open_clip`` module; :class:`ImportError` where it is not installed."""
    torchvision()
    return importlib.import_module("open_clip")


def timm() -> ModuleType:
    """The ``timm`` module; :class:`ImportError` where it is not installed."""
    torchvision()
    return importlib.import_module("timm")


def _declare_operators() -> None:
    """Declare what torchvision's Python half expects of its compiled half."""
    import torch

    # The failed import left half-made modules behind, and Python would hand them out again.
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _SIGNATURE)
    _declared.append(library)

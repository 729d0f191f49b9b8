"""harness.lazy: the one door to torchvision, open_clip and timm."""

import subprocess
import sys

HEAVY = ("torchvision", "open_clip", "timm", "torch")


def run_python(code: str) -> str:
    """What a fresh interpreter prints; its own failure is this test's failure."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_door_opens_nothing():
    """Importing harness.lazy imports neither torch nor any of the three libraries."""
    loaded = run_python(f"import sys, harness.lazy; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_listing_the_clip_plugin_imports_no_torch():
    """The specs of the clip plugin can be listed without importing torch."""
    code = (
        "import sys; from harness_clip import plugin; names = [s.name for s in plugin.harness_backbones()];"
        f"assert 'ViT-B-32' in names; print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_all_three_import_in_a_fresh_process():
    """In a new process all three libraries import, with transforms that work, whatever the torch."""
    code = (
        "from harness import lazy; import torch;"
        "oc, timm, tv = lazy.open_clip(), lazy.timm(), lazy.torchvision();"
        "from torchvision.transforms import v2;"
        "print(oc.__name__, timm.__name__, tv.__name__, v2.CenterCrop(4)(torch.zeros(3, 8, 8)).shape[-1])"
    )
    assert run_python(code) == "open_clip timm torchvision 4"


def test_opening_again_gives_the_same_module():
    """A second call hands out the module of the first: the repair is done once."""
    code = (
        "from harness import lazy; print(lazy.torchvision() is lazy.torchvision(), len(lazy._declared) <= 1)"
    )
    assert run_python(code) == "True True"

"""A plugin whose data sets each break one promise."""

from __future__ import annotations

from pathlib import Path

from harness import DatasetSpec, HarnessError, ProtocolSpec, hookimpl
from harness.data import Caption, Clip, Dataset

LIST = "list.txt"


class Listed(Dataset):
    """The sound one that the others are spoilt versions of: a clip for each line of a file."""

    def __init__(self, root: Path) -> None:
        if not (root / LIST).is_file():
            raise HarnessError(f"there is no {root / LIST}", "look at the data root")
        self.names = (root / LIST).read_text().split()
        self.root = root

    def splits(self):
        return ("test",)

    def clips(self, split):
        return [Clip(name, None) for name in self.names]

    def captions(self, split, source="text"):
        return [Caption(name, name, f"it is {name}") for name in self.names]


class TextPaths(Listed):
    """Its paths are no paths."""

    def clips(self, split):
        return [Clip(name, str(self.root / name)) for name in self.names]


def sound(options, root):
    return Listed(Path(root))


def text_paths(options, root):
    return TextPaths(Path(root))


def plain_error(options, root):
    (Path(root) / LIST).read_text()
    return Listed(Path(root))


def sample(folder: Path) -> None:
    (folder / LIST).write_text("owl heron")


def empty_sample(folder: Path) -> None:
    """Writes nothing."""


@hookimpl
def harness_datasets():
    protocols = (ProtocolSpec(name="test", summary="for tests", train="test", test="test"),)
    made = {"sound": "sample", "text_paths": "sample", "plain_error": "sample", "empty": "empty_sample"}
    return [
        DatasetSpec(
            name=f"broken_{name}",
            summary="for tests",
            factory=f"{__name__}:{'sound' if name == 'empty' else name}",
            sample=f"{__name__}:{sample}",
            protocols=protocols,
        )
        for name, sample in made.items()
    ]

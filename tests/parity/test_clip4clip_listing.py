"""What the golden folder of CLIP4Clip holds."""

from __future__ import annotations

import clip4clip
import pytest

#: Of each of these there has to be a case: a test here asks for it.
WANTED = {
    "model", "init", "keys", "bertadam", "tokens", "sampling", "slicing", "transform", "loss", "metrics",
    "distributed", "datasets",
}  # fmt: skip


@pytest.mark.parametrize("folder", [pytest.param(clip4clip.FOLDER, id="clip4clip-folder")])
def test_every_file_is_of_a_known_kind(folder, capsys) -> None:
    """Nothing in the folder is of unknown kind, and no kind that is tested here is missing."""
    found = clip4clip.listing()
    with capsys.disabled():
        print("\nclip4clip:", ", ".join(f"{kind} {len(paths)}" for kind, paths in sorted(found.items())))
    assert not found.get("unknown"), f"of unknown kind: {found['unknown']}"
    assert set(found) >= WANTED, f"no case of {sorted(WANTED - set(found))} in {folder}"


@pytest.mark.parametrize("folder", [pytest.param(clip4clip.FOLDER, id="clip4clip-folder")])
def test_every_tensor_file_belongs_to_a_case(folder) -> None:
    """Beside each file of tensors lies the JSON file that says what they are."""
    described = {path.with_suffix("") for paths in clip4clip.listing().values() for path in paths}
    for path in folder.rglob("*.safetensors"):
        stem = path.name.removesuffix(".safetensors").removesuffix(".state").removesuffix(".io")
        assert path.with_name(stem) in described, path

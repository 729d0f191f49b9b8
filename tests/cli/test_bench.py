"""`harness bench`, where it cannot work; what it measures is tested part by part."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("what", ["data", "annotations", "decode"])
@pytest.mark.parametrize("place", ["cache", "cache/below"])
def test_a_cache_folder_that_cannot_be_written_is_refused(cli, tmp_path, monkeypatch, what, place):
    """One line with the folder, one with what to do, before anything is made."""
    (tmp_path / "cache").write_text("a file in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / place))
    done = cli("bench", what)
    error, hint = done.stderr.splitlines()
    assert done.exit_code == 2 and done.stdout == ""
    assert error.startswith(f"error: nothing can be written in {tmp_path / place}")
    assert "HARNESS_CACHE" in hint

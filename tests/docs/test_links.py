"""Every relative link and anchor in the documentation leads somewhere. Nothing is asked of the network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "leaderboards").glob("*.md")),
]

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def links(page: str) -> list[str]:
    """Targets of the links of a page, but for those in code and those with a scheme."""
    found = _LINK.findall(_CODE.sub("", page))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    bare = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    slugs: list[str] = []
    for heading in _HEADING.findall(bare):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in slugs)
        slugs.append(f"{slug}-{count}" if count else slug)
    return set(slugs)


def broken(path: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for target in links(path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or (anchor and anchor not in anchors(place.read_text("utf-8"))):
            found.append(target)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(path):
    """No link of the page leads to a file or heading that is not there."""
    assert broken(path) == []


def test_a_broken_link_is_found(tmp_path):
    """A missing file and a missing heading are told; code, addresses and right links are not."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, twice\n\n## Twice\n\n## Twice\n\n[a](none.md) [b](page.md#a-title-twice) [c](#twice-1) [d](#no)\n"
        "[e](https://example.org) `[f](none.md)`\n\n```text\n# No heading\n[g](none.md)\n```\n[h](#no-heading)\n"
    )
    assert broken(page) == ["none.md", "#no", "#no-heading"]

"""The leaderboards as a folder of pages whose tables sort by a click: from the text of the Markdown pages, so
that both say the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from harness.report.markdown import to_html
from harness.report.page import page, write_page

#: What the overview is called among the Markdown pages, and here.
_OVERVIEW, _INDEX = "README.md", "index.html"
#: By this a page is known as made here, so that an obsolete one may be removed.
_MARK = "<!-- made by harness leaderboard, do not edit -->"

_STYLE = """
th button { all: unset; cursor: pointer; white-space: nowrap; }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th button::after { content: " ↕"; color: var(--faint); }
th[aria-sort=ascending] button::after { content: " ↑"; color: var(--ink); }
th[aria-sort=descending] button::after { content: " ↓"; color: var(--ink); }
tbody tr:hover { background: var(--card); }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper); }
tr:hover td:first-child { background: var(--card); }
.notes { color: var(--faint); font-size: .88rem; } .notes li:target { color: var(--ink); font-weight: 600; }
@media (max-width: 34rem) {
  td:first-child { min-width: 8.5rem; max-width: 9.5rem; white-space: normal; overflow-wrap: anywhere; } }
@media print { th button::after { content: none; } table { font-size: 7pt; } }
"""

# Rows without a value stay last in both orders; equal rows keep their place. A first click shows the largest
# number first, as a leaderboard does, and the first of texts.
_SCRIPT = """
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    const link = head.querySelector("a");
    if (link) { button.textContent = " "; button.setAttribute("aria-label", "sort by " + head.textContent); }
    else button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows], cells = row => row.cells[column];
      const numbers = rows.some(row => cells(row).dataset.value !== undefined);
      const before = head.getAttribute("aria-sort");
      const order = before ? (before === "descending" ? "ascending" : "descending")
        : (numbers ? "descending" : "ascending");
      const sign = order === "ascending" ? 1 : -1;
      const empty = cell => numbers ? cell.dataset.value === undefined : cell.textContent === "—";
      rows.sort((x, y) => {
        const a = cells(x), b = cells(y);
        if (empty(a) || empty(b)) return empty(a) - empty(b);
        return sign * (numbers ? a.dataset.value - b.dataset.value : a.textContent.localeCompare(b.textContent));
      });
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      body.append(...rows);
    });
  });
}
"""


def site(pages: Mapping[str, str]) -> dict[str, str]:
    """The files of the site by name, from the Markdown pages by name. Other files go along as they are."""
    markdown = [name for name in pages if name.endswith(".md")]
    made = {}
    for name, text in pages.items():
        if name in markdown:
            made[_page_name(name)] = _MARK + "\n" + _page(name, text, markdown)
        else:
            made[name] = text
    return made


def write_site(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Write the site and remove its pages that are no more; returns the written files."""
    made = site(pages)
    for name, text in made.items():
        write_page(folder / name, text)
    for path in folder.glob("*.html"):
        if path.name not in made and path.read_bytes().startswith(_MARK.encode()):
            path.unlink()
    return [folder / name for name in made]


def _page_name(name: str) -> str:
    return _INDEX if name == _OVERVIEW else name.removesuffix(".md") + ".html"


def _page(name: str, text: str, names: list[str]) -> str:
    links = "".join(
        f'<a href="{escape(_page_name(other))}"{_here(other == name)}>{escape(_label(other))}</a>'
        for other in sorted(names, key=lambda other: (other != _OVERVIEW, other))
    )
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert title is not None, name
    body = to_html(text)
    return page(_label(name), f"<nav>{links}</nav>\n{body}", style=_STYLE, script=_SCRIPT)


def _here(current: bool) -> str:
    return ' aria-current="page"' if current else ""


def _label(name: str) -> str:
    return "Leaderboards" if name == _OVERVIEW else name.removesuffix(".md")

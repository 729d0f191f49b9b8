"""The frame of a page, and the few pieces that all pages are made of. Arguments called ``html`` or ``body``
are HTML already; every other string is text and is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from harness.report.style import STYLE
from harness.results.atomic import write_atomically

#: Nothing is fetched, whatever a text from a data set may contain; pictures lie in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script}; base-uri 'none'"


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole document. ``style`` and ``script`` are the page's own, beside the common style."""
    policy = _POLICY.format(script="'unsafe-inline'" if script else "'none'")
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        f"{body}\n" + (f"<script>{script}</script>\n" if script else "") + "</body>\n</html>\n"
    )


def facts(values: Mapping[str, object]) -> str:
    """A list of named values; those that are unknown (None, or empty) are left out."""
    known = {name: value for name, value in values.items() if value not in (None, "")}
    return (
        "<dl>"
        + "".join(
            f"<div{_long(value)}><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
            for name, value in known.items()
        )
        + "</dl>"
    )


def _long(value: object) -> str:
    """A value that would be a tall column gets a line of its own."""
    return ' class="long"' if len(str(value)) > 60 else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text: bool = False) -> str:
    """A table whose first column names the row; with ``text`` its cells are texts, else mostly numbers."""
    kind = ' class="text"' if text else ""
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row"{kind}>{escape(first)}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'
    )


def section(title: str, *html: str) -> str:
    """A part of a page; nothing where it has no content."""
    content = "\n".join(filter(None, html))
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def figure(html: str, caption: str) -> str:
    return f"<figure>\n{html}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def write_page(path: Path, html: str) -> None:
    """Write a page, all or nothing. Raises HarnessError where that cannot be."""
    write_atomically(path, html, "give another place")

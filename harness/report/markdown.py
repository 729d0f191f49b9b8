"""The Markdown that the leaderboards are written in, as HTML. That and no other: a line of another kind is a
mistake of ours, and an assertion.

Headings, pipe tables, bulleted and numbered lists, paragraphs; escapes, code, bold, italics, links, ``<sup>``.
Cells of tables carry what they sort by, and marks lead to their footnotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape, unescape
from itertools import count, groupby

from harness.report.sort_value import sort_value

_INLINE = re.compile(
    r"\\(?P<plain>[\\`*|\[\]_])|`(?P<code>[^`]+)`|<sup>(?P<sup>[\d, ]+)</sup>|\*\*(?P<b>[^*]+)\*\*"
    r"|\*(?P<i>(?:\\.|[^*\\])+)\*|\[(?P<text>(?:\\.|[^\]\\])+)\]\((?P<href>[^)\s]+)\)"
)
_KINDS = (("#", "heading"), ("|", "table"), ("- ", "list"), ("<!--", "comment"), ("", "text"))
_ALIGNMENT = re.compile(r":?-+:?")


def to_html(text: str) -> str:
    """The body of a page."""
    tables, parts = count(1), []
    lines = [(_kind(line), line) for line in text.split("\n")]
    number = 0
    for kind, group in groupby(lines, key=lambda pair: pair[0]):
        block = [line for _, line in group]
        if kind == "table":
            number = next(tables)
            parts.append(_table(block, number))
        elif kind == "heading":
            parts += [_heading(line) for line in block]
        elif kind == "list":
            parts.append("<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in block) + "</ul>")
        elif kind == "numbered":
            parts.append(_footnotes(block, number))
        elif kind == "text":
            parts.append(f"<p>{inline(' '.join(block))}</p>")
    return "\n".join(parts)


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    assert line == line.strip() and not line.startswith(("<div", "```", "> ", "* ")), line
    if re.match(r"\d+\. ", line):
        return "numbered"
    return next(kind for start, kind in _KINDS if line.startswith(start))


def _heading(line: str) -> str:
    marks, _, title = line.partition(" ")
    assert 1 <= len(marks) <= 3 and set(marks) == {"#"} and title, line
    return f"<h{len(marks)}>{inline(title)}</h{len(marks)}>"


def _cells(line: str) -> list[str]:
    assert line.endswith("|"), line
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line[1:-1])]


def _table(block: Sequence[str], number: int) -> str:
    heads, alignment, *rows = map(_cells, block)
    assert all(map(_ALIGNMENT.fullmatch, alignment)), block[1]
    assert all(len(row) == len(heads) for row in (alignment, *rows)), block[0]
    head = "".join(f'<th scope="col">{inline(cell)}</th>' for cell in heads)
    body = "".join(f"<tr>{''.join(_cell(cell, number) for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table class="sorted">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def _cell(cell: str, table: int) -> str:
    value = sort_value(cell)
    key = "" if value is None else f' data-value="{value:.10g}"'
    return f"<td{key}>{inline(cell, table)}</td>"


def _footnotes(block: Sequence[str], table: int) -> str:
    notes = [line.split(". ", 1) for line in block]
    assert [n for n, _ in notes] == [str(n) for n in range(1, len(notes) + 1)], block[0]
    items = "".join(f'<li id="t{table}-n{n}">{inline(note)}</li>' for n, note in notes)
    return f'<ol class="notes">{items}</ol>'


def inline(text: str, table: int = 0) -> str:
    """A line's text with its marks; ``table`` is the one whose footnotes are meant."""
    return "".join(_pieces(text, table))


def _pieces(text: str, table: int) -> Iterator[str]:
    end = 0
    for found in _INLINE.finditer(text):
        yield _plain(text[end : found.start()])
        yield _marked(found, table)
        end = found.end()
    yield _plain(text[end:])


def _plain(text: str) -> str:
    assert "<" not in text, text
    return escape(unescape(text))


def _marked(found: re.Match[str], table: int) -> str:
    kind = found.lastgroup
    if kind == "plain":
        return escape(found["plain"])
    if kind == "code":
        return f"<code>{escape(unescape(found['code']))}</code>"
    if kind == "sup":
        marks = found["sup"].split(", ")
        return "<sup>" + ", ".join(f'<a href="#t{table}-n{n}">{n}</a>' for n in marks) + "</sup>"
    if kind == "href":
        return f'<a href="{escape(_target(found["href"]))}">{inline(found["text"], table)}</a>'
    tag = {"b": "strong", "i": "em"}[kind]
    return f"<{tag}>{inline(found[kind], table)}</{tag}>"


def _target(href: str) -> str:
    """Pages are links to pages; anything else stays, where it runs nothing."""
    assert re.match(r"https?://|#|[\w.@-]+(?:/[\w.@-]+)*(?:#.*)?$", href), href
    return re.sub(r"^([\w./@-]+)\.md(?=$|#)", r"\1.html", re.sub(r"^README\.md", "index.html", href))

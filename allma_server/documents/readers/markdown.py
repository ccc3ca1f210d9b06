"""Markdown: a section for each heading, and for each long table and code block.

Comments and embedded images, which a rendered page does not show as text, are replaced by empty
lines, so that line numbers stay those of the file.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import accumulate, pairwise
from pathlib import PurePath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, elide_base64, is_blank
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section

_MIN_OWN_SECTION = 600
"""Characters from which on a table or code block is a section; others stay with the prose."""

_MAX_HEADING = 200
_PROSE = Section(0, 0, "markdown")
_FRONT_MATTER = re.compile(r"---\n(.*?)^(?:---|\.\.\.) *$|\+\+\+\n(.*?)^\+\+\+ *$", re.S | re.M)
_TITLE = re.compile(r"""^title\s*[:=]\s*(["']?)(.+?)\1\s*$""", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_EMPHASIS = str.maketrans("", "", "*`")
_ATTRIBUTES = re.compile(r"\s*\{[^{}]*\}\s*$")


def read(data: bytes, path: PurePath) -> Extract:
    """Read CommonMark with tables, and dialects such as R Markdown and MDX."""
    text = clean(elide_base64(decode(data)))
    front = _FRONT_MATTER.match(text)
    above = text.count("\n", 0, front.end()) if front else 0
    tokens = _parser().parse("\n" * above + text[front.end() if front else 0 :])
    lines = text.split("\n")
    _blank_comments(lines, tokens)
    text = "\n".join(lines)
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    named = _TITLE.search(front[0]) if front else None
    headings = ((level, title) for _, level, title in _headings(tokens))
    title = named[2] if named else next((t for level, t in headings if level == 1), None)
    return Extract(text, tuple(_sections(lines, tokens)), title)


@cache
def _parser() -> MarkdownIt:
    """Return a parser of blocks only; inline markup is not needed."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _blank_comments(lines: list[str], tokens: list[Token]) -> None:
    for token in tokens:
        if token.type == "html_block" and token.map and "<!--" in token.content:
            block = slice(*token.map)
            kept = _COMMENT.sub(lambda c: "\n" * c[0].count("\n"), "\n".join(lines[block]))
            lines[block] = kept.split("\n")


def _headings(tokens: list[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield line, level and plain title of each heading outside lists and quotations."""
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            title = _LINK.sub(r"\1", _ATTRIBUTES.sub("", content.content)).translate(_EMPHASIS)
            title = " ".join(title.split()) or "#"
            # A paragraph directly above a rule has the syntax of a heading, but is none.
            if len(title) <= _MAX_HEADING:
                yield opening.map[0], int(opening.tag[1:]), title


def _sections(lines: list[str], tokens: list[Token]) -> Iterator[Section]:
    """Yield the sections between headings and around long blocks; they cover the text."""
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    starts[-1] -= 1
    marks: list[tuple[int, Section]] = [(0, _PROSE)]
    path: list[tuple[int, str]] = []
    titles = {line: (level, title) for line, level, title in _headings(tokens)}
    for token in tokens:
        if token.level or not token.map:
            continue
        first, last = token.map
        long = starts[last] - starts[first] > _MIN_OWN_SECTION
        if token.type == "heading_open" and first in titles:
            level, title = titles[first]
            path = [above for above in path if above[0] < level] + [(level, title)]
            marks.append((first, replace(_PROSE, heading=tuple(t for _, t in path))))
        elif long and token.type in ("fence", "code_block"):
            marks += [(first, replace(marks[-1][1], kind="code")), (last, marks[-1][1])]
        elif long and token.type == "table_open" and last - first > 3:
            table = replace(
                marks[-1][1],
                kind="records",
                repeat="\n".join(lines[first : first + 2]) + "\n",
                breaks=tuple(starts[first + 2 : last]),
            )
            marks += [(first, table), (last, marks[-1][1])]
    for (first, template), (last, _) in pairwise((*marks, (len(lines), _PROSE))):
        if first < last:
            yield replace(template, start=starts[first], end=starts[last])

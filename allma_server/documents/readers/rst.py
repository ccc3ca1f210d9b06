"""reStructuredText: a section for each title; levels follow the order of the underlines."""

import re
from collections.abc import Iterator
from pathlib import PurePath

from allma_server.documents.readers.line_sections import (
    MAX_HEADING,
    Heading,
    file_text,
    sectioned,
)
from allma_server.types import Extract

_LINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_ROLE = re.compile(r":[\w:+.-]+:`([^`<]*?)(?:\s*<[^`]*>)?`|``?([^`]*?)``?_{0,2}")


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document with its lines as they are; nothing that it includes is opened."""
    text = file_text(data)
    return sectioned(text, _headings(text.split("\n")))


def _headings(lines: list[str]) -> Iterator[Heading]:
    levels: dict[str, int] = {}
    end = 0  # the line after the last title
    for at in range(1, len(lines)):
        under, title = lines[at].rstrip(), lines[at - 1].rstrip()
        if at <= end or not (mark := _LINE.match(under)) or _LINE.match(title):
            continue
        over = at >= 2 and lines[at - 2].rstrip() == under and at - 2 >= end
        above = lines[at - 3 if over else at - 2].strip() if at >= (3 if over else 2) else ""
        indented = title[:1].isspace() and not over
        if not title or indented or above or len(title.strip()) > min(len(under) + 2, MAX_HEADING):
            continue
        level = levels.setdefault(mark[1] * (2 if over else 1), len(levels) + 1)
        shown = _ROLE.sub(lambda match: match[1] or match[2] or "", title)
        yield at - 2 if over else at - 1, level, shown
        end = at + 1

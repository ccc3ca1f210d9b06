"""Org mode: a section for each headline."""

import re
from collections.abc import Iterator
from pathlib import PurePath

from allma_server.documents.readers.line_sections import Heading, file_text, sectioned
from allma_server.types import Extract

_HEADLINE = re.compile(
    r"(\*{1,20})[ \t]+(?:[A-Z]{3,12}[ \t]+)?(?:\[#\w\][ \t]+)?(\S.{0,300}?)"
    r"(?:[ \t]+:[\w@#%:]+:)?[ \t]*$"
)
_TITLE = re.compile(r"^#\+TITLE:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document with its lines as they are."""
    text = file_text(data)
    title = _TITLE.search(text)
    return sectioned(text, _headings(text.split("\n")), title[1].strip() if title else None)


def _headings(lines: list[str]) -> Iterator[Heading]:
    for at, line in enumerate(lines):
        if line.startswith("*") and (match := _HEADLINE.match(line)):
            yield at, len(match[1]), match[2]

"""AsciiDoc: a section for each title outside of blocks."""

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

_TITLE = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?\s*$")
_VERBATIM = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,}|```\S*)\s*$")


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document with its lines as they are; nothing that it includes is opened."""
    text = file_text(data)
    return sectioned(text, _headings(text.split("\n")))


def _headings(lines: list[str]) -> Iterator[Heading]:
    block = ""
    for at, line in enumerate(lines):
        if fence := _VERBATIM.match(line):
            mark = fence[1][:3] if fence[1].startswith("`") else fence[1]
            block = "" if block == mark else block or mark
        elif not block and (title := _TITLE.match(line)) and len(title[2]) <= MAX_HEADING:
            yield at, len(title[1]), title[2]

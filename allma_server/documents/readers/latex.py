"""LaTeX: a section for each sectioning command."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import PurePath

from allma_server.documents.readers.line_sections import (
    MAX_HEADING,
    Heading,
    file_text,
    sectioned,
)
from allma_server.types import Extract

_LEVELS = {
    "part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6,
}  # fmt: skip
_ARGUMENT = r"\{((?:[^{}\\]|\\.|\{(?:[^{}\\]|\\.)*\})*)\}"
_HEADING = re.compile(rf"\\({'|'.join(_LEVELS)})\*?\s*(?:\[[^\]\n]*\]\s*)?{_ARGUMENT}")
_TITLE = re.compile(rf"\\title\s*(?:\[[^\]\n]*\]\s*)?{_ARGUMENT}")
_SKIPPED = re.compile(
    r"\\begin\{(verbatim|lstlisting|minted|comment)\*?\}.*?\\end\{\1\*?\}|(?<!\\)%[^\n]*", re.DOTALL
)
_COMMAND = re.compile(r"\\(?:label|index|footnote|thanks)\{[^{}]*\}|\\[A-Za-z]+\*?\s?|\\(.)|[{}$]")


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document or a package with its lines as they are; nothing it includes is opened."""
    text = file_text(data)
    source = _SKIPPED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    title = _TITLE.search(source)
    return sectioned(text, _headings(source), _plain(title[1]) if title else None)


def _headings(source: str) -> Iterator[Heading]:
    breaks = [match.start() for match in re.finditer("\n", source)]
    last = -1
    for match in _HEADING.finditer(source):
        title = _plain(match[2])
        line = bisect_right(breaks, match.start())
        if title and len(title) <= MAX_HEADING and line > last:
            yield line, _LEVELS[match[1]], title
            last = line


def _plain(source: str) -> str:
    """Return a title without commands and markup."""
    text = _COMMAND.sub(lambda match: match[1] or "", source)
    return " ".join(text.replace("~", " ").split())

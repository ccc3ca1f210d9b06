"""Sections of a text whose lines are those of the file, from the headings that a reader finds."""

from collections.abc import Iterable
from itertools import accumulate

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, elide_base64, is_blank
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section

MAX_HEADING = 300
"""Characters from which on a line is not taken for a heading."""

Heading = tuple[int, int, str]
"""A heading: the line where its section begins, from 0; its level; its text."""


def file_text(data: bytes) -> str:
    """Return the cleaned text of a file.

    Raises:
        NothingToIndex: it is blank.
        UnreadableDocument: it is binary.
    """
    text = clean(elide_base64(decode(data)))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    return text


def sectioned(text: str, headings: Iterable[Heading], title: str | None = None) -> Extract:
    """Return `text` in sections that begin at the headings; the first one is the title by default.

    Headings must come in the order of their lines.
    """
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    path: list[tuple[int, str]] = []
    marks: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    for line, level, heading in headings:
        heading = " ".join(heading.split())
        title = title or heading
        path = [above for above in path if above[0] < level] + [(level, heading)]
        if starts[line] == marks[-1][0]:
            marks.pop()
        marks.append((starts[line], tuple(each for _, each in path)))
    ends = [start for start, _ in marks[1:]] + [len(text)]
    sections = tuple(
        Section(start, end, heading=heading)
        for (start, heading), end in zip(marks, ends, strict=True)
        if start < end
    )
    return Extract(text, sections, title or None)

"""The rows of a passage that are worth showing, with the numbers of their lines in the file."""

import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from allma_server._internal.lines import split_lines
from allma_server._internal.tokens import lexemes, query_terms
from allma_server.types import Passage, format_of

SNIPPET_ROWS = 6

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a passage, or a part of one that is too long for the terminal.

    `number`: of the line in the file; None if the passage has other lines than its file. `begins`:
    whether it is the beginning of the line. `words`: start, end and term of each word of the query.
    """

    number: int | None
    begins: bool
    text: str
    words: tuple[tuple[int, int, str], ...]

    @property
    def terms(self) -> frozenset[str]:
        return frozenset(term for *_, term in self.words)


def terms_of(query: str) -> frozenset[str]:
    """Return the terms that a query looks for."""
    return frozenset(query_terms(query).terms)


def lines_of(passage: Passage, terms: frozenset[str]) -> list[Row]:
    """Return the lines of a passage that are not blank."""
    return [
        Row(number, True, line, _words(line, terms))
        for number, line in _numbered(passage)
        if line.strip()
    ]


def rows_of(passage: Passage, terms: frozenset[str], width: int) -> list[Row]:
    """Return the same lines wrapped to a width, without the indentation that they share."""
    lines = [(number, line) for number, line in _numbered(passage) if line.strip()]
    margin = len(os.path.commonprefix([_indentation(line) for _, line in lines]))
    rows: list[Row] = []
    for number, line in lines:
        hanging = _indentation(line[margin:])[: width // 2]
        parts = textwrap.wrap(
            line[margin:], max(width, 8), subsequent_indent=hanging, replace_whitespace=False
        )
        rows += [Row(number, not at, part, _words(part, terms)) for at, part in enumerate(parts)]
    return rows


def best_rows(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the window of rows with the most different terms, with a line before the best one."""
    if len(rows) <= SNIPPET_ROWS:
        return rows
    last = len(rows) - SNIPPET_ROWS
    starts = [at for at, row in enumerate(rows) if row.begins and at <= last]
    best = max(range(len(rows)), key=lambda at: len(rows[at].terms))
    before = [at for at in starts if at < best][-1:]
    first = max(before + starts, key=lambda at: len(_union(rows[at : at + SNIPPET_ROWS])))
    return rows[first : first + SNIPPET_ROWS]


def best_row(rows: Iterable[Row], passage: Passage) -> Row | None:
    """Return the first row with the most different terms; rather a text than its heading."""
    marked = format_of(passage.path) == "markdown"

    def is_heading(row: Row) -> bool:
        return row.text.strip(" #=") in passage.heading or (marked and row.text.startswith("#"))

    return max(rows, key=lambda row: (len(row.terms), not is_heading(row)), default=None)


def _numbered(passage: Passage) -> list[tuple[int | None, str]]:
    text = passage.text.expandtabs(4)
    lines = split_lines(text)
    count = passage.end_line - passage.start_line + 1
    if len(lines) < count and text.endswith("\n"):
        lines.append("")  # a range of lines may end with a blank one
    # A part of a table begins with its header, and text of a PDF or of HTML has lines of its own.
    exact = len(lines) == count
    return [(passage.start_line + at if exact else None, line) for at, line in enumerate(lines)]


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _words(text: str, terms: frozenset[str]) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (word.start(), word.end(), term)
        for word in _WORD.finditer(text)
        for term in terms.intersection(lexemes(word.group()))
    )


def _union(rows: Iterable[Row]) -> frozenset[str]:
    return frozenset[str]().union(*(row.terms for row in rows))

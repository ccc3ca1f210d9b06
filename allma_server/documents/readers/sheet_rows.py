"""Sheets of cells as text: a line for each row, with the cells of each row as its place."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers.text import clean, is_blank
from allma_server.types import Section

MAX_CELL = 10_000
"""Characters of a cell that are indexed."""

_MAX_REPEAT = 400
_MIN_SECTION = 600
"""Characters from which on a table is a section; shorter ones of a sheet share one."""

_ROWS_ABOVE_HEADER = 3
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,%]*$")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not empty: its number and that of its first cell, from 1, and all its cells."""

    number: int
    column: int
    cells: Sequence[str]

    @property
    def text(self) -> str:
        return " | ".join(self.cells)


@dataclass(slots=True)
class _Group:
    """Rows of one long table, or of several short ones."""

    rows: list[Row] = field(default_factory=list[Row])
    texts: list[str] = field(default_factory=list[str])

    @property
    def length(self) -> int:
        return sum(map(len, self.texts)) + len(self.texts)


def trimmed(number: int, column: int, cells: Sequence[str]) -> Row | None:
    """Return a row, each cell as one line, without the empty ones at both ends; None if all are."""
    texts = [clean(" ".join(cell[:MAX_CELL].split())) if cell else "" for cell in cells]
    used = [at for at, text in enumerate(texts) if text and not is_blank(text)]
    if not used:
        return None
    return Row(number, column + used[0], texts[used[0] : used[-1] + 1])


def column_name(number: int) -> str:
    """Return the letters of a column, from 1: A, …, Z, AA."""
    letters = ""
    while number > 0:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def add_sheet(document: DocumentBuilder, name: str, rows: Iterable[Row]) -> int:
    """Append the rows of a sheet, and return their number.

    An empty row ends a table. A long table is a section that repeats its header.
    """
    count = 0
    short, table = _Group(), _Group()
    for row in rows:
        count += 1
        if table.rows and row.number > table.rows[-1].number + 1:
            short = _end_table(document, name, short, table)
            table = _Group()
        table.rows.append(row)
        table.texts.append(row.text)
    short = _end_table(document, name, short, table)
    _add_section(document, name, short, "")
    return count


def _end_table(document: DocumentBuilder, name: str, short: _Group, table: _Group) -> _Group:
    """Append a long table, or add a short one to those before it; return what is pending."""
    if table.length < _MIN_SECTION:
        return _Group(short.rows + table.rows, short.texts + table.texts)
    _add_section(document, name, short, "")
    _add_section(document, name, table, _header(table))
    return _Group()


def _add_section(document: DocumentBuilder, name: str, group: _Group, repeat: str) -> None:
    breaks = tuple(accumulate((len(text) + 1 for text in group.texts[:-1]), initial=0))
    left = column_name(min((row.column for row in group.rows), default=1))
    right = column_name(max((row.column + len(row.cells) - 1 for row in group.rows), default=1))
    places = tuple((f"{left}{row.number}:", f"{right}{row.number}") for row in group.rows)
    like = Section(0, 0, "records", (name,), repeat=repeat, breaks=breaks, places=places)
    document.add_section("\n".join(group.texts), like)


def _header(table: _Group) -> str:
    """Return the header of a table, with a title above it; empty if it has none."""
    for count, row in enumerate(table.rows[:_ROWS_ABOVE_HEADER], start=1):
        if len(row.cells) > 1:
            repeat = "\n".join(table.texts[:count])
            return repeat if is_header(row.cells) and len(repeat) <= _MAX_REPEAT else ""
    return ""


def is_header(cells: Iterable[str]) -> bool:
    """Return whether a row is a header: its cells are distinct and none is a number."""
    names = [cell.strip() for cell in cells if cell.strip()]
    return bool(names) and len(set(names)) == len(names) and not any(map(_NUMBER.match, names))

"""Text of OpenDocument elements: paragraphs, cells, and rows with their repetitions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from allma_server.documents.readers.elements import attribute, name
from allma_server.documents.readers.sheet_rows import Row, trimmed

_DEFERRED = frozenset({"note", "annotation", "frame", "custom-shape", "text-box", "g"})
_NOT_SHOWN = frozenset({"tracked-changes", "ruby-text", "annotation-end", "script", "bookmark"})
_WITH_TEXT = frozenset({"note-citation", "desc", "header-decl", "footer-decl"})
_MAX_SPACES = 200
_MAX_COLUMNS = 16_384
_MAX_REPEATED_ROWS, _MAX_REPEATED_CELLS = 1_000, 100
"""Equal rows, and equal cells in a row, that are indexed: a file may claim millions of them."""

# lxml has no type annotations.
_Element = Any


@dataclass(slots=True)
class ParagraphText:
    """The text of a paragraph, and what is anchored in it and comes after it."""

    text: str = ""
    deferred: list[_Element] = field(default_factory=list[_Element])


def paragraph_text(paragraph: _Element) -> ParagraphText:
    """Return the text of a paragraph or heading."""
    found = ParagraphText()
    found.text = "".join(_pieces(paragraph, found.deferred)).strip(" ")
    return found


def block_text(container: _Element) -> str:
    """Return all text in an element as lines, also that of notes and frames in it."""
    if container is None:
        return ""
    if name(container) in ("p", "h"):
        text = paragraph_text(container)
        lines = [text.text, *map(block_text, text.deferred)]
    else:
        skipped = ("tracked-changes", "date", "creator", "date-string", "note-citation")
        lines = [block_text(part) for part in container if name(part) not in skipped]
        lines[:0] = [container.text or ""] if name(container) in _WITH_TEXT else []
    return "\n".join(line for line in lines if line.strip())


def _pieces(element: _Element, deferred: list[_Element]) -> Iterator[str]:
    yield _spaced(element.text)
    for part in element:
        kind = name(part)
        if kind in _DEFERRED:
            deferred.append(part)
        elif kind == "s":
            yield " " * min(repeated(part, "c"), _MAX_SPACES)
        elif kind == "tab":
            yield "\t"
        elif kind == "line-break":
            yield "\n"
        elif kind and kind not in _NOT_SHOWN:
            yield from _pieces(part, deferred)
        yield _spaced(part.tail)


def _spaced(text: str | None) -> str:
    """Return text with its white space collapsed, as the format demands."""
    if not text or not ("\n" in text or "\t" in text or "  " in text):
        return text or ""
    words = " ".join(text.split())
    return f"{' ' * text[0].isspace()}{words}{' ' * (text[-1].isspace() and bool(words))}"


def formula_source(formula: _Element) -> str:
    """Return a formula as its author typed it, or else its signs in their order."""
    typed = next((each.text for each in formula.iter("{*}annotation")), None)
    return " ".join((typed or " ".join(formula.itertext())).split())


def table_rows(table: _Element) -> Iterator[list[_Element]]:
    """Yield the cells of each row of a table; repetitions count once."""
    for row in _rows(table):
        yield [cell for cell in row if name(cell) == "table-cell"]


def sheet_rows(table: _Element) -> Iterator[Row]:
    """Yield the rows of a sheet that are not empty, with their numbers."""
    number = 1
    for element in _rows(table):
        cells: list[str] = []
        column = 0
        for cell in element:
            if name(cell) in ("table-cell", "covered-table-cell"):
                text = block_text(cell) if len(cell) else ""
                count = repeated(cell, "number-columns-repeated")
                count = min(count, _MAX_COLUMNS - column)
                if text:  # most rows end with thousands of empty cells
                    cells += [""] * (column - len(cells))
                    cells += [text] * min(count, _MAX_REPEATED_CELLS)
                column += count
        count = repeated(element, "number-rows-repeated")
        row = trimmed(number, 1, cells)
        if row is not None:
            numbers = range(number, number + min(count, _MAX_REPEATED_ROWS))
            yield from (Row(each, row.column, row.cells) for each in numbers)
        number += count


def _rows(table: _Element) -> Iterator[_Element]:
    for part in table:
        if name(part) == "table-row":
            yield part
        elif name(part) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(part)


def repeated(element: _Element, kind: str) -> int:
    """Return how often an element counts; 1 unless it says so."""
    count = attribute(element, kind)
    return int(count) if count.isascii() and count.isdigit() and len(count) < 8 else 1

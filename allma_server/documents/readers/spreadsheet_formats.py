"""What the parts of an .xlsx file tell about its sheets: their extent, formats and errors.

A search with regular expressions is used, because sheets have millions of cells, and a parser of
XML would take several times longer than the library that reads the values.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from allma_server.documents.readers.elements import attribute, children, name
from allma_server.documents.readers.number_format import BUILT_IN, NumberFormat, number_format
from allma_server.documents.readers.zip_package import ZipPackage

_CELL = re.compile(rb'<(?:\w+:)?c\s(?=[^>]*?\br="([A-Z]{1,3})(\d{1,7})")(?:[^>]*?\bs="(\d{1,6})")?')
_ERROR = re.compile(
    rb'<(?:\w+:)?c\s(?=[^>]*?\bt="e")[^>]*?\br="([A-Z]{1,3})(\d{1,7})"[^>]*>\s*'
    rb"(?:<(?:\w+:)?f\b[^>]*>(?:[^<]*</(?:\w+:)?f>)?\s*)?<(?:\w+:)?v>(#[A-Z0-9/?!_]{1,20})<"
)
_WORKBOOK = "xl/workbook.xml"
_ROW_BITS, _COLUMN_BITS = 40, 20
_MAX = 1 << _COLUMN_BITS


class SheetFormats:
    """The highest row and column that cells are in, how numbers are shown, and which are errors.

    `styles` has the format of each style that has one. The library that reads the values leaves out
    errors.
    """

    def __init__(self, styles: Mapping[int, NumberFormat]) -> None:
        self.rows = self.columns = 0
        self._styles = styles
        # A dictionary would take as much memory as all values of the sheet.
        self._cells = array("Q")
        self._is_sorted = True
        self._errors: dict[int, dict[int, str]] = {}

    def add(self, row: int, column: int, style: int) -> None:
        """Add a cell by its row and column, from 1."""
        self.rows, self.columns = max(self.rows, row), max(self.columns, column)
        if style in self._styles and row <= _MAX and column < _MAX:
            key = row << _ROW_BITS | column << _COLUMN_BITS | style
            self._is_sorted &= not self._cells or self._cells[-1] <= key
            self._cells.append(key)

    def add_error(self, row: int, column: int, text: str) -> None:
        """Add the error in a cell, such as `#DIV/0!`."""
        self._errors.setdefault(row, {})[column] = text

    def errors(self, row: int) -> Mapping[int, str]:
        """Return the errors in a row, by their columns."""
        return self._errors.get(row, {})

    def of_row(self, row: int) -> dict[int, NumberFormat]:
        """Return the formats of the cells in a row, by their columns."""
        if not self._is_sorted:
            self._cells, self._is_sorted = array("Q", sorted(self._cells)), True
        first = bisect_left(self._cells, row << _ROW_BITS)
        end = bisect_left(self._cells, (row + 1) << _ROW_BITS, first)
        columns, styles = (1 << _ROW_BITS - _COLUMN_BITS) - 1, (1 << _COLUMN_BITS) - 1
        return {
            key >> _COLUMN_BITS & columns: self._styles[key & styles]
            for key in self._cells[first:end]
        }


def styles_of(used: Iterable[int], codes: Mapping[int, str]) -> dict[int, NumberFormat]:
    """Return the format of each style; `used` are the numbers of the formats of all styles."""
    formats = {key: number_format(code) for key, code in (BUILT_IN | dict(codes)).items()}
    found = ((style, formats.get(number)) for style, number in enumerate(used))
    return {style: each for style, each in found if each is not None}


def xlsx_formats(package: ZipPackage) -> dict[str, SheetFormats]:
    """Return the formats of each sheet by its name."""
    parts = sheet_parts(package)
    styles = _xlsx_styles(package) if parts else {}
    return {name: _of_part(package.read(part), styles) for name, part in parts.items()}


def sheet_parts(package: ZipPackage) -> dict[str, str]:
    """Return the part of each sheet of an .xlsx file by its name."""
    parts: dict[str, str] = {}
    for sheet in children(package.root(_WORKBOOK), "sheets"):
        part = package.target(_WORKBOOK, attribute(sheet, "id"))
        if name(sheet) == "sheet" and part in package.names:
            parts[sheet.get("name", "")] = part
    return parts


def _xlsx_styles(package: ZipPackage) -> dict[int, NumberFormat]:
    root = package.root("xl/styles.xml")
    codes = {
        _integer(attribute(each, "numFmtId")): attribute(each, "formatCode")
        for each in children(root, "numFmts")
    }
    used = [_integer(attribute(each, "numFmtId")) for each in children(root, "cellXfs")]
    return styles_of(used, codes)


def _of_part(part: bytes, styles: Mapping[int, NumberFormat]) -> SheetFormats:
    found = SheetFormats(styles)
    columns: dict[bytes, int] = {}
    for cell in _CELL.finditer(part):
        letters, digits, style = cell.groups()
        if (column := columns.get(letters)) is None:
            column = columns[letters] = _column(letters)
        found.add(int(digits), column, int(style or 0))
    if b't="e"' in part:
        for letters, digits, text in _ERROR.findall(part):
            found.add_error(int(digits), _column(letters), text.decode("ascii"))
    return found


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0

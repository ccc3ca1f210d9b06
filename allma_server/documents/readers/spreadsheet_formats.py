"""What the parts of an .xlsx file tell about its sheets: their extent, and which cells are percent.

A search with regular expressions is used, because sheets have millions of cells, and a parser of
XML would take several times longer than the library that reads the values.
"""

import re
from dataclasses import dataclass, field

from allma_server.documents.readers.elements import attribute, children, name
from allma_server.documents.readers.zip_package import ZipPackage

_CELL = re.compile(rb'<(?:\w+:)?c\s(?=[^>]*?\br="([A-Z]{1,3})(\d{1,7})")(?:[^>]*?\bs="(\d{1,6})")?')
_PERCENT = re.compile(r"0(?:\.(0+))?%")
_BUILT_IN = {9: 0, 10: 2}
"""Number formats without a definition in the file: `0%` and `0.00%`."""


@dataclass(slots=True)
class SheetFormats:
    """The highest row and column used, and the decimals of percentages by row and column."""

    rows: int = 0
    columns: int = 0
    percentages: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])


def sheet_formats(package: ZipPackage) -> dict[str, SheetFormats]:
    """Return the formats of each sheet by its name; empty for other kinds of workbooks."""
    workbook = package.root("xl/workbook.xml")
    if workbook is None:
        return {}
    styles = _percent_styles(package)
    found: dict[str, SheetFormats] = {}
    for sheet in children(workbook, "sheets"):
        part = package.target("xl/workbook.xml", attribute(sheet, "id"))
        if name(sheet) == "sheet" and part in package.names:
            found[sheet.get("name", "")] = _formats(package.read(part), styles)
    return found


def _percent_styles(package: ZipPackage) -> dict[int, int]:
    """Return the decimals of each style of cells that is a percentage."""
    root = package.root("xl/styles.xml")
    formats = dict(_BUILT_IN)
    for each in children(root, "numFmts"):
        if match := _PERCENT.search(attribute(each, "formatCode")):
            formats[_integer(attribute(each, "numFmtId"))] = len(match[1] or "")
    styles = (_integer(attribute(each, "numFmtId")) for each in children(root, "cellXfs"))
    return {at: formats[number] for at, number in enumerate(styles) if number in formats}


def _formats(part: bytes, styles: dict[int, int]) -> SheetFormats:
    found = SheetFormats()
    columns: dict[bytes, int] = {}
    for letters, digits, style in _CELL.findall(part):
        row = int(digits)
        if (column := columns.get(letters)) is None:
            column = columns[letters] = _column(letters)
            found.columns = max(found.columns, column)
        if row > found.rows:
            found.rows = row
        if style and (decimals := styles.get(int(style))) is not None:
            found.percentages[row, column] = decimals
    return found


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0

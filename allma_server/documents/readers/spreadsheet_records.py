"""What the records of .xls and .xlsb files tell about their sheets, as `spreadsheet_formats.py`.

Both formats are sequences of records: a kind, a length and a content. Only those of formats and of
cells with numbers are looked at; what is damaged ends the sequence.
"""

from collections.abc import Iterator
from io import BytesIO
from struct import error, unpack_from
from typing import Any, cast

import olefile

from allma_server.documents.readers.spreadsheet_formats import SheetFormats, styles_of
from allma_server.documents.readers.zip_package import ZipPackage

_BIFF8 = 0x0600
_BOF, _EOF, _SHEET, _FORMAT, _XF = 0x0809, 0x000A, 0x0085, 0x041E, 0x00E0
_CELLS = frozenset({0x0203, 0x027E, 0x0006, 0x0205})
"""Numbers in two encodings, formulas, truth values and errors."""

_FORMULA, _TRUTH_OR_ERROR, _CELLS_OF_ROW = 0x0006, 0x0205, 0x00BD
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!",
           42: "#N/A"}  # fmt: skip

_XLSB_WORKBOOK, _XLSB_STYLES = "xl/workbook.bin", "xl/styles.bin"
_XLSB_SHEET, _XLSB_FORMAT, _XLSB_XF, _XLSB_CELL_XFS, _XLSB_CELL_XFS_END = 156, 44, 47, 617, 618
_XLSB_ROW, _XLSB_CELLS, _XLSB_ERRORS = 0, range(1, 12), (3, 11)


def xls_formats(data: bytes) -> dict[str, SheetFormats]:
    """Return the formats of each sheet by its name; none for workbooks of Excel 95 and before."""
    try:
        # It has partial type annotations.
        stream: bytes = cast("Any", olefile).OleFileIO(BytesIO(data)).openstream("Workbook").read()
        return _xls_sheets(stream)
    except (OSError, error, ValueError, IndexError):
        return {}  # the library that reads the values tells what is damaged


def _xls_sheets(stream: bytes) -> dict[str, SheetFormats]:
    names: dict[int, str] = {}
    codes: dict[int, str] = {}
    used: list[int] = []
    found: dict[str, SheetFormats] = {}
    open_parts: list[SheetFormats | None] = []
    for at, kind, start, length in _xls_records(stream):
        if kind == _BOF:
            if not at and unpack_from("<H", stream, start)[0] != _BIFF8:
                break
            sheet = None
            if at in names:
                sheet = found[names[at]] = SheetFormats(styles_of(used, codes))
            open_parts.append(sheet)  # charts are parts of sheets
        elif kind == _EOF and open_parts:
            open_parts.pop()
        elif kind == _SHEET:
            begin, _, count, wide = unpack_from("<IHBB", stream, start)
            names[begin] = _xls_text(stream, start + 8, count, wide)
        elif kind == _FORMAT:
            number, count, wide = unpack_from("<HHB", stream, start)
            codes[number] = _xls_text(stream, start + 5, count, wide)
        elif kind == _XF:
            used.append(unpack_from("<H", stream, start + 2)[0])
        elif open_parts and (sheet := open_parts[-1]) is not None:
            _add_xls_cells(sheet, stream, kind, start, length)
    return found


def _xls_records(stream: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield each record: its offset, its kind, and the offset and length of its content."""
    at = 0
    while at + 4 <= len(stream):
        kind, length = unpack_from("<HH", stream, at)
        yield at, kind, at + 4, length
        at += 4 + length


def _add_xls_cells(sheet: SheetFormats, stream: bytes, kind: int, start: int, length: int) -> None:
    if kind in _CELLS:
        row, column, style = unpack_from("<HHH", stream, start)
        sheet.add(row + 1, column + 1, style)
        code = is_error = 0
        if kind == _FORMULA and stream[start + 12 : start + 14] == b"\xff\xff":
            is_error, code = stream[start + 6] == 2, stream[start + 8]
        elif kind == _TRUTH_OR_ERROR:
            code, is_error = unpack_from("<BB", stream, start + 6)
        if is_error:
            sheet.add_error(row + 1, column + 1, _ERRORS.get(code, "#ERROR"))
    elif kind == _CELLS_OF_ROW:
        row, first = unpack_from("<HH", stream, start)
        for count in range((length - 6) // 6):
            style = unpack_from("<H", stream, start + 4 + 6 * count)[0]
            sheet.add(row + 1, first + count + 1, style)


def _xls_text(stream: bytes, start: int, count: int, wide: int) -> str:
    if wide & 1:
        return stream[start : start + 2 * count].decode("utf-16-le", "replace")
    return stream[start : start + count].decode("latin-1")


def xlsb_formats(package: ZipPackage) -> dict[str, SheetFormats]:
    """Return the formats of each sheet by its name."""
    codes: dict[int, str] = {}
    used: list[int] = []
    found: dict[str, SheetFormats] = {}
    try:
        in_cells = False
        for kind, content in _xlsb_records(package, _XLSB_STYLES):
            in_cells = kind == _XLSB_CELL_XFS or (in_cells and kind != _XLSB_CELL_XFS_END)
            if kind == _XLSB_FORMAT:
                codes[unpack_from("<H", content)[0]] = _xlsb_text(content, 2)[0]
            elif kind == _XLSB_XF and in_cells:
                used.append(unpack_from("<H", content, 2)[0])
        for kind, content in _xlsb_records(package, _XLSB_WORKBOOK):
            if kind == _XLSB_SHEET:
                relation, end = _xlsb_text(content, 8)
                sheet = found[_xlsb_text(content, end)[0]] = SheetFormats(styles_of(used, codes))
                _add_xlsb_cells(sheet, package, package.target(_XLSB_WORKBOOK, relation))
    except (error, IndexError):
        pass  # the library that reads the values tells what is damaged
    return found


def _add_xlsb_cells(sheet: SheetFormats, package: ZipPackage, part: str) -> None:
    row = 0
    for kind, content in _xlsb_records(package, part):
        if kind == _XLSB_ROW:
            row = unpack_from("<I", content)[0] + 1
        elif kind in _XLSB_CELLS:
            column, style = unpack_from("<II", content)
            sheet.add(row, column + 1, style & 0xFFFFF)
            if kind in _XLSB_ERRORS:
                sheet.add_error(row, column + 1, _ERRORS.get(content[8], "#ERROR"))


def _xlsb_records(package: ZipPackage, part: str) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a part, if there is one; kind and length have 7 bits in each byte."""
    data = package.read(part) if part in package.names else b""
    at = 0
    while at < len(data):
        kind, at = data[at], at + 1
        if kind & 128:
            kind, at = kind & 127 | (data[at] & 127) << 7, at + 1
        length = shift = 0
        while True:
            byte, at = data[at], at + 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128 or shift > 21:
                break
        yield kind, data[at : at + length]
        at += length


def _xlsb_text(content: bytes, start: int) -> tuple[str, int]:
    """Return the text at `start`, and where it ends."""
    (count,) = unpack_from("<I", content, start)
    count = 0 if count == 0xFFFFFFFF else count
    end = start + 4 + 2 * count
    return content[start + 4 : end].decode("utf-16-le", "replace"), end

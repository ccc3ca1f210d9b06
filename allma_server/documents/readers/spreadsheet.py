"""Excel workbooks: each sheet below its name, a line for each row, with cells as they are shown.

calamine reads the values. It does not tell how a cell is formatted, so percentages are recognised
in the parts of an .xlsx file itself. Formulas are represented by their last result.
"""

import datetime
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePath
from typing import TypeAlias

import python_calamine as calamine

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers.sheet_rows import Row, add_sheet, trimmed
from allma_server.documents.readers.spreadsheet_formats import SheetFormats, sheet_formats
from allma_server.documents.readers.zip_package import (
    OLE,
    PASSWORD,
    ZipPackage,
    check_password,
)
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_Value: TypeAlias = (
    int
    | float
    | str
    | bool
    | datetime.time
    | datetime.date
    | datetime.datetime
    | datetime.timedelta
)

_MAX_CELLS = 20_000_000
"""Cells that the used range of a sheet may have: the library allocates all, also empty ones."""


def read(data: bytes, path: PurePath) -> Extract:
    """Read a workbook (.xlsx, .xlsb, .xls), also hidden sheets; macros are ignored."""
    if path.name.startswith("~$"):
        raise NothingToIndex("Excel keeps it while a workbook is open.")
    is_old = data.startswith(OLE)
    if is_old:
        check_password(data)
    package = None if is_old else ZipPackage(data, "an Excel", ".xlsx")
    formats = sheet_formats(package) if package else {}
    _check_sizes(formats)
    document = DocumentBuilder()
    try:
        with calamine.CalamineWorkbook.from_filelike(BytesIO(data)) as book:
            names = [
                sheet.name
                for sheet in book.sheets_metadata
                # It has no cells, and one in a .xlsb file cannot be read.
                if sheet.typ != calamine.SheetTypeEnum.ChartSheet
            ]
            rows = sum(_add(document, book, name, formats.get(name)) for name in names)
            sheets = str(len(book.sheet_names))
    except calamine.PasswordError as exc:
        raise UnreadableDocument(PASSWORD) from exc
    except (calamine.CalamineError, OSError, ValueError) as exc:
        reason = " ".join(str(exc).split()).rstrip(".")[:200]
        raise UnreadableDocument(f"The workbook is damaged: {reason}.") from exc
    except BaseException as exc:
        # A failed assertion of the library is not an ordinary exception.
        if type(exc).__name__ != "PanicException":
            raise
        raise UnreadableDocument("The workbook is badly damaged.") from exc
    properties = package.properties() if package else {}
    return document.build(
        "The workbook has no values.",
        title=properties.get("title"),
        metadata={"sheets": sheets, "rows": str(rows), "author": properties.get("creator", "")},
    )


def _check_sizes(formats: dict[str, SheetFormats]) -> None:
    for name, found in formats.items():
        if found.rows * found.columns > _MAX_CELLS:
            raise UnreadableDocument(
                f"Its sheet {name[:40]!r} spans {found.rows} rows and {found.columns} columns, "
                "most of them empty.",
                "Delete what stands in the farthest cells, and save it again.",
            )


def _add(
    document: DocumentBuilder,
    book: calamine.CalamineWorkbook,
    name: str,
    formats: SheetFormats | None,
) -> int:
    try:
        sheet = book.get_sheet_by_name(name)
    except calamine.WorksheetNotFound:
        return 0  # a sheet that is only a chart
    return add_sheet(document, name, _rows(sheet, formats))


def _rows(sheet: calamine.CalamineSheet, formats: SheetFormats | None) -> Iterator[Row]:
    if sheet.start is None:
        return
    percentages = formats.percentages if formats else {}
    # Rows begin at the first used row, cells at the first used column.
    first, left = sheet.start[0] + 1, sheet.start[1] + 1
    for number, values in enumerate(sheet.to_python(), start=first):
        if values.count("") == len(values):
            continue  # there may be a million of them
        cells = [
            "" if value == "" else shown(value, percentages.get((number, column)))
            for column, value in enumerate(values, start=left)
        ]
        if (row := trimmed(number, left, cells)) is not None:
            yield row


def shown(value: _Value, percent_digits: int | None = None) -> str:
    """Return a value as a spreadsheet shows it; with `percent_digits`, as a percentage."""
    match value:
        case bool():
            return str(value).upper()
        case int() | float():
            if percent_digits is not None:
                return f"{value * 100:.{percent_digits}f}%"
            return f"{value:.15g}" if abs(value) < 1e15 else f"{value:g}"
        case datetime.datetime():
            at_midnight = value.time() == datetime.time()
            return value.date().isoformat() if at_midnight else f"{value:%Y-%m-%d %H:%M:%S}"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return str(value)
        case _:
            return value

"""Excel workbooks: each sheet below its name, a line for each row, with cells as they are shown.

calamine reads the values, and knows which are dates. It does not tell how numbers are formatted and
which cells are errors: that is looked up in the file itself. Formulas are represented by their last
result.
"""

import datetime
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import PurePath
from typing import TypeAlias

import python_calamine as calamine

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers import reader_of
from allma_server.documents.readers.number_format import NumberFormat
from allma_server.documents.readers.sheet_rows import Row, add_sheet, trimmed
from allma_server.documents.readers.spreadsheet_formats import (
    SheetFormats,
    sheet_parts,
    xlsx_formats,
)
from allma_server.documents.readers.spreadsheet_notes import sheet_notes
from allma_server.documents.readers.spreadsheet_records import xls_formats, xlsb_formats
from allma_server.documents.readers.zip_package import (
    OLE,
    PASSWORD,
    ZipPackage,
    check_password,
)
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract, Section

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

_EXCEL_4 = tuple(bytes((9, version, size, 0)) for version, size in ((0, 4), (2, 6), (4, 6)))
"""How files of Excel 2, 3 and 4 begin."""

_BLANK = b"\xef\xbb\xbf \t\r\n"
_HEAD = 8_000

_EMPTY = "The workbook has no values."

_MAX_CELLS = 20_000_000
"""Cells that the used range of a sheet may have: the library allocates all, also empty ones."""


def read(data: bytes, path: PurePath) -> Extract:
    """Read a workbook (.xlsx, .xlsb, .xls), also hidden sheets; macros are ignored."""
    if path.name.startswith("~$"):
        raise NothingToIndex("Excel keeps it while a workbook is open.")
    if data.lstrip(_BLANK)[:1] == b"<":
        # Many programs export a web page as .xls, and Excel 2003 wrote XML.
        is_xml = b"urn:schemas-microsoft-com:office:spreadsheet" in data[:_HEAD]
        return reader_of("xml" if is_xml else "html")(data, path)
    is_old = data.startswith(OLE)
    if is_old:
        check_password(data)
    if data.startswith(_EXCEL_4):
        raise UnreadableDocument(
            "It is of Excel 4 or an older version.", "Save it as .xlsx to have it indexed."
        )
    package = None if is_old else ZipPackage(data, "an Excel", ".xlsx")
    formats = xlsx_formats(package) or xlsb_formats(package) if package else xls_formats(data)
    _check_sizes(formats)
    document = DocumentBuilder()
    metadata = _add_sheets(document, data, formats)
    if package is None:
        return document.build(_EMPTY, metadata=metadata)
    for name, part in sheet_parts(package).items():
        like = Section(0, 0, heading=(name, "Comments, text boxes and charts"))
        document.add_section("\n".join(sheet_notes(package, part)), like)
    properties = package.properties()
    metadata["author"] = properties.get("creator", "")
    metadata["language"] = properties.get("language", "")
    return document.build(_EMPTY, title=properties.get("title"), metadata=metadata)


def _add_sheets(
    document: DocumentBuilder, data: bytes, formats: Mapping[str, SheetFormats]
) -> dict[str, str]:
    """Append the cells of each sheet; return the numbers of sheets and rows."""
    try:
        with calamine.CalamineWorkbook.from_filelike(BytesIO(data)) as book:
            names = [
                sheet.name
                for sheet in book.sheets_metadata
                # It has no cells, and one in a .xlsb file cannot be read.
                if sheet.typ != calamine.SheetTypeEnum.ChartSheet
            ]
            rows = sum(
                _add(document, book, name, formats.get(name) or SheetFormats({})) for name in names
            )
            return {"sheets": str(len(book.sheet_names)), "rows": str(rows)}
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
    formats: SheetFormats,
) -> int:
    try:
        sheet = book.get_sheet_by_name(name)
    except calamine.WorksheetNotFound:
        return 0  # a sheet that is only a chart
    return add_sheet(document, name, _rows(sheet, formats))


def _rows(sheet: calamine.CalamineSheet, formats: SheetFormats) -> Iterator[Row]:
    if sheet.start is None:
        return
    # Rows begin at the first used row, cells at the first used column.
    first, left = sheet.start[0] + 1, sheet.start[1] + 1
    for number, values in enumerate(sheet.to_python(), start=first):
        errors = formats.errors(number)
        if values.count("") == len(values) and not errors:
            continue  # there may be a million of them
        of_row = formats.of_row(number)
        cells = [
            errors.get(column, "") if value == "" else shown(value, of_row.get(column))
            for column, value in enumerate(values, start=left)
        ]
        if (row := trimmed(number, left, cells)) is not None:
            yield row


def shown(value: _Value, number_format: NumberFormat | None = None) -> str:
    """Return a value as a spreadsheet shows it."""
    match value:
        case bool():
            return str(value).upper()
        case int() | float():
            if abs(value) >= 1e15:
                return f"{value:.0f}" if abs(value) < 1e18 else f"{value:g}"
            return number_format.shown(value) if number_format else f"{value:.15g}"
        case datetime.datetime():
            at_midnight = value.time() == datetime.time()
            return value.date().isoformat() if at_midnight else f"{value:%Y-%m-%d %H:%M:%S}"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        case _:
            return value

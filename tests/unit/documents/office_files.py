"""Small handwritten packages: Office Open XML, OpenDocument, EPUB."""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO

from tests.unit.documents.ole_files import ole

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
ODF = "urn:oasis:names:tc:opendocument:xmlns"


def package(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP file of these members."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def relations(*targets: tuple[str, str]) -> str:
    """Relationships `r1`, `r2`, … of these kinds to these parts."""
    rows = "".join(
        f'<Relationship Id="r{i}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{rows}</Relationships>'


# --- spreadsheets ---


def xlsx(sheets: Mapping[str, str], styles: str = "") -> bytes:
    """A workbook with these sheets, each of them `<row>` elements."""
    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1)
    )
    parts = {
        "_rels/.rels": relations(
            ("officeDocument", "xl/workbook.xml"), ("core-properties", "docProps/core.xml")
        ),
        "docProps/core.xml": '<p xmlns:dc="urn:dc"><dc:title>Budget</dc:title></p>',
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{listed}'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            *(("worksheet", f"worksheets/sheet{i}.xml") for i in range(1, len(sheets) + 1)),
            ("styles", "styles.xml"),
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{SHEET}">{styles}</styleSheet>',
    }
    for i, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{i}.xml"] = (
            f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return package(parts)


SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def row(number: int, *cells: str | float, left: int = 0, style: int = 0) -> str:
    """A row of texts and numbers, beginning at a column from 0."""
    made: list[str] = []
    for at, cell in enumerate(cells, start=left):
        name = f'r="{chr(65 + at)}{number}"'
        if isinstance(cell, str):
            made.append(f'<c {name} t="inlineStr"><is><t>{cell}</t></is></c>')
        else:
            made.append(f'<c {name} s="{style}"><v>{cell}</v></c>')
    return f'<row r="{number}">{"".join(made)}</row>'


def xlsb(name: str, *cells: str | float | bytes, code: str = "General", at: int = 0) -> bytes:
    """A binary workbook with one sheet and one row, and a sheet that is only a chart.

    A number has the format `code`; one byte is an error. `at` is the index of the row.
    """
    rows = record(0, number(at) + bytes(21))
    for column, cell in enumerate(cells):
        place = number(column) + number(not isinstance(cell, str))
        if isinstance(cell, str):
            rows += record(6, place + wide(cell))
        elif isinstance(cell, bytes):
            rows += record(3, place + cell)
        else:
            rows += record(5, place + struct.pack("<d", cell))
    styles = record(615, number(1)) + record(44, b"\xa4\0" + wide(code)) + record(616)
    styles += record(47, bytes(16)) + record(617, number(2))
    styles += record(47, bytes(16)) + record(47, b"\0\0\xa4\0" + bytes(12))
    size = number(at) + number(at) + number(0) + number(len(cells) - 1)
    bundles = (
        record(156, bytes(4) + number(i) + wide(f"r{i}") + wide(title))
        for i, title in enumerate((name, "Chart"), 1)
    )
    return package(
        {
            "_rels/.rels": relations(("officeDocument", "xl/workbook.bin")),
            "xl/workbook.bin": record(143) + b"".join(bundles) + record(144) + record(132),
            "xl/_rels/workbook.bin.rels": relations(
                ("worksheet", "worksheets/sheet1.bin"), ("chartsheet", "chartsheets/sheet1.bin")
            ),
            "xl/styles.bin": styles + record(618),
            "xl/chartsheets/sheet1.bin": record(129) + record(130),
            "xl/worksheets/sheet1.bin": record(129)
            + record(148, size)
            + record(145)
            + rows
            + record(146)
            + record(130),
        }
    )


def xls(name: str, *cells: str | float | bytes, code: str = "General") -> bytes:
    """A workbook of Excel 97 with one sheet and one row; numbers and errors as in `xlsb`."""
    text = struct.pack("<HHB", 164, len(code), 0) + code.encode("latin-1")
    head = biff(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)) + biff(0x041E, text)
    head += biff(0x00E0, bytes(20)) + biff(0x00E0, struct.pack("<HH", 0, 164) + bytes(16))
    begin = len(head) + 12 + len(name) + 4
    head += biff(0x0085, struct.pack("<IHBB", begin, 0, len(name), 0) + name.encode("latin-1"))
    sheet = biff(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0))
    sheet += biff(0x0200, struct.pack("<IIHHH", 0, 1, 0, len(cells), 0))
    for column, cell in enumerate(cells):
        place = struct.pack("<HHH", 0, column, not isinstance(cell, str))
        if isinstance(cell, str):
            content = struct.pack("<HB", len(cell), 0) + cell.encode("latin-1")
            sheet += biff(0x0204, place + content)
        elif isinstance(cell, bytes):
            sheet += biff(0x0205, place + cell + b"\1")
        else:
            sheet += biff(0x0203, place + struct.pack("<d", cell))
    return ole({"Workbook": head + biff(0x000A) + sheet + biff(0x000A)})


def biff(kind: int, content: bytes = b"") -> bytes:
    """A record of a workbook of Excel 97."""
    return struct.pack("<HH", kind, len(content)) + content


def record(kind: int, content: bytes = b"") -> bytes:
    """A record of a binary workbook; its kind and its length have 7 bits in each byte."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    return head + bytes([len(content) & 127 | 128, len(content) >> 7]) + content


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def wide(text: str) -> bytes:
    return number(len(text)) + text.encode("utf-16-le")


# --- presentations ---


def pptx(
    *slides: str, notes: Mapping[int, str] | None = None, parts: Mapping[str, str] | None = None
) -> bytes:
    """A presentation of these slides, each of them shapes; `notes` by the number of the slide."""
    names = f'xmlns:a="urn:a" xmlns:p="urn:p" xmlns:r="{OFFICE}"'
    members = {
        "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {names}><p:sldIdLst>"
        + "".join(f'<p:sldId id="2{i}" r:id="r{i}"/>' for i in range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *(("slide", f"slides/slide{i}.xml") for i in range(1, len(slides) + 1))
        ),
    }
    for i, shapes in enumerate(slides, 1):
        members[f"ppt/slides/slide{i}.xml"] = _tree("sld", names, shapes)
        if notes and i in notes:
            members[f"ppt/slides/_rels/slide{i}.xml.rels"] = relations(
                ("notesSlide", f"../notes/notes{i}.xml")
            )
            members[f"ppt/notes/notes{i}.xml"] = _tree("notes", names, shape(notes[i], "body"))
    return package(members | dict(parts or {}))


def _tree(kind: str, names: str, shapes: str) -> str:
    return f"<p:{kind} {names}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:{kind}>"


def shape(text: str, placeholder: str = "") -> str:
    """A shape of one paragraph; `placeholder` is its type."""
    kind = f'<p:ph type="{placeholder}"/>' if placeholder else ""
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"/><p:nvPr>{kind}</p:nvPr></p:nvSpPr>'
        f"<p:txBody>{paragraph(text)}</p:txBody></p:sp>"
    )


def paragraph(text: str, properties: str = "") -> str:
    return f"<a:p>{properties}<a:r><a:t>{text}</a:t></a:r></a:p>"


# --- OpenDocument ---


def flat_odf(kind: str, body: str, styles: str = "") -> str:
    """A document in one XML file; `kind` is `text`, `spreadsheet` or `presentation`."""
    prefixes = ("office", "text", "table", "draw", "presentation", "style", "meta")
    names = " ".join(f'xmlns:{each}="{ODF}:{each}:1.0"' for each in prefixes)
    return (
        f'<office:document {names} xmlns:dc="urn:dc"><office:meta><dc:title>A title</dc:title>'
        f"<dc:language>de-DE</dc:language></office:meta>{styles}"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>"
    )


def odf(kind: str, body: str, **parts: str) -> bytes:
    """The same as a package."""
    return package({"content.xml": flat_odf(kind, body)} | parts)


# --- books ---


def epub(pages: Mapping[str, str], contents: str = "", **parts: str) -> bytes:
    """A book of these pages in this order; `contents` is the body of its navigation."""
    items = "".join(
        f'<item id="i{i}" href="{name}" media-type="application/xhtml+xml"/>'
        for i, name in enumerate(pages)
    )
    spine = "".join(f'<itemref idref="i{i}"/>' for i in range(len(pages)))
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:c"><rootfiles><rootfile full-path='
        '"OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="urn:opf"><metadata xmlns:dc="urn:dc"><dc:title>A book'
        "</dc:title><dc:creator>Ann</dc:creator><dc:language>en</dc:language></metadata>"
        f'<manifest>{items}<item id="n" href="nav.xhtml" properties="nav" '
        f'media-type="application/xhtml+xml"/></manifest><spine>{spine}</spine></package>',
        "OEBPS/nav.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{contents}</body>'
        "</html>",
    }
    for name, body in pages.items():
        members[f"OEBPS/{name}"] = (
            f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'
        )
    return package(members | parts)

import time
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import spreadsheet
from allma_server.documents.readers.number_format import number_format
from allma_server.documents.readers.zip_package import OLE
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import Extract, common_heading
from tests.unit.documents.office_files import package, relations, row, xls, xlsb, xlsx

PERCENT = (
    '<numFmts><numFmt numFmtId="170" formatCode="0.0%"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="14"/></cellXfs>'
)


def read(data: bytes, name: str = "book.xlsx") -> Extract:
    return spreadsheet.read(data, PurePath(name))


def table(first: int, left: int = 0, rows: int = 60) -> str:
    head = row(first, "City", "People", left=left)
    body = (row(first + i, f"City number {i}", 1000.0 + i, left=left) for i in range(1, rows))
    return head + "".join(body)


def test_a_chunk_is_found_at_its_cells_and_repeats_the_header() -> None:
    extract = read(xlsx({"Notes": row(3, "About cities", left=1), "Cities": table(5, left=2)}))
    assert extract.title == "Budget"
    first, second, *others = chunk(extract, "", ChunkSettings())
    assert (first.heading, first.text) == (("Notes", "B3:B3"), "About cities")
    assert second.heading[0] == "Cities" and second.heading[1].startswith("C5:D")
    assert all(each.text.startswith("City | People\n") for each in [second, *others])
    assert others[-1].heading[1].endswith(":D64")
    assert "C5" not in second.context  # a row above must not change the embedded text


def test_neighbouring_chunks_name_the_cells_of_both() -> None:
    extract = read(xlsx({"Cities": table(1)}))
    one, two = chunk(extract, "", ChunkSettings())[:2]
    joined = common_heading(one.heading, two.heading)
    first, last = one.heading[1].split(":")[0], two.heading[1].split(":")[1]
    assert joined == ["Cities", f"{first}:{last}"]
    assert common_heading(["A", "0:01–0:02"], ["A", "0:02–0:04"]) == ["A", "0:01–0:04"]
    assert common_heading(["A", "Cells"], ["A", "B2:B4"]) == ["A"]


def test_each_table_of_a_sheet_has_its_own_header() -> None:
    other = table(101).replace("City", "Town")
    sections = read(xlsx({"S": row(1, "All places") + table(3, rows=50) + other})).sections
    assert [each.repeat for each in sections] == ["", "City | People", "Town | People"]


def test_values_are_those_that_the_sheet_shows() -> None:
    cells = row(1, 0.255, 0.5, style=1) + row(2, 45292.0, style=2) + row(3, 3.0, 0.1, 1e20)
    bits = '<row r="4"><c r="A4" t="b"><v>1</v></c><c r="B4" t="e"><v>#DIV/0!</v></c></row>'
    text = read(xlsx({"S": cells + bits}, PERCENT)).text
    assert text.split("\n")[:3] == ["25.5% | 50.0%", "2024-01-01", "3 | 0.1 | 1e+20"]
    assert text.split("\n")[3] == "TRUE | #DIV/0!"
    assert spreadsheet.shown(datetime(2024, 5, 6, 7, 8)) == "2024-05-06 07:08:00"
    assert spreadsheet.shown(date(2024, 5, 6)) == "2024-05-06"
    assert spreadsheet.shown(timedelta(hours=30)) == "30:00:00"
    assert spreadsheet.shown(0.1 + 0.2) == "0.3"
    assert spreadsheet.shown(1234567890123451.0) == "1234567890123451"


def test_binary_workbooks_are_read() -> None:
    extract = read(xlsb("Täglich", "Größe", 4.5), "book.xlsb")
    assert (extract.text, extract.sections[0].heading) == ("Größe | 4.5", ("Täglich",))


@pytest.mark.parametrize(("saved", "name"), [(xlsb, "a.xlsb"), (xls, "a.xls")])
def test_numbers_and_errors_of_binary_workbooks_are_as_shown(
    saved: Callable[..., bytes], name: str
) -> None:
    extract = read(saved("Sales", "Total", 1234.5, 0.25, b"\x2a", code='#,##0.00 "kg"'), name)
    assert extract.text == "Total | 1,234.50 kg | 0.25 kg | #N/A"
    assert read(saved("Sales", 0.255, code="0.0%"), name).text == "25.5%"
    assert read(saved("Sales", 45292.5, code="yyyy-mm-dd"), name).text == "2024-01-01 12:00:00"
    assert extract.sections[0].heading == ("Sales",)


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0%", 0.255, "26%"),
        ("#,##0.00", 2.675, "2.68"),
        ('"$"#,##0.00_);\\("$"#,##0.00\\)', -1234.5, "-$1,234.50"),
        ('_-* #,##0.00\\ "€"_-;-* #,##0.00\\ "€"_-', 9.999, "10.00 €"),
        ("[$EUR-407] 0", 5, "EUR5"),
        ("[Red]0.###", 2.5, "2.5"),
        ("0.0", -0.01, "0.0"),
        ("00000", 501, "00501"),
        *((code, 3, "3") for code in ("General", "# ?/?", "0.00E+00", "[>9]0.0", "#,##0,", "@")),
    ],
)
def test_a_number_is_shown_by_its_format(code: str, value: float, shown: str) -> None:
    assert spreadsheet.shown(value, number_format(code)) == shown


def test_a_place_stays_with_its_row_when_a_secret_is_masked() -> None:
    rows = "".join(row(i, f"entry {i}", f"password: Xk9{i}fQz7Lm2pV") for i in range(1, 30))
    extract = mask_extract(read(xlsx({"S": rows})))
    (section,) = extract.sections
    assert len(section.breaks) == len(section.places) == 29
    for at, place in zip(section.breaks, section.places, strict=True):
        number = place[0].strip("A:")
        assert extract.text[at:].startswith(f"entry {number} ")
    assert "fQz7Lm2pV" not in extract.text


def test_a_sheet_of_a_million_empty_rows_is_read_in_bounded_time() -> None:
    began = time.process_time()
    extract = read(xlsx({"S": row(1, "first") + row(1_000_000, "last")}))
    assert extract.text == "first\nlast"
    assert time.process_time() - began < 5


def test_comments_text_boxes_and_charts_follow_the_cells() -> None:
    comments = (
        '<c><commentList><comment ref="B2"><text><r><t>Ask </t></r><r><t>Ann</t></r></text>'
        '</comment><comment ref="C3"><text><t>[Threaded comment] upgrade</t></text></comment>'
        "</commentList></c>"
    )
    drawing = (
        '<d xmlns:a="urn:a"><sp><nvSpPr><cNvPr descr="A red lighthouse"/></nvSpPr></sp>'
        "<txBody><a:p><a:r><a:t>In a box</a:t></a:r></a:p></txBody></d>"
    )
    chart = "<c><title><t>Sales</t></title><ser><val><pt idx='0'><v>4711</v></pt></val></ser></c>"
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations(
            ("comments", "../c.xml"), ("threadedComment", "../t.xml"), ("drawing", "../d.xml")
        ),
        "xl/_rels/d.xml.rels": relations(("chart", "chart.xml")),
        "xl/c.xml": comments,
        "xl/t.xml": '<t><threadedComment ref="C3"><text>Too high?</text></threadedComment></t>',
        "xl/d.xml": drawing,
        "xl/chart.xml": chart,
    }
    with zipfile.ZipFile(BytesIO(xlsx({"S": row(1, "x")}))) as book:
        parts |= {name: book.read(name).decode() for name in book.namelist()}
    extract = read(package(parts))
    notes = "B2: Ask Ann\nC3: Too high?\n[Image: A red lighthouse]\nIn a box\nSales"
    assert extract.text == f"x\n\n{notes}"
    assert extract.sections[1].heading == ("S", "Comments, text boxes and charts")


def test_web_pages_and_xml_named_as_workbooks_are_read() -> None:
    cells = "<tr><th>City</th><th>People</th></tr><tr><td>Rome</td><td>48</td></tr>"
    page = f"\ufeff<html><body><table>{cells}</table></body></html>".encode()
    assert "City | People\nRome | 48" in read(page, "export.xls").text
    names = 'xmlns="urn:schemas-microsoft-com:office:spreadsheet"'
    book = f"<?xml version='1.0'?><Workbook {names}><Data>Rome</Data></Workbook>".encode()
    assert "Rome" in read(book, "export.xls").text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (xlsx({"Far": row(1, "x") + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'}),
         "'Far' spans 1048576 rows and 16384 columns"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "password"),
        (xlsb("Far", 1.0, at=4_000_000_000), "spans 4000000001 rows|damaged"),
        (xls("S", 1.0)[:1500], "damaged"),
        (b"\x09\x04\x06\x00" + bytes(80), "Excel 4"),
        (b"name,age\nAnn,7\n", "not an Excel document"),
        (package({"word/document.xml": "<a/>"}), "damaged"),
        (xlsx({"S": row(1, "x")})[:-40], "damaged"),
        (xlsx({"S": "<row><c>"}), "damaged"),
    ],
)  # fmt: skip
def test_unreadable_workbooks_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)


def test_a_workbook_without_values_is_skipped() -> None:
    with pytest.raises(NothingToIndex, match="no values"):
        read(xlsx({"S": ""}))
    with pytest.raises(NothingToIndex, match="Excel keeps it"):
        read(xlsx({"S": row(1, "x")}), "~$book.xlsx")

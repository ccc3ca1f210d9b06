from pathlib import PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import pptx
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract, page_label
from tests.unit.documents.office_files import package, paragraph, relations, shape
from tests.unit.documents.office_files import pptx as saved

CELLS = "".join(
    f"<a:tr>{''.join(f'<a:tc><a:txBody>{paragraph(c)}</a:txBody></a:tc>' for c in cells)}</a:tr>"
    for cells in (("Year", "Sales"), ("2023", "48"))
)
TABLE = (
    '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr descr="Sales by year"/></p:nvGraphicFramePr>'
    f"<a:graphic><a:graphicData><a:tbl>{CELLS}</a:tbl></a:graphicData></a:graphic>"
    "</p:graphicFrame>"
)
PICTURE = '<p:pic><p:nvPicPr><p:cNvPr descr="A red lighthouse"/><p:nvPr/></p:nvPicPr></p:pic>'


def read(data: bytes, name: str = "talk.pptx") -> Extract:
    return pptx.read(data, PurePath(name))


def test_each_slide_is_a_page_below_its_title_with_its_notes() -> None:
    data = saved(
        shape("body of one") + shape("Welcome", "ctrTitle") + shape("7", "sldNum"),
        shape("Plan", "title") + f"<p:grpSp>{shape('in a group')}</p:grpSp>",
        shape("no title here"),
        notes={2: "say hello"},
    )
    extract = read(data)
    assert (extract.title, extract.metadata["slides"]) == ("Welcome", "3")
    found = [(c.page, c.heading, c.text) for c in chunk(extract, "", ChunkSettings())]
    assert found == [
        (1, ("Welcome",), "Welcome\n\nbody of one"),
        (2, ("Plan",), "Plan\n\nin a group\n\nNotes: say hello"),
        (3, (), "no title here"),
    ]
    assert page_label("/a/Talk.PPTX", 3) == page_label("/a/t.odp", 3) == "slide 3"
    assert page_label("/a/paper.pdf", 3) == "page 3"


def test_tables_pictures_and_lists_are_read() -> None:
    bullets = '<a:pPr lvl="1"><a:buChar char="•"/></a:pPr>'
    numbers = "<a:pPr><a:buAutoNum/></a:pPr>"
    items = paragraph("one", numbers) + paragraph("two", numbers) + paragraph("deep", bullets)
    text = read(saved(TABLE + PICTURE + f"<p:sp><p:txBody>{items}</p:txBody></p:sp>")).text
    assert "Year | Sales\n2023 | 48" in text
    assert "Sales by year" in text and "[Image: A red lighthouse]" in text
    assert text.endswith("1. one\n2. two\n  - deep")


def test_footers_and_what_masters_show_come_last_each_once() -> None:
    names = 'xmlns:a="urn:a" xmlns:p="urn:p"'
    shapes = shape("Click to edit", "title") + shape("Tides") + shape("Harbour office", "ftr")
    layout = f"<p:sldLayout {names}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sldLayout>"
    uses = {
        f"ppt/slides/_rels/slide{i}.xml.rels": relations(("slideLayout", "../layouts/a.xml"))
        for i in (1, 2)
    }
    slide = shape("One") + shape("Harbour office", "ftr")
    extract = read(saved(slide, slide, parts={"ppt/layouts/a.xml": layout, **uses}))
    assert extract.text == "One\n\nOne\n\nHeaders and footers\n\nHarbour office\n\nTides"
    assert [section.page for section in extract.sections] == [1, 2, None]


def test_charts_have_their_categories_and_values_as_shown() -> None:
    def points(*texts: str) -> str:
        return "".join(f'<c:pt idx="{i}"><c:v>{t}</c:v></c:pt>' for i, t in enumerate(texts) if t)

    cities, countries = points("Rome", "Milan", "Paris"), points("IT", "", "FR")
    levels = f"<c:lvl>{cities}</c:lvl><c:lvl>{countries}</c:lvl>"
    values = f"<c:formatCode>0%</c:formatCode>{points('0.5', '0.25', '1')}"
    chart = (
        f'<c:chartSpace xmlns:c="urn:c"><c:ser><c:tx><c:v>Share</c:v></c:tx><c:cat>{levels}</c:cat>'
        f"<c:val>{values}</c:val></c:ser></c:chartSpace>"
    )
    frame = '<p:graphicFrame><c:chart xmlns:c="urn:c" r:id="r1"/></p:graphicFrame>'
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": relations(("chart", "../charts/a.xml")),
        "ppt/charts/a.xml": chart,
    }
    rows = read(saved(frame, parts=parts)).text.split("\n")
    assert rows == [" | Share", "IT Rome | 50%", "IT Milan | 25%", "FR Paris | 100%"]


def test_nothing_outside_the_package_is_opened() -> None:
    outside = relations(("notesSlide", "../../../../etc/passwd")).replace(
        "</Relationships>",
        '<Relationship Id="r9" Type="x/notesSlide" Target="http://127.0.0.1:1/a" '
        'TargetMode="External"/></Relationships>',
    )
    data = saved(shape("inside"), parts={"ppt/slides/_rels/slide1.xml.rels": outside})
    assert read(data).text == "inside"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old one", "old binary format"),
        (b"plain text", "not a PowerPoint document"),
        (package({"a": "b"}), "main part is missing"),
        (saved(shape("x"))[:-60], "damaged"),
        (saved("<p:sp>"), "damaged"),
    ],
)
def test_unreadable_presentations_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)


def test_a_slide_that_expands_its_entities_is_refused() -> None:
    levels = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{levels}]><p xmlns:a="urn:a"><a:t>&a9;</a:t></p>'
    with pytest.raises((UnreadableDocument, NothingToIndex)):
        read(saved("", parts={"ppt/slides/slide1.xml": bomb}))


def test_a_presentation_without_text_is_skipped() -> None:
    with pytest.raises(NothingToIndex, match="no text"):
        read(saved(shape("")))
    with pytest.raises(NothingToIndex, match="PowerPoint keeps it"):
        read(saved(shape("x")), "~$talk.pptx")

import time
from pathlib import PurePath

import pytest

from allma_server.documents.readers import odf
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract
from tests.unit.documents.office_files import flat_odf, package
from tests.unit.documents.office_files import odf as saved


def read(data: bytes, name: str = "a.odt") -> Extract:
    return odf.read(data, PurePath(name))


NUMBERED = (
    '<office:automatic-styles><text:list-style style:name="L1"><text:list-level-style-number '
    'text:level="1" style:num-format="1"/></text:list-style></office:automatic-styles>'
)
TEXT = (
    '<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>'
    '<text:h text:outline-level="1">Guide</text:h><text:p>Two<text:s text:c="2"/>spaces'
    '<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p>'
    '</text:note-body></text:note></text:p><text:h text:outline-level="2">Steps</text:h>'
    '<text:list text:style-name="L1"><text:list-item><text:p>Unpack</text:p><text:list>'
    '<text:list-item><text:p>gently</text:p></text:list-item></text:list></text:list-item>'
    '<text:list-item><text:p>Start</text:p></text:list-item></text:list><table:table>'
    '<table:table-row><table:table-cell><text:p>Year</text:p></table:table-cell><table:table-cell>'
    '<text:p>Sales</text:p></table:table-cell></table:table-row></table:table><text:p><draw:frame>'
    '<desc>A red lighthouse</desc><draw:text-box><text:p>Caption</text:p></draw:text-box>'
    '</draw:frame></text:p>'
)  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_texts_are_read_in_sections_that_follow_the_headings(packed: bool) -> None:
    flat = flat_odf("text", TEXT, NUMBERED)
    extract = read(package({"content.xml": flat, "meta.xml": flat}) if packed else flat.encode())
    assert (extract.title, extract.metadata) == ("A title", {"language": "de-DE"})
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert found == {
        ("Guide",): "Guide\n\nTwo  spaces\n\n[1] A note.",
        ("Guide", "Steps"): "Steps\n\n1. Unpack\n  - gently\n2. Start\n\nYear | Sales\n\n"
        "[Image: A red lighthouse]\n\nCaption",
    }


def test_headers_and_footers_come_last_each_once() -> None:
    edges = "".join(
        f"<style:master-page><style:{edge}><text:p>{text}</text:p></style:{edge}></style:master-page>"
        for edge, text in (
            ("header", "Tide report"),
            ("header-first", "Tide report"),
            ("footer", "<text:page-number>1</text:page-number>"),
            ("footer-left", "Harbour office"),
        )
    )
    styles = f"<office:master-styles>{edges}</office:master-styles>"
    extract = read(flat_odf("text", "<text:p>Body</text:p>", styles).encode())
    assert extract.text == "Body\n\nHeaders and footers\n\nTide report\n\nHarbour office"


def test_headings_have_the_numbers_of_the_outline() -> None:
    levels = (
        '<text:outline-level-style text:level="1" style:num-format="I" style:num-suffix="."/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/>'
        '<text:outline-level-style text:level="3" style:num-format=""/>'
    )
    styles = f"<text:outline-style>{levels}</text:outline-style>"
    body = "".join(
        f'<text:h text:outline-level="{level}">{title}</text:h>'
        for level, title in ((1, "A"), (2, "B"), (2, "C"), (3, "D"), (1, "E"), (2, "F"))
    )
    text = read(flat_odf("text", body, styles).encode()).text
    assert text.split() == "I. A I.1 B I.2 C D II. E II.1 F".split()


def test_embedded_sheets_and_formulas_are_read_once() -> None:
    def embedded(name: str) -> str:
        href = f'xmlns:xlink="urn:x" xlink:href="./{name}"'
        return f"<text:p><draw:frame><draw:object {href}/></draw:frame></text:p>"

    sheet = f"<table:table>{cells('Year', 'Sales')}</table:table>{embedded('Sheet')}"
    formula = "<math><mi>E</mi><annotation>E = m c^2</annotation></math>"
    parts = {"Sheet/content.xml": flat_odf("spreadsheet", sheet), "Formula/content.xml": formula}
    outside = embedded("../../etc/passwd") + embedded("Gone") + embedded(".")
    body = embedded("Sheet") + embedded("Formula") + embedded("Sheet") + outside
    assert read(saved("text", body, **parts)).text == "Year | Sales\n\nE = m c^2"


def cells(*texts: str) -> str:
    shown = (f"<table:table-cell><text:p>{t}</text:p></table:table-cell>" for t in texts)
    return f"<table:table-row>{''.join(shown)}</table:table-row>"


def test_sheets_have_the_displayed_text_at_their_cells() -> None:
    gap = (
        '<table:table-row table:number-rows-repeated="3"><table:table-cell '
        'table:number-columns-repeated="1024"/></table:table-row>'
    )
    percent = (
        '<table:table-row><table:table-cell table:number-columns-repeated="2"/><table:table-cell '
        'office:value="0.255"><text:p>25,5 %</text:p></table:table-cell></table:table-row>'
    )
    sheet = f'<table:table table:name="Plan">{cells("a", "b")}{gap}{percent}</table:table>'
    extract = read(saved("spreadsheet", sheet), "a.ods")
    (section,) = extract.sections
    assert (extract.text, section.heading) == ("a | b\n25,5 %", ("Plan",))
    assert section.places == (("A1:", "C1"), ("A5:", "C5"))


def test_repetitions_do_not_grow() -> None:
    body = cells("x")
    for element, repetition in (("row", "rows"), ("cell", "columns")):
        counted = f'<table:table-{element} table:number-{repetition}-repeated="9999999"'
        body = body.replace(f"<table:table-{element}", counted)
    began = time.process_time()
    sheet = f'<table:table table:name="S">{body}</table:table>'
    extract = read(saved("spreadsheet", sheet), "a.ods")
    assert (extract.text.count("\n"), extract.text.count("x")) == (999, 100_000)
    assert time.process_time() - began < 5


def test_each_slide_is_a_page() -> None:
    page = (
        '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{}</text:p>'
        "</draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>body</text:p>"
        "</draw:text-box></draw:frame><presentation:notes><draw:frame><draw:text-box>"
        "<text:p>say hello</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>"
    )
    footer = "<presentation:footer-decl>Harbour office</presentation:footer-decl>"
    frame = "<draw:frame{}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    hint = frame.format(' presentation:placeholder="true"', "Click to edit")
    master = f"<style:master-page>{hint}{frame.format('', 'Tides')}</style:master-page>"
    styles = f"<office:master-styles>{master}</office:master-styles>"
    pages = footer + page.format("One") + page.format("Two")
    extract = read(flat_odf("presentation", pages, styles).encode(), "a.fodp")
    found = [(s.page, s.heading) for s in extract.sections]
    assert found == [(1, ("One",)), (2, ("Two",)), (None, ("Headers and footers",))]
    assert "Two\n\nbody\n\nNotes: say hello" in extract.text
    assert extract.text.endswith("Headers and footers\n\nHarbour office\n\nTides")


MANIFEST = '<m xmlns:m="urn:m"><m:file-entry><m:encryption-data/></m:file-entry></m>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved("text", "x", **{"META-INF/manifest.xml": MANIFEST}), "password"),
        (b"plain text", "not an OpenDocument document"),
        (package({"a": "b"}), "not an OpenDocument file"),
        (b"<html><body>page</body></html>", "not an OpenDocument file|no text"),
        (saved("text", "<text:p>x</text:p>")[:-30], "damaged"),
        (b"<office:document>", "damaged"),
        (b"<a>" * 5000 + b"</a>" * 5000, "damaged"),
    ],
)
def test_unreadable_documents_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)


def test_a_document_without_text_is_skipped() -> None:
    with pytest.raises(NothingToIndex):
        read(saved("text", "<text:p/>"))

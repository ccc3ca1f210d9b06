import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePath

import docx
import pytest
from docx.document import Document

from allma_server.documents.readers import docx as docx_reader
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def read(data: bytes) -> Extract:
    return docx_reader.read(data, PurePath("file.docx"))


def saved(document: Document) -> bytes:
    file = BytesIO()
    document.save(file)
    return file.getvalue()


def package(body: str, parts: Mapping[str, str] | None = None, doctype: str = "") -> bytes:
    """A document with this body, and further parts by the last word of their relationship."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
            'ContentType="application/xml"/><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        )
        archive.writestr("_rels/.rels", relations({"officeDocument": "word/document.xml"}))
        archive.writestr(
            "word/_rels/document.xml.rels",
            relations({kind: f"{kind}.xml" for kind in parts or {}}),
        )
        names = f'xmlns:w="{W}" xmlns:mc="urn:mc" xmlns:v="urn:v" xmlns:r="{OFFICE}"'
        archive.writestr(
            "word/document.xml",
            f"{doctype}<w:document {names}><w:body>{body}</w:body></w:document>",
        )
        for kind, content in (parts or {}).items():
            archive.writestr(f"word/{kind}.xml", f"<w:{kind} {names}>{content}</w:{kind}>")
    return file.getvalue()


def relations(targets: Mapping[str, str]) -> str:
    rows = "".join(
        f'<Relationship Id="r{i}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets.items())
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{rows}</Relationships>'


def p(inside: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{inside}</w:p>"


def r(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_sections_follow_the_headings() -> None:
    document = docx.Document()
    document.add_paragraph("before")
    document.add_heading("Guide", 1)
    document.add_heading("Install", 2)
    document.add_paragraph("Unpack it.")
    document.add_heading("Appendix", 1)
    extract = read(saved(document))
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert found == {
        (): "before",
        ("Guide",): "Guide",
        ("Guide", "Install"): "Install\n\nUnpack it.",
        ("Appendix",): "Appendix",
    }


def test_a_table_has_a_line_for_each_row() -> None:
    document = docx.Document()
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("name", "age", "Ann\nBee", "7"), strict=True):
        cell.text = text
    assert read(saved(document)).text == "name | age\nAnn Bee | 7"


def test_a_long_table_repeats_its_first_row_and_breaks_at_rows() -> None:
    document = docx.Document()
    table = document.add_table(60, 2)
    for i, row in enumerate(table.rows):
        row.cells[0].text, row.cells[1].text = ("name", "value") if i == 0 else (f"n{i}", "x" * 20)
    extract = read(saved(document))
    (section,) = extract.sections
    assert (section.kind, section.repeat) == ("records", "name | value")
    assert [extract.text[at : at + 2] for at in section.breaks[1:4]] == ["n1", "n2", "n3"]


def test_title_and_author_come_from_the_document() -> None:
    document = docx.Document()
    document.core_properties.title = "Annual report"
    document.core_properties.author = "Ann"
    document.add_paragraph("text")
    extract = read(saved(document))
    found = {"author": "Ann", "language": "en-US"}
    assert (extract.title, extract.metadata) == ("Annual report", found)


def test_tracked_changes_count_as_accepted() -> None:
    body = p(
        r("It was ")
        + "<w:del><w:r><w:delText>red</w:delText></w:r></w:del>"
        + f"<w:ins>{r('blue')}</w:ins><w:moveFrom>{r(' here')}</w:moveFrom>"
        + f"<w:moveTo>{r(' there')}</w:moveTo>"
    )
    assert read(package(body)).text == "It was blue there"


def test_a_paragraph_with_a_deleted_end_is_joined_to_the_next() -> None:
    body = p(r("one"), "<w:rPr><w:del/></w:rPr>") + p(r("two"))
    assert read(package(body)).text == "one two"


def test_a_drop_cap_belongs_to_its_word() -> None:
    body = p(r("O"), '<w:framePr w:dropCap="drop"/>') + p(r("nce upon a time"))
    assert read(package(body)).text == "Once upon a time"


def test_notes_follow_the_paragraph_that_refers_to_them() -> None:
    body = p(r("A claim") + '<w:r><w:footnoteReference w:id="7"/></w:r>') + p(r("More."))
    note = f'<w:footnote w:id="7">{p(r("The proof."))}</w:footnote>'
    assert read(package(body, {"footnotes": note})).text == (
        "A claim[1]\n\n[1] The proof.\n\nMore."
    )


def test_a_text_box_is_read_once_although_it_is_stored_twice() -> None:
    box = f"<w:txbxContent>{p(r('in the box'))}</w:txbxContent>"
    body = p(
        r("beside")
        + f"<w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        + f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>"
    )
    assert read(package(body)).text == "beside\n\nin the box"


def test_content_controls_links_and_fields_show_their_visible_text() -> None:
    body = (
        f"<w:sdt><w:sdtContent>{p(r('controlled'))}</w:sdtContent></w:sdt>"
        + p(f"<w:hyperlink>{r('link')}</w:hyperlink>")
        + p(
            '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText>PAGEREF x</w:instrText>'
            f'<w:t>hidden</w:t><w:fldChar w:fldCharType="separate"/></w:r>{r("42")}'
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
        )
        + p('<w:r><w:fldChar w:fldCharType="begin"/></w:r>')
        + p(r("a field that never ended hides nothing"))
        + p("<w:r><w:ruby><w:rt><w:r><w:t>とうきょう</w:t></w:r></w:rt>"
            f"<w:rubyBase>{r('東京')}</w:rubyBase></w:ruby></w:r>")
    )  # fmt: skip
    assert read(package(body)).text.split("\n\n") == [
        "controlled", "link", "42", "a field that never ended hides nothing", "東京",
    ]  # fmt: skip


def test_list_items_and_numbered_headings_have_their_labels() -> None:
    numbering = (
        '<w:abstractNum w:abstractNumId="0">'
        '<w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="decimal"/>'
        '<w:lvlText w:val="%1."/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="%1.%2)"/></w:lvl>'
        '</w:abstractNum><w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0">'
        '<w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    )

    def item(text: str, number: int, level: int, more: str = "") -> str:
        listed = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        return p(r(text), listed + more)

    body = (
        item("Scope", 1, 0, '<w:outlineLvl w:val="0"/>')
        + item("first", 1, 1) + item("second", 1, 1)
        + item("Terms", 1, 0, '<w:outlineLvl w:val="0"/>') + item("again", 1, 1)
        + item("point", 2, 0) + item("unknown list", 9, 0)
    )  # fmt: skip
    extract = read(package(body, {"numbering": numbering}))
    assert [s.heading for s in extract.sections] == [("3. Scope",), ("4. Terms",)]
    assert "3.i) first\n\n  3.ii) second" in extract.text
    assert "4.i) again\n\n- point\n\nunknown list" in extract.text


def test_styles_inherit_heading_levels_and_cycles_are_ignored() -> None:
    def style(identity: str, based_on: str, more: str = "") -> str:
        return f'<w:style w:styleId="{identity}">{more}<w:basedOn w:val="{based_on}"/></w:style>'

    styles = (
        style("H", "", '<w:name w:val="heading 2"/>')
        + style("Mine", "H") + style("A", "B") + style("B", "A")
    )  # fmt: skip
    body = p(r("Mine"), '<w:pStyle w:val="Mine"/>') + p(r("loop"), '<w:pStyle w:val="A"/>')
    extract = read(package(body, {"styles": styles}))
    assert [(s.heading, extract.text) for s in extract.sections] == [(("Mine",), "Mine\n\nloop")]


def test_headers_footers_and_comments_come_last_under_their_own_headings() -> None:
    extract = read(
        package(
            p(r("body")),
            {
                "comments": f'<w:comment w:author="Ann">{p(r("Is that so?"))}</w:comment>',
                "header": p(r("Confidential")),
                "footer": p(r("17")),
            },
        )
    )
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert found == {
        (): "body",
        ("Headers and footers",): "Headers and footers\n\nConfidential",
        ("Comments",): "Comments\n\nAnn: Is that so?",
    }


# --- what is not text of its own ----------------------------------------------------------------

MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def raised(text: str) -> str:
    return f'<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>{text}</w:t></w:r>'


def test_formulas_are_in_their_place_in_the_text() -> None:
    power = (
        f'<m:oMath xmlns:m="{MATH}"><m:sSup><m:e><m:r><m:t>10</m:t></m:r></m:e>'
        "<m:sup><m:r><m:t>-6</m:t></m:r></m:sup></m:sSup></m:oMath>"
    )
    display = f'<m:oMathPara xmlns:m="{MATH}">{power}{power}</m:oMathPara>'
    extract = read(package(p(r("about ") + power + r(" m")) + p(display)))
    assert extract.text == "about 10^-6 m\n\n10^-6\n10^-6"


def test_superscripts_are_separated_from_the_text_before() -> None:
    powers = p(r("10") + raised("-6") + r(" m") + raised("2"))
    words = p(r("the 1") + raised("st") + r(" M") + raised("me"))
    assert read(package(powers + words)).text == "10^-6 m^2\n\nthe 1st Mme"


CHART = """
<c:chart xmlns:c="urn:c" xmlns:a="urn:a"><c:title><a:t>Ferries </a:t><a:t>a day</a:t></c:title>
<c:ser><c:tx><c:v>North</c:v></c:tx>
<c:cat><c:pt idx="0"><c:v>May</c:v></c:pt><c:pt idx="1"><c:v>June</c:v></c:pt></c:cat>
<c:val><c:pt idx="0"><c:v>7</c:v></c:pt><c:pt idx="1"><c:v>9</c:v></c:pt></c:val></c:ser>
<c:ser><c:tx><c:v>South</c:v></c:tx><c:val><c:pt idx="1"><c:v>4</c:v></c:pt></c:val></c:ser>
<c:valAx><c:title><a:t>Crossings</a:t></c:title></c:valAx></c:chart>
"""


def test_a_chart_is_a_table_of_its_series() -> None:
    body = p('<w:r><w:drawing><c:chart xmlns:c="urn:c" r:id="r0"/></w:drawing></w:r>')
    extract = read(package(body + p(r("after")), {"chart": CHART}))
    assert [line.strip() for line in extract.text.split("\n")] == [
        "Ferries a day",
        "Crossings",
        "| North | South",
        "May | 7 |",
        "June | 9 | 4",
        "",
        "after",
    ]


def test_pictures_are_described_once_without_file_names() -> None:
    def drawing(text: str) -> str:
        frame = f'<wp:docPr xmlns:wp="urn:wp" descr="{text}"/>'
        picture = f'<pic:cNvPr xmlns:pic="urn:pic" descr="{text}"/>'
        return f"<w:r><w:drawing>{frame}{picture}</w:drawing></w:r>"

    machine = "A cat Description automatically generated"
    pictures = ("A map of the harbour", "photo.jpg", "", machine)
    body = "".join(p(r("see") + drawing(text)) for text in pictures)
    assert read(package(body)).text.split("\n\n") == [
        "see [Image: A map of the harbour]",
        "see",
        "see",
        "see [Image: A cat]",
    ]


def test_symbols_and_word_art_are_read_as_text() -> None:
    greek = '<w:sym w:font="Symbol" w:char="F06D"/>'
    symbols = f'<w:r>{greek}<w:sym w:font="Arial" w:char="00B5"/></w:r>'
    art = '<w:r><w:pict><v:shape><v:textpath string="DRAFT"/></v:shape></w:pict></w:r>'
    assert read(package(p(symbols) + p(art))).text == "μµ\n\nDRAFT"


def test_documents_with_strict_namespaces_are_read() -> None:
    data = package(p(r("strict text"), '<w:outlineLvl w:val="0"/>'))
    strict = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(strict, "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(W.encode(), b"http://purl.oclc.org/ooxml/wml/main")
            office = b"http://purl.oclc.org/ooxml/officeDocument/relationships"
            new.writestr(name, content.replace(OFFICE.encode(), office))
    assert read(strict.getvalue()).sections[0].heading == ("strict text",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old document", "old binary format"),
        (b"only text", "not a Word document"),
        (b"PK\x03\x04 no archive", "damaged"),
    ],
)
def test_an_unreadable_document_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)


def test_the_lock_file_of_an_open_document_is_skipped() -> None:
    with pytest.raises(NothingToIndex, match="open"):
        docx_reader.read(b"\x05ann", PurePath("~$report.docx"))


def test_a_package_without_a_main_part_is_refused() -> None:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        archive.writestr("_rels/.rels", relations({}))
    with pytest.raises(UnreadableDocument, match="main part"):
        read(file.getvalue())


def test_a_document_without_text_has_nothing_to_index() -> None:
    with pytest.raises(NothingToIndex, match="no text"):
        read(saved(docx.Document()))


def test_external_entities_are_not_resolved(tmp_path: PurePath) -> None:
    secret = f"{tmp_path}/secret.txt"
    with open(secret, "w") as file:
        file.write("top secret")
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
    assert "top secret" not in read(package(p(r("[") + r("&e;") + r("]")), doctype=doctype)).text


def test_an_entity_bomb_is_refused() -> None:
    levels = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    doctype = f'<!DOCTYPE x [<!ENTITY a0 "ha">{levels}]>'
    with pytest.raises(UnreadableDocument):
        read(package(p(r("&a9;")), doctype=doctype))


def test_a_document_over_the_unpacked_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allma_server.documents.readers.zip_package.UNPACKED_LIMIT", 2 << 20)
    with pytest.raises(UnreadableDocument, match="unpacks to 3 MB"):
        read(package(p(r(" " * (3 << 20)))))

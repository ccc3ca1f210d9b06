import logging
import zlib
from io import BytesIO
from pathlib import PurePath

import pypdf
import pytest

from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.formats.pdf import PdfReader
from allma_server.formats.pdf_cids import unicode_table
from allma_server.formats.pdf_operators import text_operations
from allma_server.model import Extract
from tests.unit.formats.pdf_files import pdf_of, pdf_with_contents, pdf_with_pages, stream


def read(data: bytes) -> Extract:
    return PdfReader().read(data, PurePath("file.pdf"))


def pages(extract: Extract) -> dict[int | None, str]:
    return {s.page: extract.text[s.start : s.end].strip() for s in extract.sections}


def test_each_page_is_a_section_with_its_number() -> None:
    extract = read(pdf_with_pages("first", "", "third"))
    assert pages(extract) == {1: "first", 3: "third"}
    assert extract.metadata["pages"] == "3"


def test_a_bad_page_is_left_out_and_named() -> None:
    data = pdf_with_pages("kept", "lost", "kept, too")
    at = data.index(b">>stream", data.index(b"7 0 obj"))
    extract = read(data[:at] + b"/Filter/NoSuchFilter" + data[at:])
    assert pages(extract) == {1: "kept", 3: "kept, too"}
    assert extract.metadata["unreadable_pages"] == "2"


def test_a_page_that_unpacks_to_very_much_is_left_out() -> None:
    bomb = zlib.compress(b"BT /F1 12 Tf (bomb) Tj ET" + b" " * (40 << 20), 9)
    data = pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<<>>>>>>",
        stream(bomb, b"/Filter/FlateDecode"),
    )
    with pytest.raises(UnreadableDocument, match="no page can be read"):
        read(data)


def test_a_scan_is_reported_as_having_no_text_layer() -> None:
    with pytest.raises(NothingToIndex, match="no text layer"):
        read(pdf_with_contents(b"q 100 0 0 100 0 0 cm Q", b""))


def test_an_encrypted_file_needs_a_password() -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages("secret")))
    writer.encrypt("open sesame", algorithm="AES-256")
    file = BytesIO()
    writer.write(file)
    with pytest.raises(UnreadableDocument, match="password is needed"):
        read(file.getvalue())


def test_a_file_with_only_an_owner_password_opens() -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages("for all to read")))
    writer.encrypt("", owner_password="owner", algorithm="AES-256")
    file = BytesIO()
    writer.write(file)
    assert "for all to read" in read(file.getvalue()).text


def test_a_truncated_file_yields_the_pages_that_are_left() -> None:
    data = pdf_with_pages("page one", "page two", "page three")
    assert pages(read(data[: data.index(b"page three")]))[1] == "page one"


def test_a_page_tree_that_bites_its_tail_yields_its_pages() -> None:
    data = pdf_with_pages("still there").replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")
    assert "still there" in read(data).text


def test_words_hyphenated_at_line_ends_are_put_together() -> None:
    extract = read(
        pdf_with_pages("an exam-\nple of a well-\nknown rule, well-known to Jean-\nPaul")
    )
    assert extract.text == "an example\nof a well-known\nrule, well-known to Jean-\nPaul"


def test_form_fields_and_notes_are_read_with_their_page() -> None:
    data = pdf_with_pages(
        "Application",
        page_entries=b"/Annots[6 0 R 7 0 R 8 0 R]",
        extra=(
            b"<</Type/Annot/Subtype/Widget/FT/Tx/T(City)/V(Zanzibar)/Rect[0 0 9 9]>>",
            b"<</Type/Annot/Subtype/Text/Contents(Please check)/Rect[0 0 9 9]>>",
            b"<</Type/Annot/Subtype/Widget/FT/Btn/T(Agree)/V/Off/Rect[0 0 9 9]>>",
        ),
    )
    assert pages(read(data)) == {1: "Application\nCity: Zanzibar\nPlease check"}


def test_the_title_is_the_documents_own() -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages("text")))
    writer.add_metadata({"/Title": "Microsoft Word - Annual report.docx"})
    file = BytesIO()
    writer.write(file)
    assert read(file.getvalue()).title == "Annual report"


def test_japanese_without_a_table_to_unicode_is_readable() -> None:
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/Mincho/Encoding/Identity-H/DescendantFonts["
        b"<</Type/Font/Subtype/CIDFontType0/BaseFont/Mincho"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>>>]>>"
    )
    content = b"BT /F1 12 Tf <0DAA 096A 0377> Tj ET"
    extract = read(pdf_with_contents(content, font=font))
    assert extract.text == "標準の"


@pytest.mark.parametrize(
    ("collection", "cid", "char"),
    [("Japan1", 34, "A"), ("GB1", 940, "啊"), ("Korea1", 1086, "가"), ("CNS1", 595, "一")],
)
def test_cids_stand_for_the_characters_of_their_collection(
    collection: str, cid: int, char: str
) -> None:
    assert f"<{cid:04x}> <{ord(char):04x}>".encode() in (unicode_table(collection) or b"")


def test_fonts_of_unknown_collections_are_left_alone() -> None:
    assert unicode_table("Identity") is None


def test_a_file_that_is_no_pdf_is_named_so() -> None:
    with pytest.raises(UnreadableDocument, match="not a PDF"):
        read(b"<html><body>404 not found</body></html>")


def test_pypdf_does_not_write_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(pdf_with_pages("text").replace(b"startxref", b"startxxxx"))
    assert not caplog.records


# --- the operators of a page --------------------------------------------------------------------


def test_only_operators_that_matter_to_text_are_kept() -> None:
    content = (
        b"q 1 0 0 1 5 -.5 cm 10 20 m 30 40 l S BT /F#311 12 Tf [(a\\)\\101) -250 <62 6>] TJ ET Q"
    )
    assert text_operations(content, tuple) == [
        ([], b"q"),
        ([1, 0, 0, 1, 5, -0.5], b"cm"),
        ([], b"BT"),
        (["/F11", 12], b"Tf"),
        ([(b"a)A", -250, b"b`")], b"TJ"),
        ([], b"ET"),
        ([], b"Q"),
    ]


def test_strings_may_hold_brackets_and_line_breaks() -> None:
    content = b"(outer (inner) \\\n\\n) Tj % a comment (not a string\n(next)'"
    assert text_operations(content, list) == [([b"outer (inner) \n"], b"Tj"), ([b"next"], b"'")]


@pytest.mark.parametrize("content", [b"BI /W 1 ID \x00\xff EI", b"(never closed Tj", b"12 {"])
def test_what_is_not_understood_is_left_to_the_full_parser(content: bytes) -> None:
    assert text_operations(content, list) is None


def test_a_stream_that_never_closes_its_brackets_is_scanned_in_linear_time() -> None:
    assert text_operations(b"(" * 200_000, list) is None

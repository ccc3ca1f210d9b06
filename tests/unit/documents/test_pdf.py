import logging
import zlib
from io import BytesIO
from pathlib import PurePath

import pypdf
import pytest

from allma_server.documents.readers import pdf as pdf_reader
from allma_server.documents.readers.pdf_fallback import FallbackDocument
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import Extract
from tests.unit.documents.pdf_files import pdf_of, pdf_with_contents, pdf_with_pages, stream


def read(data: bytes) -> Extract:
    return pdf_reader.read(data, PurePath("file.pdf"))


def pages(extract: Extract) -> dict[int | None, str]:
    return {s.page: extract.text[s.start : s.end].strip() for s in extract.sections}


def test_each_page_is_a_section_with_its_number() -> None:
    extract = read(pdf_with_pages("first", "", "third"))
    assert pages(extract) == {1: "first", 3: "third"}
    assert extract.metadata["pages"] == "3"


def test_pages_without_text_are_named() -> None:
    extract = read(pdf_with_pages("kept", "", "", "kept, too", ""))
    assert pages(extract) == {1: "kept", 4: "kept, too"}
    assert extract.metadata["pages_without_text"] == "2-3, 5"


def test_a_page_that_cannot_be_read_is_left_out_and_named() -> None:
    data = pdf_with_pages("kept", "lost", "kept, too")
    bomb = zlib.compress(b" " * (40 << 20), 9)  # pdfium takes it for an empty page
    at = data.index(b"<</Length", data.index(b"7 0 obj"))
    end = data.index(b"endstream", at)
    extract = read(data[:at] + stream(bomb, b"/Filter/FlateDecode") + data[end + 9 :])
    assert pages(extract) == {1: "kept", 3: "kept, too"}
    assert extract.metadata["unreadable_pages"] == "2"


def test_pypdf_skips_a_page_over_the_unpacked_limit() -> None:
    bomb = zlib.compress(b"BT /F1 12 Tf (bomb) Tj ET" + b" " * (40 << 20), 9)
    data = pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<<>>>>>>",
        stream(bomb, b"/Filter/FlateDecode"),
    )
    assert FallbackDocument(data).text(0) is None


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


def test_a_cyclic_page_tree_yields_its_pages() -> None:
    data = pdf_with_pages("still there").replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")
    assert "still there" in read(data).text


def test_words_hyphenated_at_line_ends_are_joined() -> None:
    extract = read(
        pdf_with_pages("an exam-\nple of a well-\nknown rule, well-known to Jean-\nPaul")
    )
    assert extract.text == "an example\nof a well-known\nrule, well-known to Jean-Paul"


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


def test_the_title_comes_from_the_document() -> None:
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


def test_a_file_that_is_not_a_pdf_is_reported() -> None:
    with pytest.raises(UnreadableDocument, match="not a PDF"):
        read(b"<html><body>404 not found</body></html>")


def test_pypdf_does_not_write_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(pdf_with_pages("text").replace(b"startxref", b"startxxxx"))
    assert not caplog.records


# --- what pdfium guesses ------------------------------------------------------------------------


def line(*parts: bytes) -> str:
    """The text of a page with one line."""
    return read(pdf_with_contents(b"BT /F1 12 Tf 72 700 Td %b ET" % b" ".join(parts))).text


def spaced(word: bytes, gap: int) -> bytes:
    """The letters of a word with a gap, in thousandths of the font's size, after each."""
    return b"".join(b"(%c) -%d " % (letter, gap) for letter in word)


@pytest.mark.parametrize("gap", [200, 300, 500])
def test_letter_spaced_text_is_joined_to_words(gap: int) -> None:
    words = spaced(b"ALENAZI", gap), b"-350 ", spaced(b"GROUP", gap)
    assert line(b"[%b] TJ" % b"".join(words)) == "ALENAZI GROUP"


def test_letters_in_a_row_of_a_table_stay_apart() -> None:
    assert line(b"[%b] TJ" % spaced(b"ABCDEF", 2000)) == "A B C D E F"


def test_short_words_stay_words() -> None:
    words = b" -280 ".join(b"(%b)" % word for word in b"it is up to us to go on so".split())
    assert line(b"[%b] TJ" % words) == "it is up to us to go on so"


def test_words_without_spaces_are_split_by_their_positions() -> None:
    assert line(b"[(Lorem) -280 (ipsum) -280 (dolor)] TJ") == "Lorem ipsum dolor"


def test_exponents_are_separated_from_the_digits_before() -> None:
    text = line(
        b"(about 10) Tj /F1 8 Tf 5 Ts (-6) Tj 0 Ts /F1 12 Tf ( m of H) Tj /F1 8 Tf -3 Ts (2) Tj",
        b"0 Ts /F1 12 Tf (O, 10) Tj /F1 8 Tf 5 Ts (12) Tj",
    )
    assert text == "about 10^-6 m of H2O, 10^12"
    assert line(b"(about 106 of 10-6 in H2)Tj") == "about 106 of 10-6 in H2"


def extracted(content: bytes, **meaning: str) -> str:
    """The text of a page whose letters mean something else."""
    rows = [b"<%02x> <%b>" % (ord(letter), text.encode("utf-16-be").hex().encode())
            for letter, text in meaning.items()]  # fmt: skip
    table = (
        b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange %d beginbfchar %b endbfchar "
        b"endcmap" % (len(rows), b" ".join(rows))
    )
    font = (
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/FirstChar 0/LastChar 255"
        b"/Widths[%b]/ToUnicode 6 0 R>>" % (b"500 " * 256)
    )
    page = b"BT /F1 12 Tf 72 700 Td (%b) Tj ET" % content
    return read(pdf_with_contents(page, font=font, extra=(stream(table),))).text


def test_right_to_left_text_is_in_reading_order_with_its_ligatures() -> None:
    assert extracted(b"DLB", D="د", B="ب", L="لا") == "بلاد"
    assert extracted(b"DLB", D="د", B="ب", L="\ufefb") == "بلاد"
    assert extracted(b"MWLS", M="ם", W="ו", L="ל", S="ש") == "שלום"


def test_characters_outside_the_basic_plane_are_kept() -> None:
    assert extracted(b"A-B", A="\U0001f600", B="\U00020000") == "\U0001f600-\U00020000"


def test_columns_are_read_one_after_the_other() -> None:
    extract = read(
        pdf_with_contents(
            b"BT /F1 12 Tf 14 TL 72 700 Td (left one) Tj T* (left two) Tj ET"
            b" BT /F1 12 Tf 14 TL 320 700 Td (right one) Tj T* (right two) Tj ET"
        )
    )
    assert extract.text.split("\n") == ["left one", "left two", "right one", "right two"]


@pytest.mark.parametrize("page", [0, 90, 180, 270])
@pytest.mark.parametrize("text", [b"1 0 0 1", b"0 1 -1 0", b"-1 0 0 -1", b"0 -1 1 0"])
def test_rotated_text_is_read_like_upright_text(page: int, text: bytes) -> None:
    shown = b"(first) Tj T* (second) Tj T* [%b] TJ T* (10) Tj 5 Ts /F1 8 Tf (6) Tj"
    content = b"BT /F1 12 Tf 14 TL %b 300 300 Tm " + shown + b" ET"
    data = pdf_with_contents(
        content % (text, spaced(b"ALENAZI", 300)), page_entries=b"/Rotate %d" % page
    )
    assert read(data).text.split("\n") == ["first", "second", "ALENAZI", "10^6"]


def test_choices_and_captions_of_a_form_are_read() -> None:
    data = pdf_with_pages(
        "Order",
        page_entries=b"/Annots[6 0 R 7 0 R 8 0 R]",
        extra=(
            b"<</Subtype/Widget/FT/Ch/T(c)/TU(Country)/V(de)/Opt[[(de)(Germany)][(fr)(France)]]>>",
            b"<</Type/Annot/Subtype/Widget/FT/Btn/T(go)/MK<</CA(Send the order)>>/Rect[0 0 9 9]>>",
            b"<</Type/Annot/Subtype/FreeText/Contents(in a hurry)/Rect[0 0 9 9]>>",
        ),
    )
    assert pages(read(data))[1].split("\n") == [
        "Order",
        "Country: Germany",
        "Country, choices: Germany, France",
        "Send the order",
        "in a hurry",
    ]


PROSE = "These lines of prose show how wide the column is.\n"


HEX = "a1b2c3d4e5f6a7b8c9d0e1f2" * 4


@pytest.mark.parametrize(
    ("before", "pieces", "after"),
    [
        (
            "It is told at ",
            ["https://docs.example.org/en/latest/settings/", "tokens.html"],
            ".",
        ),
        (
            "Look at ",
            ["www.example.org/wiki/File:Twist_and_Fagin_by_Cru", "k_1846.jpg"],
            " x",
        ),
        (
            "One is ",
            ["https://docs.example.org/en/latest/the-command-line-", "options/all"],
            " x",
        ),
        ("The longest one of its settings has the name of ", ["max_retries_", "before_end"], " x"),
        ("Whose number in the catalogue is ", ["7f3c9a1e-5b2d-4c8f-9e6a-0d", "4b7c1a2f35"], ","),
        ("The key of this sandbox has been ", ["q9Xb27LmZt4Rw8Pk1Vn6Hc3", "Jy5Ds0Gf2Ae7"], "."),
        ("All is in ", [f"https://docs.example.org/{HEX[:24]}", HEX[24:], "c5d6e7f8.html"], " x"),
    ],
)
def test_a_token_broken_over_lines_is_joined(before: str, pieces: list[str], after: str) -> None:
    text = before + "\n".join(pieces) + after
    assert "".join(pieces) in read(pdf_with_pages(PROSE + text)).text


@pytest.mark.parametrize(
    "text",
    [
        "The manual of it stands at https://docs.example.org/en/latest/\nfor everybody who reads.",
        "The manual of it stands at https://docs.example.org/en/latest/\n12 of 80",
        "This line of prose is longer than the other.\nSee www.example.org/en/\nfirst_steps.html.",
        "It was told of at https://docs.example.org/en/latest/index.html.\nA2 is another one.",
        "https://docs.example.org/en/latest/one/page/of/many/about/files/\nhttps://example.org/b2",
        "5d41402abc4b2a76b9719d911017c592\n7d793037a0760186574b0282f2f435e7\nd41d8cd98f00b204e980",
        "Name ____________________________________________________________\nDate_of_birth",
    ],
)
def test_lines_that_end_with_a_token_stay_apart(text: str) -> None:
    assert read(pdf_with_pages(PROSE + text)).text == (PROSE + text)


def test_a_secret_broken_over_lines_is_masked() -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    text = f"{PROSE}Everybody who works on this has to use {token[:22]}\n{token[22:]} for now."
    extract = mask_extract(read(pdf_with_pages(text)))
    assert token[:22] not in extract.text
    assert token[22:] not in extract.text


def with_outline(*entries: tuple[str, int, int], pages: tuple[str, ...]) -> bytes:
    """A file with an entry of the outline for each title, page and level, counted from 0."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages(*pages)))
    parents = []
    for title, page, level in entries:
        above = parents[level - 1] if level else None
        parents[level:] = [writer.add_outline_item(title=title, page_number=page, parent=above)]
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def headed(extract: Extract) -> list[tuple[int | None, tuple[str, ...], str]]:
    return [(s.page, s.heading, extract.text[s.start : s.end].strip()) for s in extract.sections]


def test_bookmarks_are_headings_of_their_targets() -> None:
    data = with_outline(
        ("Engines", 0, 0),
        ("Cooling", 0, 1),
        ("Wings", 2, 0),
        pages=("1 Engines\nThey turn.\n1.1 Cooling\nOil flows.", "More of it.", "All of lift."),
    )
    assert headed(read(data)) == [
        (1, ("Engines",), "1 Engines\nThey turn."),
        (1, ("Engines", "Cooling"), "1.1 Cooling\nOil flows."),
        (2, ("Engines", "Cooling"), "More of it."),
        (3, ("Wings",), "All of lift."),
    ]


def test_text_before_a_heading_belongs_to_the_previous_heading() -> None:
    data = with_outline(("One", 0, 0), ("Two", 1, 0), pages=("One\nfirst", "its end\nTwo\nnext"))
    assert headed(read(data))[1:] == [(2, ("One",), "its end"), (2, ("Two",), "Two\nnext")]


def test_bookmarks_that_are_page_numbers_are_ignored() -> None:
    data = with_outline(("Page 1", 0, 0), ("2", 1, 0), pages=("first", "second"))
    assert headed(read(data)) == [(1, (), "first"), (2, (), "second")]


@pytest.mark.parametrize("following", [b"7 0 R", b"6 0 R", b"99 0 R"])
def test_a_cyclic_outline_ends(following: bytes) -> None:
    data = pdf_with_pages(
        "still there",
        extra=(
            b"<</First 7 0 R/Last 7 0 R>>",
            b"<</Title(Chapter)/Parent 6 0 R/Dest[4 0 R/Fit]/First 7 0 R/Next %b>>" % following,
        ),
    ).replace(b"/Type/Catalog", b"/Type/Catalog/Outlines 6 0 R")
    assert headed(read(data)) == [(1, ("Chapter",), "still there")]


def test_an_endless_outline_is_read_in_part() -> None:
    count = 20_000
    entries = tuple(
        b"<</Title(Part %d)/Parent 6 0 R/Dest[4 0 R/Fit]/Next %d 0 R>>" % (n, 8 + n)
        for n in range(count)
    )
    data = pdf_with_pages("text", extra=(b"<</First 7 0 R/Last 7 0 R>>", *entries)).replace(
        b"/Type/Catalog", b"/Type/Catalog/Outlines 6 0 R"
    )
    assert len(read(data).sections) == 1


def with_attachments(**files: bytes) -> bytes:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages("the page")))
    for name, data in files.items():
        writer.add_attachment(name.replace("_", "."), data)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_attached_files_are_named_and_read() -> None:
    extract = read(with_attachments(notes_md=b"# Costs\n\nforty-two", photo_png=b"\x89PNG"))
    assert headed(extract) == [
        (1, (), "the page"),
        (None, (), "Attachment: notes.md\nAttachment: photo.png"),
        (None, ("notes.md", "Costs"), "# Costs\n\nforty-two"),
    ]


def test_an_unreadable_attachment_does_not_affect_the_rest() -> None:
    extract = read(with_attachments(bad_docx=b"no zip", good_txt=b"read me"))
    reason = "It is not a Word document, although its name says so"
    assert headed(extract)[1:] == [
        (None, (), f"Attachment: bad.docx ({reason})\nAttachment: good.txt"),
        (None, ("good.txt",), "read me"),
    ]


def test_an_attachment_over_the_unpacked_limit_is_only_named() -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf_with_pages("the page")))
    writer.add_attachment("bomb.txt", b"x" * (40 << 20))
    writer.compress_identical_objects()
    out = BytesIO()
    writer.write(out)
    data = out.getvalue()
    plain = b"x" * (40 << 20)
    packed = zlib.compress(plain)
    start = data.index(b"stream\n" + plain[:20]) + len(b"stream\n")
    data = data[:start] + packed + data[start + len(plain) :]
    data = data.replace(b"/Length %d" % len(plain), b"/Filter/FlateDecode/Length %d" % len(packed))
    named = "Attachment: bomb.txt (it is damaged or too large)"
    assert headed(read(data)) == [(1, (), "the page"), (None, (), named)]

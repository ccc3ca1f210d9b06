import zipfile
from io import BytesIO
from pathlib import PurePath

import pytest

from allma_server.documents.readers import epub
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract
from tests.unit.documents.office_files import epub as saved
from tests.unit.documents.office_files import package


def read(data: bytes) -> Extract:
    return epub.read(data, PurePath("book.epub"))


def test_chapters_come_in_reading_order_below_their_titles() -> None:
    pages = {
        "z.xhtml": "<h1>The ship</h1><p>It sailed.</p><h2>The crew</h2><p>All ten.</p>",
        "a.xhtml": "<p>No heading of its own.</p><img src='x.png' alt='A red lighthouse'/>",
    }
    contents = '<nav><a href="z.xhtml">Ship</a><a href="a.xhtml#top">The end</a></nav>'
    extract = read(saved(pages, contents))
    assert extract.title == "A book" and not extract.lines
    assert extract.metadata == {"author": "Ann", "language": "en", "chapters": "2"}
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert found == {
        ("The ship",): "The ship\n\nIt sailed.",
        ("The ship", "The crew"): "The crew\n\nAll ten.",
        ("The end",): "The end\n\nNo heading of its own.\n\nA red lighthouse",
    }


def test_a_page_that_refers_to_itself_is_read_once() -> None:
    data = saved({"a.xhtml": "<p>Once only.</p><iframe src='a.xhtml'></iframe>"})
    assert read(data).text == "Once only."


def test_chapters_that_cannot_be_read_are_listed() -> None:
    whole = saved({"a.xhtml": "<p>Kept.</p>", "b.xhtml": "", "c.xhtml": "<p>Gone.</p>"})
    with zipfile.ZipFile(BytesIO(whole)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    del parts["OEBPS/c.xhtml"]
    text = read(package(parts)).text
    assert text.startswith("Kept.\n\nChapters that were not read\n\nOEBPS/c.xhtml (it is")
    assert "b.xhtml" not in text


ENCRYPTION = '<e xmlns:x="urn:x"><x:EncryptionMethod Algorithm="http://ns.example/{}"/></e>'


def test_obfuscated_fonts_are_not_protection() -> None:
    fonts = ENCRYPTION.format("pdf/enc#RC")
    allowed = ENCRYPTION.format("2008/embedding#obfuscation")
    with pytest.raises(UnreadableDocument, match="protected"):
        read(saved({"a.xhtml": "<p>x</p>"}, **{"META-INF/encryption.xml": fonts}))
    assert read(saved({"a.xhtml": "<p>x</p>"}, **{"META-INF/encryption.xml": allowed})).text == "x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"plain text", "not an EPUB document"),
        (package({"a": "b"}), "list of contents is missing"),
        (saved({"a.xhtml": "x"})[:-30], "damaged"),
    ],
)
def test_unreadable_books_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)


def test_a_book_without_text_is_skipped() -> None:
    with pytest.raises(NothingToIndex):
        read(saved({"a.xhtml": ""}))

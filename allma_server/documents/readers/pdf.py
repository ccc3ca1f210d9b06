"""PDF: one section for each page, so that an answer can cite the page.

pdfium extracts the text. pypdf reads form fields, annotations and attachments, and the pages that
pdfium cannot read.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

import pypdfium2.raw as pdfium  # pyright: ignore[reportMissingTypeStubs]
from pypdfium2 import (  # pyright: ignore[reportMissingTypeStubs]
    PdfDocument,
    PdfiumError,
    PdfPage,
)

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers import reader_for
from allma_server.documents.readers.pdf_outline import Heading, headings_by_page, split_by_headings
from allma_server.documents.readers.pdf_text import page_text
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract, Section

if TYPE_CHECKING:
    from allma_server.documents.readers.pdf_fallback import FallbackDocument

OpenFallback: TypeAlias = Callable[[], "FallbackDocument"]

_PROGRAM = re.compile(r"^Microsoft \w+ - |\.(?:docx?|pptx?|xlsx?|dvi|tex|indd|qxd|pdf)$", re.I)


_MAX_ATTACHED_BYTES = 32 << 20
"""Bytes of all attached files together that are read."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The text of a page, None when it cannot be read; its annotations and headings."""

    text: str | None
    notes: tuple[str, ...] = ()
    headings: tuple[Heading, ...] = ()


@dataclass(frozen=True, slots=True)
class _Contents:
    pages: list[_Page]
    title: str
    has_attachments: bool = False


def read(data: bytes, path: PurePath) -> Extract:
    """Read the pages that have a text layer, also of damaged files; skip pages that fail.

    Bookmarks become headings, and attached files are read after the pages.
    """
    if not data:
        raise NothingToIndex("The file is empty.")
    if b"%PDF-" not in data[:1024] and b" obj" not in data:
        raise UnreadableDocument("It is not a PDF, although its name says so.")
    fallback = cache(partial(_open_fallback, data))
    contents = _contents(data, fallback)
    pages, title = contents.pages, contents.title
    document = DocumentBuilder()
    _add_pages(document, pages)
    if contents.has_attachments:
        _add_attachments(document, fallback)
    if all(page.text is None for page in pages) and not any(page.notes for page in pages):
        raise UnreadableDocument("It is damaged: no page can be read.")
    return document.build(
        f"It has no text layer ({len(pages)} page{'s' * (len(pages) > 1)} without text): it "
        "may be a scan, which text recognition (OCR) would make searchable.",
        title=_PROGRAM.sub("", title) if title.lower() != "untitled" else "",
        metadata={
            "pages": str(len(pages)),
            "unreadable_pages": _page_ranges([page.text is None for page in pages]),
            "pages_without_text": _page_ranges([page.text == "" for page in pages]),
        },
    )


def _open_fallback(data: bytes) -> "FallbackDocument":
    from allma_server.documents.readers.pdf_fallback import FallbackDocument  # late: rarely needed

    return FallbackDocument(data)


def _add_pages(document: DocumentBuilder, pages: list[_Page]) -> None:
    above: Heading = ()
    for number, page in enumerate(pages, start=1):
        text = "\n".join([page.text or "", *page.notes])
        for heading, part in split_by_headings(text, page.headings, above):
            document.add_section(part, Section(0, 0, heading=heading, page=number))
        above = page.headings[-1] if page.headings else above


def _add_attachments(document: DocumentBuilder, fallback: OpenFallback) -> None:
    files = list(fallback().attachments())
    document.add_section("\n".join(f"Attachment: {name}" for name, _ in files))
    unread = _MAX_ATTACHED_BYTES
    for name, data in files:
        path = PurePath(name)
        reader = reader_for(path)
        unread -= len(data or b"")
        # Attachments inside attachments are only named.
        if reader is None or data is None or unread < 0 or path.suffix.lower() in (".pdf", ".eml"):
            continue
        try:
            extract = reader(data, path)
        except MemoryError:
            raise
        except Exception:
            continue  # a failing attachment must not fail the document
        document.add_embedded(extract, (name,))


def _contents(data: bytes, fallback: OpenFallback) -> _Contents:
    try:
        pdf = PdfDocument(data)
    except PdfiumError:
        pdf = None
    if pdf is not None and len(pdf):
        pages = list(_read_pages(pdf, fallback))
        if any(page.text is not None or page.notes for page in pages):
            title: str = pdf.get_metadata_value("Title")  # pyright: ignore[reportUnknownMemberType]
            return _Contents(pages, title, pdf.count_attachments() > 0)
    return _Contents([_Page(text, notes) for text, notes in fallback().pages()], fallback().title())


def _read_pages(pdf: PdfDocument, fallback: OpenFallback) -> Iterator[_Page]:
    headings = headings_by_page(pdf)
    for index in range(len(pdf)):
        begun = tuple(headings.get(index, ()))
        try:
            page = pdf[index]
        except PdfiumError:
            yield _Page(fallback().text(index), headings=begun)
            continue
        try:
            text = page_text(page)
        except PdfiumError:
            text = ""
        handle: Any = page.raw
        if not text and not pdfium.FPDFPage_CountObjects(handle):
            text = fallback().text(index)  # the page is empty or damaged
        yield _Page(text, fallback().notes(index) if _has_notes(page) else (), begun)
        page.close()


def _has_notes(page: PdfPage) -> bool:
    handle: Any = page.raw
    for i in range(pdfium.FPDFPage_GetAnnotCount(handle)):
        note = pdfium.FPDFPage_GetAnnot(handle, i)
        kind = pdfium.FPDFAnnot_GetSubtype(note)
        pdfium.FPDFPage_CloseAnnot(note)
        if kind not in (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP):
            return True
    return False


def _page_ranges(pages: list[bool]) -> str:
    """Return the numbers of the pages that are True, such as `2, 5-9`."""
    ranges: list[str] = []
    for marked, group in groupby(enumerate(pages, start=1), key=lambda page: page[1]):
        numbers = [number for number, _ in group]
        if marked:
            ranges.append(f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ", ".join(ranges)

"""PDF: one section for each page, so that an answer can cite the page.

pdfium extracts the text. pypdf reads form fields, annotations and attachments, and the pages that
pdfium cannot read.
"""

import ctypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
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
from allma_server.errors import AllmaError, NothingToIndex, NotRecognised, UnreadableDocument
from allma_server.types import SCANNED, Extract, Section, page_ranges

if TYPE_CHECKING:
    from allma_server.documents.readers.pdf_fallback import FallbackDocument

OpenFallback: TypeAlias = Callable[[], "FallbackDocument"]

_PROGRAM = re.compile(r"^Microsoft \w+ - |\.(?:docx?|pptx?|xlsx?|dvi|tex|indd|qxd|pdf)$", re.I)


_MAX_STAMP = 100
"""Characters of text on a page up to which it may be a stamp on a scan."""

_MAX_OBJECTS = 50
"""Objects on a page among which the picture of a scan is looked for."""

_MIN_SCAN_SHARE = 0.6
"""The share of a page that the picture of a scan covers."""

_MAX_ATTACHED_BYTES = 32 << 20
"""Bytes of all attached files together that are read."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The text of a page, None when it cannot be read; its annotations and headings.

    `is_scan`: more text than that is probably in its pictures.
    """

    text: str | None
    notes: tuple[str, ...] = ()
    headings: tuple[Heading, ...] = ()
    is_scan: bool = False


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
    numbered = list(enumerate(pages, start=1))
    scans = [number for number, page in numbered if page.is_scan]
    if all(page.text is None for page in pages) and not any(page.notes for page in pages):
        raise UnreadableDocument("It is damaged: no page can be read.")
    count = f"{len(pages)} page{'s' * (len(pages) > 1)} without text"
    try:
        return document.build(
            f"It has no text layer ({count}).",
            title=_PROGRAM.sub("", title) if title.lower() != "untitled" else "",
            metadata={
                "pages": str(len(pages)),
                "unreadable_pages": page_ranges(n for n, page in numbered if page.text is None),
                "pages_without_text": page_ranges(n for n, page in numbered if page.text == ""),
                SCANNED: page_ranges(scans),
            },
        )
    except NothingToIndex as exc:
        if not scans:
            raise
        raise NotRecognised(f"It is a scan without a text layer ({count}).", pages=scans) from exc


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
    lines: list[str] = []
    extracts: list[tuple[str, Extract]] = []
    unread = _MAX_ATTACHED_BYTES
    for name, data in fallback().attachments():
        unread -= len(data or b"")
        found = _attached(name, data, unread)
        if isinstance(found, Extract):
            extracts.append((name, found))
        reason = f" ({found.rstrip('.')})" if isinstance(found, str) and found else ""
        lines.append(f"Attachment: {name}{reason}")
    document.add_section("\n".join(lines))
    for name, extract in extracts:
        document.add_embedded(extract, (name,))


def _attached(name: str, data: bytes | None, unread: int) -> Extract | str:
    """Return an attachment, or why it is not read; an empty reason if it is no kind of text."""
    path = PurePath(name)
    reader = reader_for(path)
    if reader is None:
        return ""
    if path.suffix.lower() in (".pdf", ".eml"):
        return "attached PDF files and messages are not read"
    if data is None:
        return "it is damaged or too large"
    if unread < 0:
        return f"all attachments have more than {_MAX_ATTACHED_BYTES >> 20} MB"
    try:
        return reader(data, path)
    except MemoryError:
        raise
    except NothingToIndex:
        return ""
    except AllmaError as exc:
        return exc.message
    except Exception:
        return "it cannot be read"  # a failing attachment must not fail the document


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
        if not text and not _count_objects(page):
            text = fallback().text(index)  # the page is empty or damaged
        notes = fallback().notes(index) if _has_notes(page) else ()
        yield _Page(text, notes, begun, text is not None and _is_scan(page, text))
        page.close()


def _is_scan(page: PdfPage, text: str) -> bool:
    """Whether a page shows something but has no text, or a stamp on a picture of a page."""
    if len(text) > _MAX_STAMP:
        return False
    handle: Any = page.raw
    count = _count_objects(page)
    if not text:
        return count > 0
    width, height = page.get_size()
    shown = (pdfium.FPDFPage_GetObject(handle, i) for i in range(min(count, _MAX_OBJECTS)))
    return any(_area(each) > _MIN_SCAN_SHARE * width * height for each in shown)


def _count_objects(page: PdfPage) -> int:
    handle: Any = page.raw
    return pdfium.FPDFPage_CountObjects(handle)


def _area(item: Any) -> float:
    """Return the area of a picture on its page; 0 for anything else."""
    if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_IMAGE:
        return 0.0
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    edges = (ctypes.byref(edge) for edge in (left, bottom, right, top))
    pdfium.FPDFPageObj_GetBounds(item, *edges)
    return (right.value - left.value) * (top.value - bottom.value)


def _has_notes(page: PdfPage) -> bool:
    handle: Any = page.raw
    for i in range(pdfium.FPDFPage_GetAnnotCount(handle)):
        note = pdfium.FPDFPage_GetAnnot(handle, i)
        kind = pdfium.FPDFAnnot_GetSubtype(note)
        pdfium.FPDFPage_CloseAnnot(note)
        if kind not in (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP):
            return True
    return False
